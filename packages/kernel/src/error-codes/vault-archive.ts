import type { ErrorEntry } from "../errors.ts";

/** Errors and faults of the archive: what lies in the object stores, the local segments, and the catalogue of both. */
export const vaultArchiveErrors = {
  "TM-VAULT-ARCHIVE-MISSING": {
    meaning: "An object that was archived and read again is no longer in its store: the store lost it or somebody deleted it.",
    normal: false,
    retry: "later",
    hint: "It is stored again while the vault has the segment. Otherwise copy the object from another store, under the same key, and look who deletes there.",
  },
  "TM-VAULT-ARCHIVE-DAMAGED": {
    meaning: "An archived object no longer has the bytes that were archived.",
    normal: false,
    retry: "later",
    hint: "It is stored again while the vault has the segment; the damaged one is kept beside it. Otherwise copy the object from another store, and look at the disk that it lay on.",
  },
  "TM-VAULT-ARCHIVE-NOT-KEPT": {
    meaning: "What was read again from the store right after it was stored is not what was stored. It does not count as archived.",
    normal: false,
    retry: "later",
    hint: "It is tried again. When it stays, the store, or something between it and the vault, changes or drops what it accepts: do not rely on it.",
  },
  "TM-VAULT-SEGMENT-MISSING": {
    meaning: "A sealed segment is no longer in the vault's folder, and the vault did not remove it.",
    normal: false,
    retry: "later",
    hint: "It is fetched from the archive where it is archived. Nothing but the vault may write to its folder.",
  },
  "TM-VAULT-SEGMENT-UNREADABLE": {
    meaning: "A sealed segment in the vault's folder cannot be read.",
    normal: false,
    retry: "later",
    hint: "Look at the disk (dmesg, smartctl). It is fetched from the archive where it is archived.",
  },
  "TM-VAULT-CATALOGUE-VERSION": {
    meaning: "The catalogue is of a format version that this Tidemark does not know, or of another system or segment size.",
    normal: false,
    retry: "never",
    hint: "Start the version of Tidemark that wrote it, or put the file aside: it is then made again from the object stores.",
  },
  "TM-VAULT-CATALOGUE-DAMAGED": {
    meaning: "The catalogue's file was damaged. It was put aside and is made again from the object stores and the local segments.",
    normal: false,
    retry: "later",
    hint: "Nothing of the WAL is lost by it. Look at the vault's disk; the damaged file stays beside the new one until you delete it.",
  },
  "TM-VAULT-CATALOGUE-AWAY": {
    meaning: "The catalogue could not be read or written.",
    normal: false,
    retry: "later",
    hint: "Look whether the vault's disk is full or read-only. Nothing counts as archived, and no local segment is removed, until it can be written.",
    httpStatus: 503,
  },
  "TM-VAULT-CATALOGUE-REBUILDING": {
    meaning: "The catalogue is being made again from the object stores; what is archived is not known yet.",
    normal: true,
    retry: "later",
    hint: "Wait until it is done: `tidemark wal status` says when. A store that does not answer holds it up.",
    httpStatus: 503,
  },
} satisfies Record<string, ErrorEntry>;
