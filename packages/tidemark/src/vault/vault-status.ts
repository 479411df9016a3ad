// What a vault says of itself: at GET /status, in its heartbeats to control, and to `tidemark wal status`. Plain data; units
// stand in the names: LSNs are text, `Ms` are milliseconds (wall time where the name ends in `AtMs`), `Bytes` are bytes.
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { ArchiveStatus } from "./archive/archive-status.ts";
import type { StoredPoint, VaultGap, VaultVote } from "./vault-file.ts";

/**
 * `starting`: the local WAL is being scanned. `waiting`: there is no primary to follow, or it does not answer.
 * `streaming`: WAL arrives. `revoked`: promised, and no primary of that epoch stands yet. `refusing`: the server that
 * answers may not be followed. `full`: the disk is full; nothing is acknowledged. `stopping`: an orderly stop.
 */
export type VaultState = "starting" | "waiting" | "streaming" | "revoked" | "refusing" | "full" | "stopping";

/** A fault that stands now (it goes away with its cause) or was recorded (it stays until an operator has seen to it). */
export interface VaultFault {
  readonly code: string;
  /** Which part says so: `receiver`, `slot`, `commits`, `archive` and the name of a store, … */
  readonly part: string;
  readonly what: string;
  readonly range?: { readonly from: StoredPoint; readonly to: StoredPoint };
  readonly evidence?: string;
  /** Wall time, milliseconds; absent where it is found anew at each look. */
  readonly sinceMs?: number;
  /** What to do: the catalogue's hint. */
  readonly hint: string;
}

/** Up to where everything could be restored from this vault's own disk. */
export interface VaultRecoveryPoint {
  readonly timeline: Timeline;
  /** Durable here, to the byte: what is acknowledged to the primary. */
  readonly flushedLsn: string;
  /** End of the last whole record of it (R4). */
  readonly lastWholeRecordLsn?: string;
  /** The last commit at or before that. */
  readonly commit?: { readonly lsn: string; readonly atMs: number; readonly xid: number };
  /** Commits between `commitsSinceLsn` and the recovery point: from there on every one was counted. */
  readonly commits?: number;
  readonly commitsSinceLsn?: string;
}

export interface VaultSlotStatus {
  /** As PostgreSQL says: reserved, extended, unreserved, lost; absent while it is not known. */
  readonly walStatus?: string;
  readonly restartLsn?: string;
  /** How much more WAL may be written before it can be lost; absent: without limit. */
  readonly safeWalBytes?: number;
  readonly active?: boolean;
  readonly invalidationReason?: string;
}

export interface VaultStatus {
  readonly vault: string;
  readonly store: string;
  readonly state: VaultState;
  /** What `waiting` waits for, or why it refuses. */
  readonly detail?: string;
  readonly identity: string;
  readonly systemIdentifier?: SystemIdentifier;
  readonly segmentBytes?: number;
  /** The primary that is followed, and its epoch. */
  readonly primary?: { readonly node: string; readonly epoch: Epoch };
  readonly promised?: Epoch;
  readonly vote?: VaultVote;
  /** Where the contiguous run that is being continued began. */
  readonly contiguousFrom?: StoredPoint;
  readonly recoveryPoint?: VaultRecoveryPoint;
  /** How far the server said that its WAL reaches. */
  readonly serverEndLsn?: string;
  /** Bytes between that and what is durable here. */
  readonly lagBytes?: number;
  /** Milliseconds since the server was last heard. */
  readonly silentMs?: number;
  readonly slot?: VaultSlotStatus;
  readonly gaps: readonly VaultGap[];
  readonly baseBackupWanted?: { readonly from: StoredPoint; readonly why: string; readonly sinceMs: number };
  readonly faults: readonly VaultFault[];
  readonly disk?: { readonly freeBytes: number; readonly walBytes: number; readonly divergedBytes: number };
  /** What lies in `diverged/`, the oldest first; at most 32 of them are named. Nobody but a person removes any. */
  readonly evidence?: { readonly count: number; readonly folders: readonly { readonly name: string; readonly bytes: number }[] };
  /** What the archiver says of itself and of each object store; absent where nothing is archived. */
  readonly archive?: ArchiveStatus;
  readonly uptimeMs: number;
  /** Wall time of the vault when it said this, milliseconds. */
  readonly atMs: number;
}
