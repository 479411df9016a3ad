import type { ErrorEntry } from "../errors.ts";

/** Errors of `tidemark init`. */
export const initErrors = {
  "TM-INIT-EXISTS": {
    meaning: "The file that `tidemark init` would write is there already, and nothing was changed.",
    normal: true,
    retry: "never",
    hint: "Name another file with --out, look at what would be written with --dry-run, or replace the file with --force.",
  },
  "TM-INIT-NO-TERMINAL": {
    meaning: "`tidemark init` asks on a terminal, and there is none.",
    normal: true,
    retry: "never",
    hint: "Give --yes, and what is other than usual as options; `tidemark init --help` lists them.",
  },
  "TM-INIT-SERVER": {
    meaning: "The PostgreSQL that was named answers, and cannot be looked at as a store's copy.",
    normal: false,
    retry: "never",
    hint: "PostgreSQL 15 and newer can be looked at, by a role with the grants that `tidemark grants` prints.",
  },
  "TM-INIT-WRITE": {
    meaning: "A file could not be written; what was written before it is named.",
    normal: false,
    retry: "later",
    hint: "Look at the rights of the folder and at the space that is left, or name another place with --out.",
  },
} satisfies Record<string, ErrorEntry>;
