// The port of the archive: what the vault's main thread and those who serve WAL use. Made by open-archive.ts.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { Service } from "@tidemark/kernel/service";
import type { ArchiveStatus } from "./archive-status.ts";
import type { WalRange } from "./wal-range.ts";

/** What the archive has under a WAL file's name. */
export type ArchivedFile =
  /**
   * `bytes` begin at the segment's first byte. `end`: the position after the last of them; a whole segment has all its bytes,
   * a partial one fewer (never padded here). For a history file `end` is absent.
   */
  | { readonly kind: "file"; readonly bytes: Uint8Array; readonly end?: Lsn; readonly partial: boolean; readonly store: string }
  /** Surely not archived yet: nothing at or after this place of its timeline is. */
  | { readonly kind: "missing" }
  /** It belongs to WAL that is not there though later WAL is, or that is older than what is kept: PostgreSQL must stop. */
  | { readonly kind: "hole"; readonly range: WalRange }
  /** Past the end of its timeline in the recorded history: evidence, never served (trap 11). */
  | { readonly kind: "diverged"; readonly fork: Lsn };

export interface SealedSegment {
  readonly timeline: Timeline;
  readonly start: Lsn;
}

export interface Archive extends Service {
  /** The receiver sealed a segment: it is durable under its final name. Also found without this call, later. */
  sealed(segment: SealedSegment): void;
  /** Something in the folder changed that no other call names: a history file came, a timeline ended, a tail was put aside. */
  changed(): void;
  /** WAL that could not be received: kept in the catalogue, an alarm until a base backup after it exists. */
  recordGap(gap: WalRange & { readonly reason: string }): void;
  status(): ArchiveStatus;
  /** WAL here that was found to be damaged or gone and is not mended yet. From memory: it is known whatever the catalogue does. */
  damage(): readonly WalRange[];
  /**
   * Reads a segment (24 hex digits) or `<TLI>.history` from the first store that gives it whole; of a growing segment the
   * newest partial one. Rejects with TM-VAULT-CATALOGUE-REBUILDING while it is not known yet what there is, with the store's
   * error when no store answered, with TM-VAULT-ARCHIVE-DAMAGED when what is there does not pass its check.
   */
  fetch(name: string): Promise<ArchivedFile>;
  /** Whether every store has this file (a segment, whole, or a history file), read again and compared. */
  isArchived(name: string): Promise<boolean>;
  /** Forgets what the catalogue says of the stores and reads it again from their objects' headers. Resolves when it has. */
  rebuildCatalogue(): Promise<void>;
  /** Resolves when everything that was durable here when it was called is archived in every store. For tests and benches. */
  settled(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
