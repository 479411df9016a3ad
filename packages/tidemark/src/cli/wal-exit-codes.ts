// How `tidemark wal fetch` ends, so that PostgreSQL does the right thing (trap 33): it takes 1 to 125 for "there is no such file" and
// opens the database; from 128 on it stops. So everything but a sure end of the WAL is 200 or more.
import { TidemarkError } from "@tidemark/kernel/errors";

export const FETCH_EXIT = {
  given: 0,
  /**
   * The WAL surely ends before the file. Node itself ends with small numbers where it breaks down, so this process says 99, which only
   * this code path sets, and the launcher makes 1 of it; every other number below 128 becomes 255. PostgreSQL takes 99 like 1.
   */
  endOfWal: 99,
  /** It may pass, and did not within the patience: a vault or store is away, a failover is under way. */
  temporary: 200,
  hole: 201,
  damaged: 202,
  key: 203,
  otherHistory: 204,
  destination: 205,
  usage: 206,
  unexpected: 255,
} as const;

/** The exit code for an error of a fetch. Never one that PostgreSQL takes for the end, but for the sure end. */
export function fetchExitCode(error: unknown): number {
  if (!(error instanceof TidemarkError)) return FETCH_EXIT.unexpected;
  const { code } = error;
  if (code === "TM-VAULT-END-OF-WAL") return FETCH_EXIT.endOfWal;
  if (code === "TM-VAULT-HOLE" || code === "TM-VAULT-BEFORE-WAL" || code === "TM-VAULT-ARCHIVE-MISSING") return FETCH_EXIT.hole;
  if (code === "TM-VAULT-OTHER-HISTORY" || code === "TM-VAULT-OTHER-SYSTEM") return FETCH_EXIT.otherHistory;
  if (code === "TM-VAULT-DESTINATION") return FETCH_EXIT.destination;
  if (code === "TM-VAULT-WAL-NAME" || code === "TM-VAULT-UNKNOWN" || code.startsWith("TM-CONFIG-") || code === "TM-PLATFORM-SECRET")
    return FETCH_EXIT.usage;
  if (code.startsWith("TM-SEAL-KEY") || code === "TM-SEAL-KMS-DENIED") return FETCH_EXIT.key;
  if (/DAMAGED|CORRUPT/.test(code)) return FETCH_EXIT.damaged;
  if (error.retry !== "never") return FETCH_EXIT.temporary;
  if (code.startsWith("TM-SEAL-")) return FETCH_EXIT.damaged;
  return FETCH_EXIT.unexpected;
}

/** What a whole command line ends with: `wal fetch` never ends with a number that PostgreSQL would take for the end of the WAL by mistake. */
export function restoreSafeExit(args: readonly string[], code: number): number {
  const restoring = args.includes("wal") && args.includes("fetch");
  if (!restoring || code === FETCH_EXIT.given || code === FETCH_EXIT.endOfWal || code >= FIRST_STOPPING) return code;
  return FETCH_EXIT.usage;
}

/** PostgreSQL stops a recovery whose restore_command ends with this or more (trap 33; 126 and 127 are the shell's). */
const FIRST_STOPPING = 128;
