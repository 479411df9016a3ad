import type { ErrorEntry } from "../errors.ts";

/** Errors of the vault's life: its folder, whom it follows, what it may not join, its votes. */
export const vaultReceiverErrors = {
  "TM-VAULT-FILE": {
    meaning: "A vault's vault.json cannot be read as one, or is of an unknown format version.",
    normal: false,
    retry: "never",
    hint: "Start it with the version that wrote it. Never delete the file: without it the vault is a new member, and its WAL is joined to nothing.",
  },
  "TM-VAULT-FOREIGN-FOLDER": {
    meaning: "The folder belongs to another vault or to another store.",
    normal: false,
    retry: "never",
    hint: "Give each vault a directory of its own; a copied folder must not be started, because its identity exists already (R6).",
  },
  "TM-VAULT-LOCKED": {
    meaning: "Another process works in the vault's folder.",
    normal: false,
    retry: "later",
    hint: "One process per vault: look for a second one with the same directory.",
  },
  "TM-VAULT-SYSTEM-IDENTIFIER": {
    meaning: "The server is of another PostgreSQL cluster than the WAL in this vault; nothing was taken from it (trap 9).",
    normal: false,
    retry: "never",
    hint: "After pg_upgrade or a new initdb begin a new vault folder; after a wrong address correct the configuration.",
  },
  "TM-VAULT-SEGMENT-SIZE": {
    meaning: "The server's WAL segments have another size than those in this vault.",
    normal: false,
    retry: "never",
    hint: "A cluster does not change its segment size without pg_resetwal; begin a new vault folder for it.",
  },
  "TM-VAULT-OLD-TIMELINE": {
    meaning: "The server is on an earlier timeline than the recorded one: it is an old primary, or has not been promoted yet.",
    normal: true,
    retry: "later",
    hint: "It passes when the promotion is done. When it stays, look who is at the recorded primary's address.",
  },
  "TM-VAULT-OLD-EPOCH": {
    meaning: "The recorded primary is of an older epoch than this vault has promised or followed.",
    normal: true,
    retry: "later",
    hint: "It passes when the failover is done. When it stays, the lease store was set back: see docs/failover-protocol.md.",
  },
  "TM-VAULT-TIMELINE-CONFLICT": {
    meaning: "The server's timeline is not the recorded one, or forked elsewhere than the one that this vault knows under its number.",
    normal: false,
    retry: "never",
    hint: "A promotion happened outside the protocol. Find out which server is right before anything is removed; nothing was taken from it.",
  },
  "TM-VAULT-PRIMARY-BEHIND": {
    meaning: "The server has less WAL than this vault on the same timeline.",
    normal: false,
    retry: "later",
    hint: "It lost WAL that it had sent, or is a restored copy. Do not write on it before that is understood: the vault holds what it lost.",
  },
  "TM-VAULT-HISTORY-CONFLICT": {
    meaning: "The server's history file of a timeline has other bytes than the one in this vault; both were kept (trap 10).",
    normal: false,
    retry: "never",
    hint: "Two promotions used one timeline. The server's file lies under diverged; compare, and find out which server is right.",
  },
  "TM-VAULT-HISTORY-MISSING": {
    meaning: "The server does not have the history file of one of its earlier timelines, and neither has this vault (trap 8).",
    normal: false,
    retry: "later",
    hint: "Copy the file into pg_wal of the server from an archive: without it a recovery across that timeline ends early.",
  },
  "TM-VAULT-GAP": {
    meaning: "WAL is missing between what this vault has and what the primary still has; a new run was begun after it.",
    normal: false,
    retry: "never",
    hint: "Take a new base backup: nothing before the gap can be restored past it. The range is in the fault.",
  },
  "TM-VAULT-SLOT": {
    meaning: "The vault's replication slot is none that a vault can use.",
    normal: false,
    retry: "never",
    hint: "Drop the slot of that name on the primary; the vault makes its own.",
  },
  "TM-VAULT-SLOT-LOST": {
    meaning: "The primary invalidated the vault's slot and may have removed WAL that the vault lacks (traps 5, 6).",
    normal: false,
    retry: "later",
    hint: "Raise max_slot_wal_keep_size, leave idle_replication_slot_timeout at 0, and look why the vault was away for so long.",
  },
  "TM-VAULT-SLOT-UNRESERVED": {
    meaning: "The primary is about to remove WAL that the vault has not received yet (wal_status unreserved, trap 5).",
    normal: false,
    retry: "later",
    hint: "Bring the vault up now or raise max_slot_wal_keep_size: after the next checkpoint there may be a gap.",
  },
  "TM-VAULT-SLOT-IDLE-TIMEOUT": {
    meaning: "The primary would invalidate the vault's slot after a time of absence (idle_replication_slot_timeout, trap 6).",
    normal: false,
    retry: "later",
    hint: "Set idle_replication_slot_timeout to 0 on every node.",
  },
  "TM-VAULT-SLOT-IN-USE": {
    meaning: "Another connection streams from this vault's slot: two vaults have one identity, or an earlier connection is still open.",
    normal: false,
    retry: "later",
    hint: "It passes when the primary notices that the earlier connection is gone (wal_sender_timeout). When it stays, the folder was copied: begin the copy anew with an empty one.",
  },
  "TM-VAULT-DIVERGED": {
    meaning: "WAL of an old primary past the fork was taken out of the vault and kept as evidence (trap 11); it is never served.",
    normal: false,
    retry: "never",
    hint: "The range is in the fault, the bytes lie under diverged. Commits in it were lost by the failover if they were acknowledged.",
  },
  "TM-VAULT-CORRUPT": {
    meaning: "The scan after a start ended before WAL that had been durable here: bytes of it changed on disk.",
    normal: false,
    retry: "later",
    hint: "The damaged file lies under diverged; the range is requested again from the primary, and until it is here the vault does not vote. Check the disk.",
  },
  "TM-VAULT-DISK-FULL": {
    meaning: "The vault's disk is full: nothing is acknowledged, nothing is dropped, and receiving goes on when there is room (trap 13).",
    normal: false,
    retry: "later",
    hint: "Make room. Commits that wait for this vault wait meanwhile, or the synchronous set shrinks as its policy allows.",
  },
} satisfies Record<string, ErrorEntry>;
