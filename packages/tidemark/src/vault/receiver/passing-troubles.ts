/** What passes by itself; everything else that keeps a vault from receiving is the server's or the vault's to be looked at. */
const PASSING: ReadonlySet<string> = new Set([
  "TM-PG-CONNECTION",
  "TM-VAULT-SLOT-IN-USE",
  "TM-VAULT-OLD-TIMELINE",
  "TM-VAULT-OLD-EPOCH",
  "TM-VAULT-UNSURE",
]);

export function passesByItself(code: string): boolean {
  return PASSING.has(code);
}
