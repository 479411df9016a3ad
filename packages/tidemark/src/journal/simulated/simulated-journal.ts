import type { JournalId, Sequence } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { FailureDomain } from "../../objectives/failure-domain.ts";
import {
  MAX_PAYLOAD_BYTES,
  type AppendedRecord,
  type Journal,
  type JournalEntry,
  type JournalExtent,
  type JournalRecord,
  type JournalStatus,
} from "../journal.ts";
import { partitionOfKey } from "../partition-of-key.ts";

/** A journal's identity for tests that need none in particular. */
const SIMULATED_JOURNAL_ID = "01890a5d-ac96-774b-bcce-b302099a8057" as JournalId;

export interface SimulatedJournalOptions {
  readonly id?: JournalId;
  /** Default 4. */
  readonly partitions?: number;
  readonly domains?: readonly FailureDomain[];
  /** Payload bytes that it takes before TM-JOURNAL-FULL; trimming gives them back. Default 64 MiB. */
  readonly quotaBytes?: number;
  /** With a clock, an append takes `delayMs` of its time; without one, appends are durable in the next microtask. */
  readonly clock?: Clock;
  readonly delayMs?: number;
}

/** What the next append comes to. `unknown` stops the journal, as a failed fsync does; `lost` says whether the records are there after it. */
export type SimulatedFailure = { readonly kind: "full" } | { readonly kind: "unknown"; readonly lost: boolean };

interface Pending {
  readonly records: JournalRecord[];
  readonly resolve: (appended: AppendedRecord[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The journal's port in memory, for tests: appends become durable after a delay, or when the test says so (`hold`,
 * `release`), and fail as the test says (`failNext`). It passes the same contract suite as the embedded one.
 */
export class SimulatedJournal implements Journal {
  readonly id: JournalId;
  readonly partitions: number;
  readonly domains: readonly FailureDomain[];
  readonly #quotaBytes: number;
  readonly #clock: Clock | undefined;
  readonly #delayMs: number;
  #records: JournalRecord[] = [];
  #oldest = 1n;
  #durable = 0n;
  #next = 1n;
  #bytes = 0;
  #trimSafe = 0n;
  #generation = 1;
  #pending: Pending[] = [];
  #held = false;
  #failures: SimulatedFailure[] = [];
  #stopped: { code: "TM-JOURNAL-STOPPED"; message: string } | undefined;
  readonly #listeners = new Set<(durable: Sequence) => void>();

  constructor(options: SimulatedJournalOptions = {}) {
    this.id = options.id ?? SIMULATED_JOURNAL_ID;
    this.partitions = options.partitions ?? 4;
    this.domains = options.domains ?? [{ machine: "simulated" }];
    this.#quotaBytes = options.quotaBytes ?? 64 * 1024 * 1024;
    this.#clock = options.clock;
    this.#delayMs = options.delayMs ?? 0;
  }

  append(entries: readonly JournalEntry[]): Promise<AppendedRecord[]> {
    try {
      const failure = this.#check(entries);
      const records = entries.map((entry) => this.#place(entry));
      return new Promise((resolve, reject) => {
        if (failure !== undefined) return this.#fail(failure, { records, resolve, reject });
        this.#pending.push({ records, resolve, reject });
        if (this.#held) return;
        if (this.#clock === undefined) queueMicrotask(() => this.#settle(1));
        else this.#clock.setTimer(this.#delayMs, () => this.#settle(1));
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** From now on appends wait, not durable, until `release`. */
  hold(): void {
    this.#held = true;
  }

  /** Makes what waits durable, in order: all of it and lets later appends through, or only the first `count` appends. */
  release(count?: number): void {
    if (count === undefined) this.#held = false;
    this.#settle(count ?? this.#pending.length);
  }

  /** How many appends wait to become durable. */
  get waiting(): number {
    return this.#pending.length;
  }

  /** The next append (not one that waits already) fails so. Several are used in order. */
  failNext(failure: SimulatedFailure): void {
    this.#failures.push(failure);
  }

  /** Forgets everything up to `upTo` at once, as the healing window would; only what is trim-safe. */
  trim(upTo: Sequence): void {
    const last = upTo < this.#trimSafe ? upTo : this.#trimSafe;
    const kept = this.#records.filter((record) => record.sequence > last);
    this.#bytes = kept.reduce((sum, record) => sum + record.payload.length, 0);
    this.#records = kept;
    if (last >= this.#oldest) this.#oldest = last + 1n;
  }

  /** Changes bytes of a durable record behind everybody's back; reading it then rejects with TM-JOURNAL-DAMAGED. */
  damage(sequence: Sequence): void {
    this.#damaged.add(sequence);
  }

  readonly #damaged = new Set<Sequence>();

  async read(from: Sequence, upTo: Sequence, limits: { records: number; bytes: number }): Promise<JournalRecord[]> {
    await Promise.resolve();
    const last = upTo < this.#durable ? upTo : this.#durable;
    if (from > last) return [];
    if (from < this.#oldest) {
      throw new TidemarkError(
        "TM-JOURNAL-TRIMMED",
        `records ${from} to ${this.#oldest - 1n} were asked for; the oldest kept is ${this.#oldest}`,
        {
          details: { from, upTo: this.#oldest - 1n },
        },
      );
    }
    const records: JournalRecord[] = [];
    let bytes = 0;
    for (let index = Number(from - this.#oldest); index < this.#records.length && records.length < Math.max(1, limits.records); index++) {
      const record = this.#records[index];
      if (record === undefined || record.sequence > last) break;
      if (this.#damaged.has(record.sequence)) {
        if (records.length > 0) break;
        throw new TidemarkError("TM-JOURNAL-DAMAGED", `record ${record.sequence} is damaged`, {
          details: { from: record.sequence, upTo: record.sequence },
        });
      }
      bytes += record.payload.length;
      if (records.length > 0 && bytes > limits.bytes) break;
      records.push(record);
    }
    return records;
  }

  extent(): JournalExtent {
    return { oldest: this.#oldest as Sequence, durable: this.#durable as Sequence };
  }

  status(): JournalStatus {
    const oldest = this.#records[0];
    return {
      ...this.extent(),
      id: this.id,
      state: this.#stopped === undefined ? "open" : "stopped",
      ...(this.#stopped === undefined ? {} : { reason: this.#stopped }),
      bytes: this.#bytes,
      quotaBytes: this.#quotaBytes,
      segments: 1,
      ...(oldest === undefined ? {} : { oldestAcceptedAtMs: oldest.acceptedAtMs }),
      trimSafe: this.#trimSafe as Sequence,
      partitions: this.partitions,
      generation: this.#generation,
    };
  }

  onDurable(listener: (durable: Sequence) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  markTrimSafe(upTo: Sequence): void {
    const bounded = upTo > this.#durable ? this.#durable : upTo;
    if (bounded > this.#trimSafe) this.#trimSafe = bounded;
  }

  async close(): Promise<void> {
    this.release();
    await Promise.resolve();
    this.#stopped ??= { code: "TM-JOURNAL-STOPPED", message: "the journal was closed" };
  }

  #check(entries: readonly JournalEntry[]): SimulatedFailure | undefined {
    if (this.#stopped !== undefined) throw new TidemarkError("TM-JOURNAL-STOPPED", `append refused: ${this.#stopped.message}`);
    const bytes = entries.reduce((sum, entry) => sum + entry.payload.length, 0);
    for (const entry of entries) {
      if (entry.payload.length > MAX_PAYLOAD_BYTES)
        throw new TidemarkError("TM-JOURNAL-TOO-LARGE", `a payload has ${entry.payload.length} bytes, at most ${MAX_PAYLOAD_BYTES}`);
    }
    const failure = this.#failures.shift();
    if (failure?.kind === "full") throw new TidemarkError("TM-JOURNAL-FULL", "append refused: the journal is full");
    if (this.#bytes + bytes > this.#quotaBytes)
      throw new TidemarkError("TM-JOURNAL-FULL", `append of ${bytes} bytes refused: ${this.#bytes} of ${this.#quotaBytes} are used`);
    this.#bytes += bytes;
    return failure;
  }

  #place(entry: JournalEntry): JournalRecord {
    const sequence = this.#next as Sequence;
    this.#next += 1n;
    return { ...entry, sequence, partition: entry.partition ?? partitionOfKey(entry.key, this.partitions), generation: this.#generation };
  }

  #settle(count: number): void {
    for (const pending of this.#pending.splice(0, count)) {
      this.#store(pending.records);
      pending.resolve(pending.records.map(({ sequence, partition, generation }) => ({ sequence, partition, generation })));
    }
  }

  #store(records: JournalRecord[]): void {
    if (records.length === 0) return;
    for (const record of records) this.#records.push(record);
    this.#durable = records.at(-1)?.sequence ?? this.#durable;
    for (const listener of this.#listeners) listener(this.#durable as Sequence);
  }

  #fail(failure: SimulatedFailure, pending: Pending): void {
    this.#stopped = { code: "TM-JOURNAL-STOPPED", message: "a write or fsync failed" };
    const error = new TidemarkError("TM-JOURNAL-UNKNOWN", "append: fsync failed; the records may or may not be durable");
    for (const earlier of this.#pending.splice(0)) {
      if (failure.kind === "unknown" && !failure.lost) this.#records.push(...earlier.records);
      earlier.reject(error);
    }
    if (failure.kind === "unknown" && !failure.lost) this.#records.push(...pending.records);
    pending.reject(error);
  }
}
