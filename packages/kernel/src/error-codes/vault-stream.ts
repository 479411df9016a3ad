import type { ErrorEntry } from "../errors.ts";

/** Errors of the vault's stream of WAL and of the files that it is written to. */
export const vaultStreamErrors = {
  "TM-VAULT-FAIL-STOP": {
    meaning: "A write or a flush of WAL failed. The vault acknowledges nothing after it and does not try again (trap 2).",
    normal: false,
    retry: "never",
    hint: "Check the disk and the kernel's log. Start the vault again when the disk is sound: it reads back what is really there and asks for the rest again.",
  },
  "TM-VAULT-STREAM-GAP": {
    meaning: "The server sent WAL from another position than the one that comes next here; nothing of it was taken (trap 3).",
    normal: false,
    retry: "later",
    hint: "The vault connects again and asks from its own end on. When it repeats, look what stands between it and PostgreSQL.",
  },
  "TM-VAULT-OTHER-BYTES": {
    meaning:
      "WAL came that is here already, with other bytes: repeated by the server, or pushed under a name that is taken. Nothing was overwritten (traps 3, 10).",
    normal: false,
    retry: "never",
    hint: "Two servers share one system identifier and timeline (a clone, an old primary that was started again), or the server lost WAL and wrote other. Find out which one is right before anything is removed.",
    httpStatus: 409,
  },
  "TM-VAULT-POSITION": {
    meaning: "WAL was to be written at a position that would leave a hole, or lies within a sealed segment.",
    normal: false,
    retry: "never",
    hint: "The folder does not hold what the vault believes it does: look whether files of it were moved, and start the vault again.",
  },
} satisfies Record<string, ErrorEntry>;
