import type { JournalId, Partition, Sequence } from "@tidemark/kernel/brands";
import type { Clock, Timer } from "@tidemark/kernel/clock";
import { TidemarkError, assert, type ErrorCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { JournalConfig } from "../../config/config.ts";
import type { FailureDomain } from "../../objectives/failure-domain.ts";
import type { AppendedRecord, Journal, JournalEntry, JournalExtent, JournalRecord, JournalStatus } from "../journal.ts";
import type { GenerationPayload } from "../segment-format.ts";
import { admitSizes, fits, verdictReserveBytes } from "./admission.ts";
import { FilesReader } from "./files-reader.ts";
import type { FileLock, Files } from "./files.ts";
import type { Group, Waiter } from "./group.ts";
import { GroupLine } from "./group-line.ts";
import { Housekeeper } from "./housekeeper.ts";
import type { Recovered } from "./recovery.ts";
import { SegmentStore, type WriteSegment } from "./segment-store.ts";

/** After so long without a group a mark is written, so that damage to the last group is told from a torn tail. */
const MARK_AFTER_MS = 50;

export interface EmbeddedWorld {
  readonly files: Files;
  readonly clock: Clock;
  readonly logger: Logger;
  /** When a group is written after its first append: at the end of the event loop's turn in production, so that all requests of a turn share a group. */
  readonly defer: (run: () => void) => void;
}

/**
 * The segmented log on local disk. Order, on which ACK-DURABLE and recovery rest: a segment's zeros are durable, then the
 * manifest names it, then groups are written one after the other, each durable before the next is begun and before any of
 * its appends resolves. The commit path holds no lock and makes no promise per record: records are laid out in the
 * group's buffer as they come, one write takes the buffer, and while it runs the next group collects.
 */
export class EmbeddedJournal implements Journal {
  readonly id: JournalId;
  readonly partitions: number;
  readonly domains: readonly FailureDomain[];
  readonly #world: EmbeddedWorld;
  readonly #lock: FileLock;
  readonly #store: SegmentStore;
  readonly #keeper: Housekeeper;
  readonly #reader: FilesReader;
  readonly #line: GroupLine;
  readonly #listeners = new Set<(durable: Sequence) => void>();
  #durable: number;
  /** The segment of the last durable group; the line may be ahead of it. */
  #writing: WriteSegment | undefined;
  #committing: Group | undefined;
  #scheduled = false;
  #markedUpTo = 0;
  #lastCommitMs = 0;
  #markTimer: Timer | undefined;
  #stopped: { readonly code: ErrorCode; readonly message: string } | undefined;
  #refused: { readonly code: ErrorCode; readonly message: string } | undefined;
  #closed: Promise<void> | undefined;
  readonly #onProgress: (() => void)[] = [];

  constructor(world: EmbeddedWorld, config: JournalConfig, start: { recovered: Recovered; lock: FileLock }) {
    const { recovered } = start;
    this.#world = world;
    this.#lock = start.lock;
    this.id = recovered.manifest.journal;
    this.partitions = config.partitions;
    this.domains = [config.domain];
    this.#durable = recovered.nextSequence - 1;
    this.#store = new SegmentStore(world.files, config.directory, { segmentBytes: config.segmentBytes, recovered });
    const journal = { id: this.id, seed: recovered.manifest.seed, partitions: this.partitions };
    this.#line = new GroupLine(this.#store, world.clock, {
      journal,
      nextSequence: recovered.nextSequence,
      generation: recovered.generation,
    });
    this.#reader = new FilesReader(world.files, config.directory, recovered.manifest);
    this.#keeper = new Housekeeper(world, config, this.#store, {
      onTrimmed: () => (this.#refused = undefined),
      onFault: (error) => this.#stop(error),
      onPrepared: () => this.#pump(),
    });
  }

  /** Prepares the first segment and, when the number of partitions has changed, begins the next generation (R12). */
  async begin(recovered: Recovered): Promise<void> {
    const last = this.#store.kept.at(-1);
    if (last !== undefined) {
      const segment: WriteSegment = { number: last.number, bytes: last.bytes, file: await this.#store.openFile(last), kept: last };
      this.#line.resumeAt({ segment, offset: recovered.end });
      this.#writing = segment;
    }
    for (const segment of this.#store.ready) segment.file = await this.#store.openFile(segment);
    await this.#keeper.begin();
    const before = recovered.partitions;
    if (before === undefined || before === this.partitions) return;
    this.#line.generation = recovered.generation + 1;
    const payload: GenerationPayload = { v: 1, partitions: this.partitions, before };
    await this.append([
      {
        kind: "generation",
        key: "",
        partition: 0 as Partition,
        acceptedAtMs: Math.floor(this.#world.clock.wallMs()),
        payload: Buffer.from(JSON.stringify(payload)),
      },
    ]);
  }

  append(entries: readonly JournalEntry[]): Promise<AppendedRecord[]> {
    if (entries.length === 0) return Promise.resolve([]);
    try {
      this.#admit(entries);
    } catch (error) {
      return Promise.reject(error);
    }
    const before = this.#line.segment;
    const added = this.#line.add(entries);
    assert(added !== undefined, "an append has entries");
    this.#refused = undefined;
    if (this.#line.segment !== before) this.#keeper.hurry(); // One segment ahead again.
    this.#schedule();
    return new Promise((resolve, reject) => void added.group.waiters.push({ appended: added.appended, resolve, reject }));
  }

  read(from: Sequence, upTo: Sequence, limits: { records: number; bytes: number }): Promise<JournalRecord[]> {
    const durable = BigInt(this.#durable) as Sequence;
    return this.#reader.read(from, upTo < durable ? upTo : durable, limits);
  }

  extent(): JournalExtent {
    const oldest = this.#store.kept[0]?.firstSequence ?? this.#store.manifest.firstSequence;
    return { oldest: BigInt(oldest) as Sequence, durable: BigInt(this.#durable) as Sequence };
  }

  status(): JournalStatus {
    const extent = this.extent();
    const oldest = extent.oldest <= extent.durable ? this.#store.kept[0]?.firstAcceptedAtMs : undefined;
    const reason = this.#stopped ?? this.#keeper.lowDisk ?? this.#refused;
    return {
      ...extent,
      id: this.id,
      state: this.#stopped === undefined ? (reason === undefined ? "open" : "full") : "stopped",
      ...(reason === undefined ? {} : { reason }),
      bytes: this.#store.usedBytes,
      quotaBytes: this.#keeper.quotaBytes,
      segments: this.#store.kept.length,
      ...(oldest === undefined ? {} : { oldestAcceptedAtMs: oldest }),
      trimSafe: BigInt(this.#keeper.trimSafe) as Sequence,
      partitions: this.partitions,
      generation: this.#line.generation,
    };
  }

  onDurable(listener: (durable: Sequence) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  markTrimSafe(upTo: Sequence): void {
    this.#keeper.markTrimSafe(Math.min(Number(upTo), this.#durable));
  }

  /** Waits for what was appended, writes a mark, and gives the lock back. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const failed = this.#stopped;
    this.#stopped ??= { code: "TM-JOURNAL-STOPPED", message: "the journal was closed" };
    if (failed === undefined) {
      await this.#drain();
      if (this.#markedUpTo < this.#durable) this.#line.addMark();
      await this.#drain();
    }
    this.#markTimer?.clear();
    await this.#keeper.close();
    for (const segment of new Set([this.#writing, this.#line.segment])) await segment?.file?.close();
    await this.#store.close();
    await this.#reader.close();
    this.#lock.release();
  }

  /** Waits until nothing is on its way to the disk. Groups whose segment cannot be made are given up. */
  async #drain(): Promise<void> {
    this.#pump();
    while (this.#committing !== undefined || !this.#line.isEmpty) {
      if (this.#committing === undefined) {
        await this.#keeper.settle();
        this.#pump();
      }
      if (this.#committing === undefined && !this.#line.isEmpty) this.#stop(new Error("no segment could be made for the last appends"));
      if (this.#committing !== undefined) await new Promise<void>((resolve) => void this.#onProgress.push(resolve));
    }
  }

  /** Everything that may refuse an append, before anything is laid out. */
  #admit(entries: readonly JournalEntry[]): void {
    if (this.#stopped !== undefined) throw new TidemarkError("TM-JOURNAL-STOPPED", `append refused: ${this.#stopped.message}`);
    const { segmentBytes, ready } = this.#store;
    const total = admitSizes(entries, { segmentBytes, pendingBytes: this.#line.pendingBytes });
    // Without room for a verdict the applier could not go on, so nothing would ever become safe to trim: writes leave some.
    const reserve = entries.some((entry) => entry.kind === "write") ? verdictReserveBytes(segmentBytes) : 0;
    const full =
      (reserve > 0 ? this.#keeper.lowDisk : undefined) ??
      this.#outOfRoom(
        fits(entries, total, { here: this.#line.room - reserve, ready, creatable: () => this.#keeper.creatableSegments(), segmentBytes }),
      );
    if (full === undefined) return;
    this.#refused = full;
    this.#keeper.hurry();
    throw new TidemarkError("TM-JOURNAL-FULL", `append of ${total} bytes refused: ${full.message}`);
  }

  #outOfRoom(fitting: boolean): { code: ErrorCode; message: string } | undefined {
    if (fitting) return undefined;
    return {
      code: "TM-JOURNAL-FULL",
      message: `${this.#store.usedBytes} of ${this.#keeper.quotaBytes} bytes of the quota are in use and nothing may be trimmed`,
    };
  }

  #schedule(): void {
    if (this.#scheduled || this.#committing !== undefined) return;
    this.#scheduled = true;
    this.#world.defer(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** Writes the next group, if none is being written. */
  #pump(): void {
    if (this.#committing !== undefined) return;
    const group = this.#line.first();
    if (group === undefined) {
      this.#idle();
      return;
    }
    const file = group.segment.file;
    if (file === undefined) return; // Goes on when the segment is made: onPrepared.
    this.#line.shift();
    this.#committing = group;
    file.writeDurably(group.buffer, group.length, group.offset).then(
      () => this.#committed(group),
      (error: unknown) => this.#stop(error),
    );
  }

  #committed(group: Group): void {
    if (this.#committing !== group) return; // Stopped meanwhile: its appends have been told "unknown".
    this.#committing = undefined;
    this.#line.release(group);
    this.#lastCommitMs = this.#world.clock.monotonicMs();
    if (group.begins) this.#segmentBegun(group);
    const kept = group.segment.kept;
    if (kept !== undefined && group.lastSequence >= group.firstSequence) {
      if (kept.lastSequence < kept.firstSequence) kept.firstAcceptedAtMs = group.firstAcceptedAtMs;
      kept.lastSequence = group.lastSequence;
      kept.newestAcceptedAtMs = Math.max(kept.newestAcceptedAtMs, group.newestAcceptedAtMs);
    }
    if (group.lastSequence > this.#durable) this.#advance(group.lastSequence);
    this.#pump(); // The next group is on its way to the disk while these are answered.
    for (const waiter of group.waiters) waiter.resolve(waiter.appended);
    for (const resolve of this.#onProgress.splice(0)) resolve();
  }

  #advance(durable: number): void {
    this.#durable = durable;
    const announced = BigInt(durable) as Sequence;
    for (const listener of this.#listeners) listener(announced);
  }

  #segmentBegun(group: Group): void {
    if (group.segment.kept !== undefined) this.#store.kept.push(group.segment.kept);
    const before = this.#writing;
    this.#writing = group.segment;
    // All of it is durable; a failing close of a file that takes no more groups says nothing about them.
    before?.file
      ?.close()
      .catch((error: unknown) => this.#world.logger.warn({ err: error, segment: before.number }, "closing a finished segment failed"));
  }

  #idle(): void {
    if (this.#stopped !== undefined || this.#markTimer !== undefined || this.#markedUpTo >= this.#durable) return;
    this.#markTimer = this.#world.clock.setTimer(MARK_AFTER_MS, () => this.#markWhenIdle(), { keepAlive: false });
  }

  #markWhenIdle(): void {
    this.#markTimer = undefined;
    if (this.#stopped !== undefined || this.#committing !== undefined || !this.#line.isEmpty) return;
    if (this.#world.clock.monotonicMs() - this.#lastCommitMs < MARK_AFTER_MS) {
      this.#idle();
      return;
    }
    this.#markedUpTo = this.#durable;
    this.#line.addMark();
    this.#pump();
  }

  /** FAIL-STOP: nothing is retried; what waits is told that its outcome is unknown. */
  #stop(error: unknown): void {
    const failed = this.#stopped === undefined;
    const message = `writing the journal failed (${error instanceof Error ? error.message : String(error)}); it has stopped`;
    if (failed) {
      this.#stopped = { code: "TM-JOURNAL-STOPPED", message };
      this.#world.logger.error({ err: error, durable: this.#durable }, message);
    }
    const groups = [this.#committing, ...this.#line.abandon()];
    this.#committing = undefined;
    const waiters: Waiter[] = groups.flatMap((group) => group?.waiters ?? []);
    const unknown = new TidemarkError("TM-JOURNAL-UNKNOWN", `append: ${message}; the records may or may not be durable`, {
      cause: error,
      details: { durable: this.#durable },
    });
    for (const waiter of waiters) waiter.reject(unknown);
    for (const resolve of this.#onProgress.splice(0)) resolve();
  }
}
