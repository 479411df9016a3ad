import type { ErrorEntry } from "../errors.ts";

/** Errors of packages/postgres: the embedded server, the replication protocol, base backups. */
export const postgresErrors = {
  "TM-PG-LSN": {
    meaning: "A text that should be a WAL position is none.",
    normal: false,
    retry: "never",
    hint: "An LSN is two hexadecimal numbers of up to eight digits with a slash between them, such as 16/B374D848.",
  },
} satisfies Record<string, ErrorEntry>;
