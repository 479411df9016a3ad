import type { ErrorEntry } from "../errors.ts";

/** Errors of the vault's reading of commit records. */
export const vaultCommitErrors = {
  "TM-VAULT-WAL-UNREADABLE": {
    meaning: "WAL that is durable in this vault cannot be read record by record from some place on: a segment there is damaged or missing.",
    normal: false,
    retry: "later",
    hint: "The range is in the details. Fetch the segment from the archive, or let the vault receive it again; the vault does not say that it holds commits behind it until then.",
  },
  "TM-VAULT-COMMIT-INDEX": {
    meaning: "The index of commit times could not be read or written.",
    normal: false,
    retry: "later",
    hint: "A damaged index is put aside and made again from the WAL here by itself. When it stays, look whether the vault's disk is full or read-only.",
  },
} satisfies Record<string, ErrorEntry>;
