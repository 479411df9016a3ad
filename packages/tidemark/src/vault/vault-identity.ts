// Under which name a vault is known to the primary: as application_name of its connection and as name of its slot (R6).
import type { Random } from "@tidemark/kernel/random";

/** Letters and digits of the vault's name that are kept, so that prefix, name and 32 digits stay within PostgreSQL's 63 bytes. */
const MOST_NAME = 15;

/** How all identities of the vault `name` begin, with the last underscore. */
export function vaultPrefix(name: string): string {
  const letters = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, "")
    .slice(0, MOST_NAME);
  return `tidemark_vault_${letters === "" ? "vault" : letters}_`;
}

/** A new identity for a vault whose data begins a life of its own. At most 63 bytes of a-z, 0-9 and `_`. */
export function vaultIdentity(name: string, random: Random): string {
  return vaultPrefix(name) + Buffer.from(random.bytes(16)).toString("hex");
}

/** Whether an application_name or a slot is that of a vault, of whichever name. */
export function isVaultIdentity(identity: string): boolean {
  return /^tidemark_vault_[a-z0-9]{1,15}_[0-9a-f]{32}$/.test(identity);
}
