import type { JournalId, Partition, Sequence } from "@tidemark/kernel/brands";
import type { FailureDomain } from "../objectives/failure-domain.ts";

/**
 * The journal's port. What is acknowledged stands here first. Adapters: the segmented log on local disk (embedded) and
 * a simulated one; NATS JetStream, SQS and Kafka fit behind it. One contract suite runs on all (contract/).
 */

/**
 * What a record is. `write`: an accepted command. `verdict`: the final word on an earlier write (R13). `generation`: a
 * barrier that begins another number of partitions (R12).
 */
export type RecordKind = "write" | "verdict" | "generation";

/** What a caller hands in. The journal takes the payload as it is and never looks inside. */
export interface JournalEntry {
  readonly kind: RecordKind;
  /** Order is kept among the entries of one key. The partition is derived from it, unless `partition` says so. */
  readonly key: string;
  /** Set for verdicts, which stand in the partition of the write that they are about. */
  readonly partition?: Partition;
  /** Wall time of acceptance, milliseconds since the Unix epoch. It is frozen: the command sees it as :accepted_at (R14). */
  readonly acceptedAtMs: number;
  /** Handed over: the caller must not change the bytes afterwards. At most {@link MAX_PAYLOAD_BYTES}. */
  readonly payload: Uint8Array;
}

/** A record as it stands in the journal. */
export interface JournalRecord extends JournalEntry {
  readonly sequence: Sequence;
  readonly partition: Partition;
  /** The generation of the partitioning, from 1; it grows when the number of partitions changes. */
  readonly generation: number;
}

/** Where an entry went. */
export interface AppendedRecord {
  readonly sequence: Sequence;
  readonly partition: Partition;
  readonly generation: number;
}

/** The most bytes of one payload: 1 MiB. Larger ones are refused with TM-JOURNAL-TOO-LARGE before anything is written. */
export const MAX_PAYLOAD_BYTES = 1_048_576;

/** What reading needs. A reader may live in another process than the writer. */
export interface JournalReader {
  readonly id: JournalId;
  /**
   * Durable records in order of sequence, from `from` (inclusive) up to `upTo` (inclusive), as many as fit the limits,
   * at least one when there is one. An empty answer means that `from` > `upTo`.
   * Rejects with TM-JOURNAL-TRIMMED when `from` is older than the oldest record kept (a needed one: FAIL-STOP, with the
   * range), TM-JOURNAL-DAMAGED when bytes are wrong (names the range).
   */
  read(from: Sequence, upTo: Sequence, limits: { records: number; bytes: number }): Promise<JournalRecord[]>;
  close(): Promise<void>;
}

/** The newest and the oldest. `durable` is 0 and `oldest` 1 in a new journal. */
export interface JournalExtent {
  readonly oldest: Sequence;
  readonly durable: Sequence;
}

export interface JournalStatus extends JournalExtent {
  readonly id: JournalId;
  readonly state: "open" | "full" | "stopped";
  /** Code and message when `stopped` (FAIL-STOP) or `full`. */
  readonly reason?: { readonly code: string; readonly message: string };
  readonly bytes: number;
  readonly quotaBytes: number;
  readonly segments: number;
  /** Acceptance time of the oldest record kept: how far back a database could be healed (the healing horizon). */
  readonly oldestAcceptedAtMs?: number;
  /** Everything up to here is safe to forget (R11); what lies beyond pins trimming. */
  readonly trimSafe: Sequence;
  readonly partitions: number;
  readonly generation: number;
}

/** One writer at a time: opening takes a lock and rejects with TM-JOURNAL-LOCKED while another process holds it. */
export interface Journal extends JournalReader {
  readonly partitions: number;
  /** The failure domains in which an appended record is durable when `append` resolves (R16). */
  readonly domains: readonly FailureDomain[];

  /**
   * Appends all entries, in order, with consecutive sequences, and resolves when they are durable (ACK-DURABLE).
   * Calls are ordered: a later call gets later sequences. Not idempotent: the caller removes duplicates before.
   * Rejects, with nothing written, with TM-JOURNAL-FULL (quota or low disk; retry later), TM-JOURNAL-BUSY (more bytes wait
   * for the disk than it holds in memory; retry soon), TM-JOURNAL-TOO-LARGE, or
   * TM-JOURNAL-STOPPED; and with TM-JOURNAL-UNKNOWN when the bytes may or may not be durable (a failed write or fsync:
   * the journal stops, FAIL-STOP; the outcome is unknown, never "refused").
   */
  append(entries: readonly JournalEntry[]): Promise<AppendedRecord[]>;

  extent(): JournalExtent;
  status(): JournalStatus;

  /** Calls back after every advance of `durable`, with the new value; returns the unsubscriber. */
  onDurable(listener: (durable: Sequence) => void): () => void;

  /**
   * Says that everything up to `upTo` (inclusive) has reached its failure domains in the database (TRIM-SAFE, R11).
   * The journal forgets it when the healing window has passed, or earlier at the quota if that is configured (R18).
   * Idempotent; a smaller value than before changes nothing.
   */
  markTrimSafe(upTo: Sequence): void;
}
