import type { ErrorEntry } from "../errors.ts";

/** Errors of proofs, the audit log and their keys. */
export const proofErrors = {
  "TM-PROOF-CANONICAL": {
    meaning: "A value cannot be written as canonical JSON, so it cannot be hashed or signed.",
    normal: false,
    retry: "never",
    hint: "Only finite numbers, texts, true, false, null, lists and plain objects can be signed; write other values as text.",
  },
  "TM-PROOF-FORMAT": {
    meaning: "A file is no proof, or a proof of a version that this program does not know.",
    normal: false,
    retry: "never",
    hint: "Check that the file is the proof and is whole; a newer proof needs a newer Tidemark. docs/proof-format.md has the versions.",
  },
  "TM-PROOF-SIGNATURE": {
    meaning: "A proof's signature does not fit its content: it was changed after it was signed, or signed with another key.",
    normal: false,
    retry: "never",
    hint: "Do not trust the proof. Fetch it again from where it was made, and compare the key id with the one published there.",
  },
  "TM-PROOF-UNKNOWN-KEY": {
    meaning: "The key that signed a proof is not among the known public keys.",
    normal: false,
    retry: "never",
    hint: "Give the public key with --key, from a place that you trust; `tidemark proof show` says which key id is needed.",
  },
  "TM-PROOF-KEY": {
    meaning: "A key for proofs cannot be read, made or used.",
    normal: false,
    retry: "never",
    hint: "Keys are PEM files of Ed25519 keys below `keys/` in the state folder; the private one has mode 0600. Restore it from a backup, or rotate to a new one.",
  },
  "TM-PROOF-AUDIT-IO": {
    meaning: "The audit log cannot be opened, locked or read.",
    normal: false,
    retry: "later",
    hint: "Check that the folder is there, is writable for the user that Tidemark runs as, and lies on a local disk.",
  },
  "TM-PROOF-AUDIT-LOCKED": {
    meaning: "Other processes held the audit log's lock for too long; nothing was written.",
    normal: false,
    retry: "later",
    hint: "Look for a process that hangs on its disk; the lock frees itself when its holder ends.",
  },
  "TM-PROOF-AUDIT-DAMAGED": {
    meaning: "The audit log was changed or damaged where the next entry would be chained to; nothing was written.",
    normal: false,
    retry: "never",
    hint: "Run `tidemark audit verify`, keep a copy as evidence, find out who changed it, then move the log with its .head file away: a new chain begins.",
  },
  "TM-PROOF-AUDIT-TOO-LARGE": {
    meaning: "An audit entry is larger than an entry may be; nothing was written.",
    normal: false,
    retry: "never",
    hint: "Shorten the reason or the facts to less than 64 KiB.",
  },
  "TM-PROOF-AUDIT-STOPPED": {
    meaning: "Writing the audit log failed; whether the last entry stands is not known, and this process appends no more (FAIL-STOP).",
    normal: false,
    retry: "unknown",
    hint: "Look at the disk (full, read-only, failing), run `tidemark audit verify`, then start the role again.",
  },
} satisfies Record<string, ErrorEntry>;
