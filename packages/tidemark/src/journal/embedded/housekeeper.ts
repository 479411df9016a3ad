import type { Clock, Timer } from "@tidemark/kernel/clock";
import type { ErrorCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { JournalConfig } from "../../config/config.ts";
import { systemCode, type Files } from "./files.ts";
import type { SegmentStore } from "./segment-store.ts";
import { trimmableSegments } from "./trim-policy.ts";

/** Time between looks at the disk's free space and at what may be trimmed. */
const TICK_MS = 1_000;
/** What the operating system says when there is no room: acceptance stops, nothing is wrong. */
const NO_ROOM = new Set(["ENOSPC", "EDQUOT"]);

interface Events {
  readonly onTrimmed: () => void;
  /** A fault of the disk: FAIL-STOP. */
  readonly onFault: (error: unknown) => void;
  /** A segment was made; groups may wait for it. */
  readonly onPrepared: () => void;
}

/**
 * What goes on beside the commits: one segment is made ahead, expired ones are trimmed, the quota and the free space are
 * watched. One thing at a time, in the background; the commit path waits only where the writers outrun the zeros.
 */
export class Housekeeper {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #config: JournalConfig;
  readonly #store: SegmentStore;
  readonly #events: Events;
  #freeBytes = 0;
  #trimSafe = 0;
  #lowDisk: { readonly code: ErrorCode; readonly message: string } | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #timer: Timer | undefined;
  #ended = false;

  constructor(world: { files: Files; clock: Clock; logger: Logger }, config: JournalConfig, store: SegmentStore, events: Events) {
    this.#files = world.files;
    this.#clock = world.clock;
    this.#logger = world.logger;
    this.#config = config;
    this.#store = store;
    this.#events = events;
  }

  get quotaBytes(): number {
    return this.#config.quotaBytes;
  }

  get trimSafe(): number {
    return this.#trimSafe;
  }

  /** Why acceptance stops for the disk's sake, if it does. */
  get lowDisk(): { readonly code: ErrorCode; readonly message: string } | undefined {
    return this.#lowDisk;
  }

  /** Looks at the disk and makes the first segment ahead. Rejects when the disk fails. */
  async begin(): Promise<void> {
    await this.#work();
    this.#arm();
  }

  /** @param upTo as a plain number, not beyond the durable frontier. */
  markTrimSafe(upTo: number): void {
    if (upTo <= this.#trimSafe) return;
    this.#trimSafe = upTo;
    if (this.#trimmable("window") > 0) this.hurry();
  }

  /** How many segments may still be made now, by the quota (with what may be trimmed for it) and by the disk. */
  creatableSegments(): number {
    const { segmentBytes, usedBytes, wantedBytes } = this.#store;
    const count = this.#trimmable(this.#config.healing.atQuota === "shorten" ? "quota" : "window");
    const reclaimable = this.#store.kept.slice(0, count).reduce((sum, segment) => sum + segment.bytes, 0);
    const byQuota = this.#config.quotaBytes - usedBytes - wantedBytes + reclaimable;
    const byDisk = this.#freeBytes - this.#config.minimumFreeBytes - wantedBytes;
    return Math.max(0, Math.floor(Math.min(byQuota, byDisk) / segmentBytes));
  }

  /** Does its work now, in the background. */
  hurry(): void {
    void this.settle();
  }

  /** Does its work now and resolves when it is done. Never rejects: faults go to `onFault`. */
  settle(): Promise<void> {
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again && !this.#ended) this.hurry(); // Asked for while the last run was ending.
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#ended = true;
    this.#timer?.clear();
    await this.#running;
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(
      TICK_MS,
      () => {
        this.hurry();
        this.#arm();
      },
      { keepAlive: false },
    );
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#ended) {
      this.#again = false;
      try {
        await this.#work();
      } catch (error) {
        this.#again = false;
        this.#ended = true;
        this.#events.onFault(error);
      }
    }
  }

  async #work(): Promise<void> {
    await this.#measureDisk();
    await this.#trim(this.#trimmable("window"));
    await this.#makeAhead();
  }

  async #measureDisk(): Promise<void> {
    this.#freeBytes = await this.#files.freeBytes(this.#config.directory);
    const low = this.#freeBytes < this.#config.minimumFreeBytes;
    const message = `the disk has ${this.#freeBytes} bytes free, journal.minimumFree is ${this.#config.minimumFreeBytes}`;
    if (low && this.#lowDisk === undefined)
      this.#logger.warn(
        { freeBytes: this.#freeBytes, minimumFreeBytes: this.#config.minimumFreeBytes },
        "low disk space: the journal stops accepting",
      );
    if (!low && this.#lowDisk !== undefined)
      this.#logger.info({ freeBytes: this.#freeBytes }, "disk space is back: the journal accepts again");
    this.#lowDisk = low ? { code: "TM-JOURNAL-FULL", message } : undefined;
  }

  /** Makes what the writer waits for, then one more, as far as quota and disk allow. */
  async #makeAhead(): Promise<void> {
    while (!this.#ended && (this.#store.isWanted || this.#store.ready.length === 0)) {
      await this.#makeRoom();
      const fits =
        this.#store.usedBytes + this.#store.segmentBytes <= this.#config.quotaBytes &&
        this.#freeBytes - this.#store.segmentBytes >= this.#config.minimumFreeBytes;
      if (!fits && !this.#store.isWanted) return;
      try {
        await this.#store.prepare();
      } catch (error) {
        if (!NO_ROOM.has(systemCode(error) ?? "")) throw error;
        this.#lowDisk = { code: "TM-JOURNAL-FULL", message: "the disk is full: making a segment failed" };
        this.#logger.warn({ err: error }, "the disk is full: the journal stops accepting");
        return;
      }
      this.#freeBytes -= this.#store.segmentBytes;
      this.#events.onPrepared();
    }
  }

  /** At the quota: forgets safe segments before their window has passed, as few as needed, if that is configured (R18). */
  async #makeRoom(): Promise<void> {
    if (this.#config.healing.atQuota !== "shorten") return;
    const most = this.#trimmable("quota");
    let count = 0;
    let used = this.#store.usedBytes;
    while (count < most && used + this.#store.segmentBytes > this.#config.quotaBytes) used -= this.#store.kept[count++]?.bytes ?? 0;
    if (count === 0) return;
    this.#logger.warn(
      { segments: count, quotaBytes: this.#config.quotaBytes },
      "the quota is reached: safe writes are forgotten before the healing window has passed",
    );
    await this.#trim(count);
  }

  async #trim(count: number): Promise<void> {
    if (count === 0) return;
    await this.#store.trim(count);
    this.#freeBytes = await this.#files.freeBytes(this.#config.directory);
    this.#events.onTrimmed();
  }

  #trimmable(because: "window" | "quota"): number {
    return trimmableSegments(this.#store.kept, {
      trimSafe: this.#trimSafe,
      nowMs: this.#clock.wallMs(),
      windowMs: because === "window" ? this.#config.healing.windowMs : 0,
    });
  }
}
