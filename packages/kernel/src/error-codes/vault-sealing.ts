import type { ErrorEntry } from "../errors.ts";

/** Errors of sealed objects and of the keys that open them. */
export const vaultSealingErrors = {
  "TM-SEAL-NOT-SEALED": {
    meaning: "The bytes are no sealed object: they do not begin as one.",
    normal: false,
    retry: "never",
    hint: "Something else was stored under this key, or the beginning of the object is damaged.",
  },
  "TM-SEAL-VERSION": {
    meaning: "The object was sealed in a version of the format that this Tidemark does not know.",
    normal: false,
    retry: "never",
    hint: "Read it with the version of Tidemark that wrote it, or a newer one.",
  },
  "TM-SEAL-TRUNCATED": {
    meaning: "The sealed object ends before its end.",
    normal: false,
    retry: "never",
    hint: "Take it from another store; the archiver stores it again while the vault still has the segment.",
  },
  "TM-SEAL-TOO-LONG": {
    meaning: "There are bytes behind the end of the sealed object.",
    normal: false,
    retry: "never",
    hint: "Take it from another store, and look at what wrote to this one.",
  },
  "TM-SEAL-DAMAGED": {
    meaning: "The bytes of the sealed object are not those that were written: a checksum differs.",
    normal: false,
    retry: "never",
    hint: "Take it from another store; look at the disk that it lay on.",
  },
  "TM-SEAL-HEADER": {
    meaning: "The header of the sealed object is whole and makes no sense, or asks for more than is allowed.",
    normal: false,
    retry: "never",
    hint: "It was written by something else than Tidemark. Take the object from another store.",
  },
  "TM-SEAL-FORGED": {
    meaning: "The sealed object is whole, its key opens, and what it encloses is not what was sealed: somebody has made or changed it.",
    normal: false,
    retry: "never",
    hint: "Find out who can write to this store. Take the object from another one.",
  },
  "TM-SEAL-KEY-MISSING": {
    meaning: "The object is encrypted with a key that the configuration does not have.",
    normal: false,
    retry: "never",
    hint: "Put the key with this id among `formerKeys`. Keys are never to be thrown away while objects are sealed with them.",
  },
  "TM-SEAL-KEY-WRONG": {
    meaning: "The key has the right id and does not open the object.",
    normal: false,
    retry: "never",
    hint: "The object's header names this key wrongly, or the object stands for another one: its key belongs to one system, timeline and range.",
  },
  "TM-SEAL-KEY-SOURCE": {
    meaning:
      "A key cannot be had from where the configuration says: the file or the variable is not there, is not private, or holds no key.",
    normal: false,
    retry: "never",
    hint: "A key is 32 random bytes, in base64, hexadecimal or as they are: `openssl rand -base64 32 > key && chmod 600 key`.",
  },
  "TM-SEAL-UNENCRYPTED": {
    meaning: "The object is not encrypted, and the configuration accepts encrypted ones only.",
    normal: false,
    retry: "never",
    hint: "If the archive was written without encryption once, say so: `acceptUnencrypted: true`. Otherwise somebody planted it.",
  },
  "TM-SEAL-KMS-AWAY": {
    meaning: "The key management service does not answer, or answers with a fault of its own.",
    normal: false,
    retry: "later",
    hint: "Look whether the service and the way to it are up. Nothing is archived or read without it; segments stay with the vault.",
  },
  "TM-SEAL-KMS-DENIED": {
    meaning: "The key management service refuses this user, or its key is disabled or gone.",
    normal: false,
    retry: "later",
    hint: "The user needs kms:GenerateDataKey and kms:Decrypt on this key, and the key must be enabled.",
  },
} satisfies Record<string, ErrorEntry>;
