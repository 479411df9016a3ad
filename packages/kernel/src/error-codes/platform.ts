import type { ErrorEntry } from "../errors.ts";

/** Errors of the processes, files and the command line. */
export const platformErrors = {
  "TM-PLATFORM-SECRET": {
    meaning: "A file that should hold a secret (a password, a token, a key) cannot be read or made, or is not private.",
    normal: false,
    retry: "never",
    hint: "The file must be readable by the user that Tidemark runs as and by nobody else (mode 0600), hold one line, and its folder must be writable when it is to be made.",
  },
} satisfies Record<string, ErrorEntry>;
