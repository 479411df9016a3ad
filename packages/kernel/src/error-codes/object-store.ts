import type { ErrorEntry } from "../errors.ts";

/** Errors of the object stores: folders, and S3 and what speaks it. */
export const objectStoreErrors = {
  "TM-OBJECT-MISSING": {
    meaning: "There is no object under this key; the store itself said so.",
    normal: true,
    retry: "never",
    hint: "If it was there before, the store lost or somebody deleted it: `tidemark wal status` shows what is missing.",
  },
  "TM-OBJECT-EXISTS": {
    meaning: "The key is taken, and the object was to be stored only if it was not.",
    normal: true,
    retry: "never",
    hint: "Read what is there and compare: it may be the same object, from an attempt whose answer was lost. Nothing was overwritten.",
  },
  "TM-OBJECT-LOCKED": {
    meaning: "The store keeps this object from deletion until a time that has not come.",
    normal: true,
    retry: "later",
    hint: "Wait until the lock has ended; it is there so that nobody can delete the object before.",
  },
  "TM-OBJECT-KEY": {
    meaning: "This is no key of an object, or it cannot stand beside one that is there (one names a folder of the other).",
    normal: false,
    retry: "never",
    hint: "Keys are parts of A-Z a-z 0-9 . _ - with slashes between, none beginning with a dot, at most 512 characters.",
  },
  "TM-OBJECT-UNSUPPORTED": {
    meaning: "The store cannot do what was asked of it, such as locking objects.",
    normal: false,
    retry: "never",
    hint: "Take it out of the configuration of this store, or use a store that can do it: for locks a bucket that was made with Object Lock.",
  },
  "TM-OBJECT-TOO-LARGE": {
    meaning: "The object is larger than is allowed, or than it should be.",
    normal: false,
    retry: "never",
    hint: "Look at what lies there under this key: it is not what Tidemark stored.",
  },
  "TM-OBJECT-STORE-AWAY": {
    meaning:
      "The store does not answer, is too slow, asks to be asked less, or answers with a fault of its own; what was asked may have taken effect.",
    normal: false,
    retry: "unknown",
    hint: "Look whether the store and the way to it are up. It is tried again with growing pauses; until then nothing counts as archived there.",
  },
  "TM-OBJECT-STORE-FULL": {
    meaning: "The store has no room left for the object.",
    normal: false,
    retry: "later",
    hint: "Make room in the store or raise its quota. Segments stay with the vault until they are archived.",
  },
  "TM-OBJECT-STORE-DENIED": {
    meaning: "The store refuses this user: wrong or expired credentials, missing permission, or a read-only file system.",
    normal: false,
    retry: "later",
    hint: "Check credentials and permissions for the store: it needs get, put, list and delete below its prefix, and for a folder write permission.",
  },
  "TM-OBJECT-STORE-FAULT": {
    meaning:
      "The store did what a store must not do: an input or output error, a failed fsync, a listing out of order, less bytes than it announced.",
    normal: false,
    retry: "unknown",
    hint: "Look at the disk (dmesg, smartctl) or at the store's own log. What was asked may have taken effect; it counts only after it was read again.",
  },
  "TM-OBJECT-NO-STORE": {
    meaning: "The bucket or the folder of the store is not there, or is another one than at the start (a disk that was unmounted).",
    normal: false,
    retry: "later",
    hint: "Mount the disk or make the bucket; Tidemark makes neither a bucket nor a mount point, so that an archive cannot begin anew by mistake.",
  },
  "TM-OBJECT-STORE-SETTINGS": {
    meaning: "The settings of the store are wrong: its endpoint, region or file of credentials.",
    normal: false,
    retry: "never",
    hint: "Check the store in tidemark.yaml. A file of credentials has the form of ~/.aws/credentials and mode 0600.",
  },
} satisfies Record<string, ErrorEntry>;
