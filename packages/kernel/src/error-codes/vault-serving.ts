import type { ErrorEntry } from "../errors.ts";

/** Errors of giving WAL files out and taking them in: `tidemark wal`, and the vault's WAL routes. */
export const vaultServingErrors = {
  "TM-VAULT-END-OF-WAL": {
    meaning: "The file that was asked for begins at or beyond the end of the WAL, surely: everything before it is there.",
    normal: true,
    retry: "later",
    hint: "PostgreSQL asks for it at the end of every recovery. Nothing to do.",
    httpStatus: 404,
  },
  "TM-VAULT-HOLE": {
    meaning: "WAL is missing in the middle: neither the vault nor its object stores have a range, and there is WAL after it (NO-HOLE).",
    normal: false,
    retry: "never",
    hint: "Do not recover past it: PostgreSQL would stop short and call it done. `tidemark wal status` names the range; look for the file in other stores and old servers and give it back with `tidemark wal push`, or restore a base backup that was taken after it.",
    httpStatus: 410,
  },
  "TM-VAULT-BEFORE-WAL": {
    meaning: "WAL was asked for from before the first that the vault and its object stores have.",
    normal: false,
    retry: "never",
    hint: "The base backup is older than the vault's WAL. Use a backup that was taken since, or give the older segments with `tidemark wal push`.",
    httpStatus: 410,
  },
  "TM-VAULT-UNSURE": {
    meaning:
      "Whether there is more WAL cannot be said at the moment: a failover is under way, the vault just started, or somebody who may have more does not answer.",
    normal: true,
    retry: "later",
    hint: "Try again; `tidemark wal fetch --patience` does. When a vault is lost for good, `--without-vault` takes the end of the object stores for the end.",
    httpStatus: 503,
  },
  "TM-VAULT-OTHER-HISTORY": {
    meaning:
      "WAL was asked for, or given, of a timeline that is not part of the recorded history: a branch that was left, or a number that was never used.",
    normal: false,
    retry: "never",
    hint: "Recover along the timeline that `tidemark wal status` shows: set recovery_target_timeline to its number.",
    httpStatus: 409,
  },
  "TM-VAULT-OTHER-SYSTEM": {
    meaning: "The WAL and the database, or two pieces of WAL, have different system identifiers: they are of different clusters.",
    normal: false,
    retry: "never",
    hint: "Check which store and which vault the command names. A cluster that was made anew needs a vault folder and an archive prefix of its own.",
    httpStatus: 409,
  },
  "TM-VAULT-DAMAGED": {
    meaning: "A WAL file is there and its bytes are not what they should be: a checksum does not hold, or a page is not of this place.",
    normal: false,
    retry: "never",
    hint: "`tidemark wal status` names the range. Another copy may have it whole (a further object store, the primary); the damaged one is kept as evidence.",
    httpStatus: 500,
  },
  "TM-VAULT-WAL-NAME": {
    meaning: "A name is none of a WAL segment, a history file or a backup label file, or has no place in segments of this size.",
    normal: false,
    retry: "never",
    hint: "Give %f of restore_command to `wal fetch` and %p of archive_command to `wal push`.",
    httpStatus: 400,
  },
  "TM-VAULT-PUSH": {
    meaning: "A WAL file that was pushed is not what its name says: another size, another place, or it was cut on the way.",
    normal: false,
    retry: "later",
    hint: "PostgreSQL keeps the file and tries again. When it stays so, compare the file with pg_waldump.",
    httpStatus: 422,
  },
  "TM-VAULT-PUSH-STORAGE": {
    meaning: "A WAL file that was pushed could not be made durable in the vault's folder.",
    normal: false,
    retry: "later",
    hint: "Make room on the vault's disk, or look into the system's log for disk errors. PostgreSQL keeps the file and tries again.",
    httpStatus: 507,
  },
  "TM-VAULT-NOT-ARCHIVED": {
    meaning: "A WAL file is durable in the vault, and not archived in every object store in the time that was given.",
    normal: true,
    retry: "later",
    hint: "`tidemark wal status` shows which store is behind. PostgreSQL keeps the file and tries again.",
    httpStatus: 503,
  },
  "TM-VAULT-AWAY": {
    meaning: "No vault of the store answers.",
    normal: false,
    retry: "later",
    hint: "`tidemark status` and the vault's log say why; its address is `listen` in tidemark.yaml.",
    httpStatus: 503,
  },
  "TM-VAULT-UNKNOWN": {
    meaning: "The configuration has no vault of this name, or more than one and none was named.",
    normal: false,
    retry: "never",
    hint: "Name it with --store and --vault; `stores.<store>.vaults` in tidemark.yaml lists them.",
  },
  "TM-VAULT-FAULT-CODE": {
    meaning: "A recorded fault was to be cleared without its code or without a reason.",
    normal: false,
    retry: "never",
    hint: "Name a code that `tidemark wal status` shows, such as TM-VAULT-GAP, and say with --reason what was done about it.",
  },
  "TM-VAULT-TIME": {
    meaning: "A text is not a time.",
    normal: false,
    retry: "never",
    hint: "Write it like 2026-03-01T12:00:00Z; without a zone it is UTC.",
  },
  "TM-VAULT-DESTINATION": {
    meaning: "A WAL file that was fetched could not be written where PostgreSQL wants it.",
    normal: false,
    retry: "later",
    hint: "The folder must exist and be writable by PostgreSQL's user, with room for a segment.",
  },
} satisfies Record<string, ErrorEntry>;
