// The history of figures: what was known every second, for hours; in buckets of a minute, for days; in buckets of an hour, for
// more than a year. Embedded, bounded, and no truth of anything: measuring and alerts go on without it, and say so.
import { rmSync, renameSync } from "node:fs";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Figure } from "../probes/probe-result.ts";
import type { Bucket } from "./bucket.ts";
import { bucketOf, EMPTY_BUCKET, mergeBuckets } from "./bucket.ts";
import type { FrameSample } from "./frame.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";
import type { BucketRow } from "./history-file.ts";
import { bucketOfRow, HistoryFile } from "./history-file.ts";
import type { HistoryOptions } from "./history-options.ts";
import { HISTORY_DEFAULTS } from "./history-options.ts";
import type { OpenBlock } from "./open-minutes.ts";
import { OpenMinutes } from "./open-minutes.ts";
import type { RangePlan, RangeQuestion, Tier } from "./resolution.ts";
import { planRange, TIER_MS } from "./resolution.ts";
import { decodeBlock, encodeBlock, type SecondBlock } from "./second-block.ts";
import type { SeriesName } from "./series-book.ts";
import { SeriesBook } from "./series-book.ts";
import { Trimming } from "./trimming.ts";

const MINUTE_MS = 60_000;

/** A minute that is over is written within so many records, and at least so many series a record. */
const WRITE_WITHIN_RECORDS = 30;
const LEAST_WRITES = 20;

/** After a fault other than a full disk the file is opened again every so many records. */
const REOPEN_EVERY = 30;

/** SQLite's result codes (https://www.sqlite.org/rescode.html). */
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

export interface HistoryReading {
  /** From {@link History.series}. */
  readonly series: number;
  /** Unknown is recorded as unknown, and never as a number. */
  readonly figure: Figure<number>;
}

export interface HistoryRange {
  /** The resolution that answered. */
  readonly tier: Tier;
  readonly stepMs: number;
  /** One a step, without a hole: a gap is a bucket in which nothing was looked at. */
  readonly startMs: number;
  readonly buckets: readonly Bucket[];
}

export interface HistoryState {
  /** Whether the last record is in the file. */
  readonly writing: boolean;
  readonly fault?: TidemarkError;
  /** Samples that are in no file and not in memory any more: gaps. */
  readonly droppedSamples: number;
  /** Series that were asked for beyond the limit. */
  readonly refusedSeries: number;
  readonly series: number;
}

export class History {
  readonly #path: string;
  readonly #options: HistoryOptions;
  readonly #onFault: (error: TidemarkError) => void;
  readonly #open = new OpenMinutes();
  readonly #book: SeriesBook;
  #trimming: Trimming;
  #file: HistoryFile | undefined;
  #nextFrame = 1;
  #minute: number | undefined;
  #quota = LEAST_WRITES;
  #fault: TidemarkError | undefined;
  #records = 0;
  #dropped = 0;

  /**
   * Opens or makes the file; `:memory:` for tests. A damaged file is put aside as `<path>.damaged` and a new one is begun.
   * Throws TM-HISTORY-VERSION, and TM-HISTORY-AWAY when it cannot be opened: also while another process has it.
   * @param options.onFault called once for every fault that begins: writing fails, or a damaged file was put aside.
   */
  constructor(path: string, options: Partial<HistoryOptions> & { readonly onFault?: (error: TidemarkError) => void } = {}) {
    const { onFault, ...limits } = options;
    this.#path = path;
    this.#options = { ...HISTORY_DEFAULTS, ...limits };
    this.#onFault = onFault ?? ((): void => undefined);
    this.#book = new SeriesBook(this.#options.mostSeries);
    try {
      this.#file = this.#openFile();
      this.#load(this.#file);
    } catch (cause) {
      if (cause instanceof TidemarkError) throw cause;
      throw new TidemarkError("TM-HISTORY-AWAY", "the history's file could not be opened", { cause });
    }
    const last = this.#file.row("lastTime") as { ms: number } | undefined;
    this.#trimming = new Trimming(this.#options, last?.ms);
  }

  /** The series of this metric and labels, for {@link record}; undefined beyond the limit of series. */
  series(name: SeriesName): number | undefined {
    return this.#book.register(name);
  }

  /** All series, or those of a metric whose labels have these values. */
  list(metric?: string, labels: Readonly<Record<string, string>> = {}): SeriesName[] {
    return this.#book.list(metric, labels);
  }

  /** Records what is known at `atMs`, wall time: one call a second, in one transaction. Never throws for faults of the disk: see {@link state}. */
  record(atMs: number, readings: Iterable<HistoryReading>): void {
    if (!(atMs >= 0 && Number.isFinite(atMs))) return;
    const samples: FrameSample[] = [];
    for (const { series, figure } of readings) {
      if (!this.#book.has(series)) continue;
      const value = figure.known && Number.isFinite(figure.value) ? figure.value : undefined;
      samples.push({ series, value });
    }
    const frame = this.#nextFrame++;
    this.#records++;
    this.#dropped += this.#open.add({ secondMs: atMs, frame }, samples);
    const minute = Math.floor(atMs / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#quota = Math.max(LEAST_WRITES, Math.ceil(this.#open.closedCount(minute) / WRITE_WITHIN_RECORDS));
    }
    this.#attempt((file) => {
      this.#write(file, { frame, atMs, minute, samples });
    });
    // Also while the disk is full: removing may be what makes room.
    if (this.#file !== undefined)
      this.#attempt((file) => {
        this.#trimming.step(atMs, file, {
          series: () => this.#book.ids(),
          before: (series) => this.#rollIdle(file, { series, hour: Math.floor(minute / 60) }),
          after: (series) => this.#dropSeries(file, series),
        });
      }, "trim");
  }

  /** Throws TM-HISTORY-RANGE, TM-HISTORY-NO-SERIES and TM-HISTORY-AWAY. */
  range(name: SeriesName, question: RangeQuestion): HistoryRange {
    const file = this.#file;
    if (file === undefined) throw this.#fault ?? new TidemarkError("TM-HISTORY-AWAY", "the history is closed");
    try {
      return this.#range(file, name, question);
    } catch (cause) {
      if (cause instanceof TidemarkError) throw cause;
      throw new TidemarkError("TM-HISTORY-AWAY", "the history's file could not be read", { cause });
    }
  }

  state(): HistoryState {
    return {
      writing: this.#fault === undefined,
      ...(this.#fault === undefined ? {} : { fault: this.#fault }),
      droppedSamples: this.#dropped,
      refusedSeries: this.#book.refused,
      series: this.#book.size,
    };
  }

  /** What is not written per series yet is in the frames, and read by the next start. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #range(file: HistoryFile, name: SeriesName, question: RangeQuestion): HistoryRange {
    const series = this.#book.find(name);
    if (series === undefined) throw new TidemarkError("TM-HISTORY-NO-SERIES", `there is no such series of ${name.metric.slice(0, 80)}`);
    const kept: Record<Tier, number> = { seconds: 0, minutes: 0, hours: 0 };
    for (const row of file.rows("kept") as Iterable<{ tier: Tier; from_ms: number }>) kept[row.tier] = row.from_ms;
    const plan = planRange(question, kept);
    const buckets = Array.from({ length: plan.count }, () => EMPTY_BUCKET);
    const add = (atMs: number, bucket: Bucket): void => {
      const index = Math.floor((atMs - plan.startMs) / plan.stepMs);
      if (index >= 0 && index < plan.count) buckets[index] = mergeBuckets(buckets[index] ?? EMPTY_BUCKET, bucket);
    };
    const addBlock = (minute: number, block: SecondBlock): void => {
      for (const [index, offset] of block.offsets.entries()) add(minute * MINUTE_MS + offset * 1_000, bucketOf(block.values[index]));
    };
    this.#readTier(file, { series, plan, add, addBlock });
    for (const { minute, block } of this.#open.of(series)) addBlock(minute, block.toBlock());
    return { tier: plan.tier, stepMs: plan.stepMs, startMs: plan.startMs, buckets };
  }

  #readTier(
    file: HistoryFile,
    read: {
      readonly series: number;
      readonly plan: RangePlan;
      readonly add: (atMs: number, bucket: Bucket) => void;
      readonly addBlock: (minute: number, block: SecondBlock) => void;
    },
  ): void {
    const { series, plan } = read;
    const endMs = plan.startMs + plan.count * plan.stepMs;
    const minutes = [Math.floor(plan.startMs / MINUTE_MS), Math.ceil(endMs / MINUTE_MS)] as const;
    if (plan.tier === "seconds") {
      for (const row of file.rows("blocks", series, ...minutes) as Iterable<{ start: number; body: Uint8Array }>) {
        const block = decodeBlock(row.body);
        if (block !== undefined) read.addBlock(row.start, block);
      }
      return;
    }
    let [fromMinute] = minutes;
    if (plan.tier === "hours") {
      const hours = [Math.floor(plan.startMs / TIER_MS.hours), Math.ceil(endMs / TIER_MS.hours)] as const;
      for (const row of file.rows("hours", series, ...hours) as Iterable<BucketRow>) read.add(row.start * TIER_MS.hours, bucketOfRow(row));
      // The hours from there on have no bucket yet.
      fromMinute = Math.max(fromMinute, this.#book.rolled(series) * 60);
    }
    for (const row of file.rows("minutes", series, fromMinute, minutes[1]) as Iterable<BucketRow>)
      read.add(row.start * MINUTE_MS, bucketOfRow(row));
  }

  #write(file: HistoryFile, now: { frame: number; atMs: number; minute: number; samples: readonly FrameSample[] }): void {
    const written: { series: number; minute: number }[] = [];
    const rolled = new Map<number, number>();
    file.transaction(() => {
      file.run("addFrame", now.frame, Math.floor(now.atMs), encodeFrame(now.samples));
      for (const one of this.#open.closed(now.minute, this.#quota)) {
        this.#writeBlock(file, one, rolled);
        written.push(one);
      }
    });
    for (const [series, hour] of rolled) this.#book.setRolled(series, hour);
    for (const { series, minute } of written) this.#open.written(minute, series);
    // Apart: a frame that stays too long is read again and left out.
    if (written.length > 0) file.run("dropFrames", this.#open.firstFrame() ?? now.frame);
  }

  #writeBlock(file: HistoryFile, one: { series: number; minute: number; block: OpenBlock }, rolled: Map<number, number>): void {
    const { series, minute } = one;
    const block = one.block.toBlock();
    const { lastFrame } = one.block;
    const row = file.row("block", series, minute) as { through: number; body: Uint8Array } | undefined;
    if (row !== undefined && row.through >= lastFrame) return;
    const before = row === undefined ? undefined : decodeBlock(row.body);
    const all =
      before === undefined ? block : { offsets: [...before.offsets, ...block.offsets], values: [...before.values, ...block.values] };
    file.run("setBlock", series, minute, lastFrame, encodeBlock(all));
    const bucket = block.values.reduce((sum: Bucket, value) => mergeBuckets(sum, bucketOf(value)), EMPTY_BUCKET);
    file.addBucket("addMinute", { series, start: minute }, bucket);
    const hour = Math.floor(minute / 60);
    const until = rolled.get(series) ?? this.#book.rolled(series);
    // A clock was set back: that hour has its bucket already.
    if (hour < until) file.addBucket("addHour", { series, start: hour }, bucket);
    else if (hour > until) {
      if (until > 0) file.run("rollUp", series, until * 60, hour * 60);
      file.run("setRolled", hour, series);
      rolled.set(series, hour);
    }
  }

  /** A series that is not recorded any more has its last hours without a bucket: before their minutes go. */
  #rollIdle(file: HistoryFile, { series, hour }: { series: number; hour: number }): void {
    const until = this.#book.rolled(series);
    if (until === 0 || until >= hour - 1) return;
    file.run("rollUp", series, until * 60, (hour - 1) * 60);
    file.run("setRolled", hour - 1, series);
    this.#book.setRolled(series, hour - 1);
  }

  #dropSeries(file: HistoryFile, series: number): void {
    if (this.#book.isUsed(series)) return;
    if (file.run("dropSeries", series) > 0) this.#book.drop(series);
  }

  /** FAIL-STOP: after a fault the file is opened anew before it is written again; a full disk is no fault of the file. */
  #attempt(work: (file: HistoryFile) => void, what: "write" | "trim" = "write"): void {
    try {
      if (this.#file === undefined) {
        if (this.#records % REOPEN_EVERY !== 0) return;
        this.#file = this.#openFile();
      }
      this.#book.save(this.#file);
      work(this.#file);
      if (what === "write") this.#fault = undefined;
    } catch (cause) {
      const full = sqliteCode(cause) === SQLITE_FULL;
      const code = full ? "TM-HISTORY-DISK-FULL" : "TM-HISTORY-AWAY";
      if (!full) {
        this.#file?.close();
        this.#file = undefined;
      }
      const known = cause instanceof TidemarkError ? cause : new TidemarkError(code, "the history could not be written", { cause });
      if (this.#fault?.code !== known.code) this.#onFault(known);
      this.#fault = known;
    }
  }

  #openFile(): HistoryFile {
    try {
      return new HistoryFile(this.#path, this.#options.mostBytes);
    } catch (cause) {
      const code = sqliteCode(cause);
      if (code !== SQLITE_CORRUPT && code !== SQLITE_NOTADB) throw cause;
      for (const suffix of ["-wal", "-shm"]) rmSync(`${this.#path}${suffix}`, { force: true });
      renameSync(this.#path, `${this.#path}.damaged`);
      this.#onFault(new TidemarkError("TM-HISTORY-DAMAGED", `the history was damaged and put aside as ${this.#path}.damaged`, { cause }));
      this.#book.forgetFile();
      return new HistoryFile(this.#path, this.#options.mostBytes);
    }
  }

  #load(file: HistoryFile): void {
    for (const row of file.rows("allSeries") as Iterable<{ id: number; metric: string; labels: string; rolled: number }>)
      this.#book.load({ metric: row.metric, labels: JSON.parse(row.labels) as Record<string, string> }, row);
    const last = file.row("lastFrame") as { id: number } | undefined;
    this.#nextFrame = (last?.id ?? 0) + 1;
    for (const frame of file.rows("frames") as Iterable<{ id: number; at_ms: number; body: Uint8Array }>) {
      const minute = Math.floor(frame.at_ms / MINUTE_MS);
      const missing = [...decodeFrame(frame.body)].filter(({ series }) => {
        const row = file.row("block", series, minute) as { through: number } | undefined;
        return this.#book.has(series) && (row === undefined || row.through < frame.id);
      });
      this.#open.add({ secondMs: frame.at_ms, frame: frame.id }, missing);
    }
  }
}

function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown }).errcode;
  // Extended codes have the primary one in their lowest byte.
  return typeof code === "number" ? code & 0xff : undefined;
}
