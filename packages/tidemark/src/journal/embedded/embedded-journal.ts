import type { JournalId, Partition, Sequence } from "@tidemark/kernel/brands";
import type { Clock, Timer } from "@tidemark/kernel/clock";
import { TidemarkError, assert, type ErrorCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { JournalConfig } from "../../config/config.ts";
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
import {
  FORMAT_VERSION,
  HEADER_BYTES,
  MAX_KEY_BYTES,
  MAX_RECORD_BYTES,
  SECTOR_BYTES,
  recordBytes,
  toSector,
  type GenerationPayload,
} from "../segment-format.ts";
import { FilesReader } from "./files-reader.ts";
import type { FileLock, Files } from "./files.ts";
import { Group, type Waiter } from "./group.ts";
import { Housekeeper } from "./housekeeper.ts";
import type { Recovered } from "./recovery.ts";
import { SegmentStore, type WriteSegment } from "./segment-store.ts";

/** The most bytes of one group: a write long enough to use the disk well, short enough not to hold up the next. */
const GROUP_BYTES = 2 * 1_048_576;
/** Bytes that wait for the disk, at most; beyond it appends are refused with TM-JOURNAL-BUSY. Also the most of one append. */
const PENDING_BYTES = 64 * 1_048_576;
/** Group buffers kept for use again; more are given back to the memory. */
const SPARE_BUFFERS = 4;
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
  readonly #seed: number;
  readonly #listeners = new Set<(durable: Sequence) => void>();
  readonly #buffers: Buffer[] = [];
  #generation: number;
  #nextSequence: number;
  #durable: number;
  /** Where the next group goes. */
  #plan: { segment: WriteSegment; offset: number } | undefined;
  /** The segment of the last durable group; the plan may be ahead of it. */
  #writing: WriteSegment | undefined;
  #collecting: Group | undefined;
  readonly #sealed: Group[] = [];
  #committing: Group | undefined;
  #pendingBytes = 0;
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
    this.#seed = recovered.manifest.seed;
    this.partitions = config.partitions;
    this.domains = [config.domain];
    this.#generation = recovered.generation;
    this.#nextSequence = recovered.nextSequence;
    this.#durable = recovered.nextSequence - 1;
    this.#store = new SegmentStore(world.files, config.directory, { segmentBytes: config.segmentBytes, recovered });
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
      this.#plan = { segment, offset: recovered.end };
      this.#writing = segment;
    }
    for (const segment of this.#store.ready) segment.file = await this.#store.openFile(segment);
    await this.#keeper.begin();
    const before = recovered.partitions;
    if (before === undefined || before === this.partitions) return;
    this.#generation = recovered.generation + 1;
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
    const appended: AppendedRecord[] = [];
    let group: Group | undefined;
    for (const entry of entries) {
      const partition = entry.partition ?? partitionOfKey(entry.key, this.partitions);
      const keyBytes = Buffer.byteLength(entry.key, "utf8");
      const sequence = this.#nextSequence++;
      group = this.#groupFor(recordBytes(keyBytes, entry.payload.length), sequence);
      const before = group.length;
      group.add({
        place: {
          seed: this.#seed,
          sequence,
          groupStart: group.firstSequence,
          kind: entry.kind,
          generation: this.#generation,
          partition,
          acceptedAtMs: entry.acceptedAtMs,
        },
        key: entry.key,
        keyBytes,
        payload: entry.payload,
      });
      this.#pendingBytes += group.length - before;
      appended.push({ sequence: BigInt(sequence) as Sequence, partition, generation: this.#generation });
    }
    this.#refused = undefined;
    this.#schedule();
    return new Promise((resolve, reject) => void group?.waiters.push({ appended, resolve, reject }));
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
      generation: this.#generation,
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
      this.#addMark();
      await this.#drain();
    }
    this.#markTimer?.clear();
    await this.#keeper.close();
    for (const segment of new Set([this.#writing, this.#plan?.segment])) await segment?.file?.close();
    await this.#store.close();
    await this.#reader.close();
    this.#lock.release();
  }

  /** Waits until nothing is on its way to the disk. Groups whose segment cannot be made are given up. */
  async #drain(): Promise<void> {
    this.#pump();
    while (this.#committing !== undefined || this.#sealed.length > 0) {
      if (this.#committing === undefined) {
        await this.#keeper.settle();
        this.#pump();
      }
      if (this.#committing === undefined && this.#sealed.length > 0) this.#stop(new Error("no segment could be made for the last appends"));
      if (this.#committing !== undefined) await new Promise<void>((resolve) => void this.#onProgress.push(resolve));
    }
  }

  /** Everything that may refuse an append, before anything is laid out. */
  #admit(entries: readonly JournalEntry[]): void {
    if (this.#stopped !== undefined) throw new TidemarkError("TM-JOURNAL-STOPPED", `append refused: ${this.#stopped.message}`);
    let total = 0;
    const largest = Math.min(MAX_RECORD_BYTES, this.#store.segmentBytes - HEADER_BYTES - SECTOR_BYTES);
    for (const { key, payload, acceptedAtMs } of entries) {
      assert(Number.isSafeInteger(acceptedAtMs) && acceptedAtMs >= 0, "acceptedAtMs is a whole number of milliseconds");
      const keyBytes = Buffer.byteLength(key, "utf8");
      const bytes = recordBytes(keyBytes, payload.length);
      if (payload.length > MAX_PAYLOAD_BYTES || bytes > largest)
        throw new TidemarkError(
          "TM-JOURNAL-TOO-LARGE",
          `a payload of ${payload.length} bytes was refused; at most ${Math.min(MAX_PAYLOAD_BYTES, largest)} fit`,
        );
      if (keyBytes > MAX_KEY_BYTES)
        throw new TidemarkError("TM-JOURNAL-TOO-LARGE", `a key of ${keyBytes} bytes was refused, at most ${MAX_KEY_BYTES}`);
      total += bytes;
    }
    if (total > PENDING_BYTES)
      throw new TidemarkError("TM-JOURNAL-TOO-LARGE", `an append of ${total} bytes was refused, at most ${PENDING_BYTES}`);
    if (this.#pendingBytes + total > PENDING_BYTES)
      throw new TidemarkError("TM-JOURNAL-BUSY", `append of ${total} bytes refused: ${this.#pendingBytes} bytes wait for the disk`);
    const full = this.#keeper.lowDisk ?? this.#outOfRoom(entries, total);
    if (full === undefined) return;
    this.#refused = full;
    this.#keeper.hurry();
    throw new TidemarkError("TM-JOURNAL-FULL", `append of ${total} bytes refused: ${full.message}`);
  }

  /** Walks the records over the segments that there are and that may be made. Counts padding generously, so that what is admitted fits. */
  #outOfRoom(entries: readonly JournalEntry[], total: number): { code: ErrorCode; message: string } | undefined {
    const slack = SECTOR_BYTES * (1 + Math.ceil(total / (GROUP_BYTES - MAX_RECORD_BYTES)));
    const plan = this.#plan;
    const at = this.#collecting?.end ?? plan?.offset ?? 0;
    let room = plan === undefined ? 0 : plan.segment.bytes - SECTOR_BYTES - at - slack;
    if (total <= room) return undefined;
    let ready = 0;
    let creatable = this.#keeper.creatableSegments();
    for (const { key, payload } of entries) {
      const bytes = recordBytes(Buffer.byteLength(key, "utf8"), payload.length);
      if (bytes > room) {
        const prepared = this.#store.ready[ready++];
        if (prepared === undefined && creatable-- <= 0) {
          return {
            code: "TM-JOURNAL-FULL",
            message: `${this.#store.usedBytes} of ${this.#keeper.quotaBytes} bytes of the quota are in use and nothing may be trimmed`,
          };
        }
        room = (prepared?.bytes ?? this.#store.segmentBytes) - HEADER_BYTES - SECTOR_BYTES;
      }
      room -= bytes;
    }
    return undefined;
  }

  /** The group that takes a record of `bytes`: the one that collects, or a new one behind it, in the next segment when this one is full. */
  #groupFor(bytes: number, sequence: number): Group {
    const current = this.#collecting;
    if (current?.hasRoom(bytes) === true) return current;
    this.#sealCollecting();
    const plan = this.#plan;
    const group =
      plan !== undefined && plan.offset + bytes <= plan.segment.bytes - SECTOR_BYTES
        ? this.#newGroup(plan, sequence)
        : this.#beginSegment(sequence);
    this.#collecting = group;
    return group;
  }

  #newGroup(plan: { segment: WriteSegment; offset: number }, sequence: number): Group {
    return new Group({
      ...plan,
      buffer: this.#buffers.pop() ?? Buffer.allocUnsafeSlow(Math.min(GROUP_BYTES, toSector(this.#store.segmentBytes))),
      firstSequence: sequence,
    });
  }

  #beginSegment(sequence: number): Group {
    const segment = this.#store.take();
    const createdAtMs = Math.floor(this.#world.clock.wallMs());
    segment.kept = {
      number: segment.number,
      bytes: segment.bytes,
      firstSequence: sequence,
      lastSequence: sequence - 1,
      createdAtMs,
      firstAcceptedAtMs: createdAtMs,
      newestAcceptedAtMs: 0,
    };
    this.#plan = { segment, offset: 0 };
    const group = this.#newGroup(this.#plan, sequence);
    group.addHeader({
      version: FORMAT_VERSION,
      seed: this.#seed,
      journal: this.id,
      segment: segment.number,
      firstSequence: sequence,
      createdAtMs,
      generation: this.#generation,
      partitions: this.partitions,
      segmentBytes: segment.bytes,
    });
    this.#pendingBytes += group.length;
    this.#keeper.hurry();
    return group;
  }

  #sealCollecting(): void {
    const group = this.#collecting;
    if (group === undefined) return;
    this.#collecting = undefined;
    const before = group.length;
    group.seal();
    this.#pendingBytes += group.length - before;
    this.#sealed.push(group);
    this.#plan = { segment: group.segment, offset: group.end };
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
    if (this.#sealed.length === 0) this.#sealCollecting();
    const group = this.#sealed[0];
    if (group === undefined) {
      this.#idle();
      return;
    }
    const file = group.segment.file;
    if (file === undefined) return; // Goes on when the segment is made: onPrepared.
    this.#sealed.shift();
    this.#committing = group;
    file.writeDurably(group.buffer, group.length, group.offset).then(
      () => this.#committed(group),
      (error: unknown) => this.#stop(error),
    );
  }

  #committed(group: Group): void {
    if (this.#committing !== group) return; // Stopped meanwhile: its appends have been told "unknown".
    this.#committing = undefined;
    this.#pendingBytes -= group.length;
    this.#lastCommitMs = this.#world.clock.monotonicMs();
    if (group.begins) this.#segmentBegun(group);
    const kept = group.segment.kept;
    if (kept !== undefined && group.lastSequence >= group.firstSequence) {
      if (kept.lastSequence < kept.firstSequence) kept.firstAcceptedAtMs = group.firstAcceptedAtMs;
      kept.lastSequence = group.lastSequence;
      kept.newestAcceptedAtMs = Math.max(kept.newestAcceptedAtMs, group.newestAcceptedAtMs);
    }
    if (this.#buffers.length < SPARE_BUFFERS) this.#buffers.push(group.buffer);
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
    if (this.#stopped !== undefined || this.#committing !== undefined || this.#collecting !== undefined || this.#sealed.length > 0) return;
    if (this.#world.clock.monotonicMs() - this.#lastCommitMs < MARK_AFTER_MS) {
      this.#idle();
      return;
    }
    this.#addMark();
    this.#pump();
  }

  /** A mark in a group of its own, when there are records that none covers and a sector is left. */
  #addMark(): void {
    const plan = this.#plan;
    if (plan === undefined || this.#markedUpTo >= this.#durable || plan.offset + SECTOR_BYTES > plan.segment.bytes || plan.offset === 0)
      return;
    this.#markedUpTo = this.#durable;
    const sequence = this.#nextSequence;
    const group = this.#newGroup(plan, sequence);
    group.add({
      place: {
        seed: this.#seed,
        sequence,
        groupStart: sequence,
        kind: "mark",
        generation: this.#generation,
        partition: 0,
        acceptedAtMs: Math.floor(this.#world.clock.wallMs()),
      },
      key: "",
      keyBytes: 0,
      payload: NOTHING,
    });
    this.#pendingBytes += group.length;
    this.#collecting = group;
    this.#sealCollecting();
  }

  /** FAIL-STOP: nothing is retried; what waits is told that its outcome is unknown. */
  #stop(error: unknown): void {
    const failed = this.#stopped === undefined;
    const message = `writing the journal failed (${error instanceof Error ? error.message : String(error)}); it has stopped`;
    if (failed) {
      this.#stopped = { code: "TM-JOURNAL-STOPPED", message };
      this.#world.logger.error({ err: error, durable: this.#durable }, message);
    }
    const groups = [this.#committing, ...this.#sealed.splice(0), this.#collecting];
    this.#committing = undefined;
    this.#collecting = undefined;
    const waiters: Waiter[] = groups.flatMap((group) => group?.waiters ?? []);
    const unknown = new TidemarkError("TM-JOURNAL-UNKNOWN", `append: ${message}; the records may or may not be durable`, {
      cause: error,
      details: { durable: this.#durable },
    });
    for (const waiter of waiters) waiter.reject(unknown);
    for (const resolve of this.#onProgress.splice(0)) resolve();
  }
}

const NOTHING = new Uint8Array(0);
