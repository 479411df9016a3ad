// Keeps the lives of some writes: a fair sample, and the slowest. It follows so many at once and no more, and keeps so many of a
// minute and no more. Times that it is told are of a monotonic clock, so that no stage is longer or shorter because a wall clock
// was set; a life says them in wall time, counted from its beginning.
import { assert } from "@tidemark/kernel/errors";
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import type { Random } from "@tidemark/kernel/random";
import { slownessOf, type FrontierStage, type WriteLife, type WriteLives, type WriteStage } from "./write-life.ts";

export interface SamplerLimits {
  /** Writes that are followed at once; others are not, and counted. */
  readonly following: number;
  /** Writes of a window that are kept by chance, and as many by their slowness. */
  readonly sample: number;
  readonly slowest: number;
  readonly windowMs: number;
  /** Windows that are kept, the newest ones. */
  readonly windows: number;
  /** A write that has not passed all stages by then is kept as it is: an archive may be away for hours. */
  readonly giveUpMs: number;
}

export const SAMPLER_DEFAULTS: SamplerLimits = {
  following: 1_000,
  sample: 10,
  slowest: 10,
  windowMs: 60_000,
  windows: 60,
  giveUpMs: 60_000,
};

/** A write that is to be followed. */
export interface Beginning {
  /** As in its receipt. */
  readonly id: string;
  readonly store: string;
  /** When its request came: wall time, and by the monotonic clock. */
  readonly startMs: number;
  readonly atMs: number;
  /** Why it is followed: only what was chosen by chance may be in the sample. */
  readonly chosen: "by-chance" | "slow";
}

/** A position in the WAL of one timeline; positions are last byte + 1. */
export interface WalPosition {
  readonly atMs: number;
  readonly lsn: string;
  readonly timeline: number;
}

interface Followed extends Beginning {
  passedMs: Partial<Record<WriteStage, number>>;
  commit?: { readonly text: string; readonly lsn: Lsn; readonly timeline: number };
}

interface Window {
  readonly number: number;
  /** Chosen by chance and ended. */
  seen: number;
  readonly sample: WriteLife[];
  readonly slowest: WriteLife[];
}

export class WriteLifeSampler {
  readonly #random: Random;
  readonly #limits: SamplerLimits;
  readonly #expected: (store: string) => readonly WriteStage[];
  /** In the order of their beginning. */
  readonly #following = new Map<string, Followed>();
  readonly #windows: Window[] = [];
  #unfollowed = 0;

  /** @param options.expected the stages that a store's writes pass: one without a vault has no `archived`. */
  constructor(
    random: Random,
    options: { readonly expected: (store: string) => readonly WriteStage[]; readonly limits?: Partial<SamplerLimits> },
  ) {
    this.#random = random;
    this.#expected = options.expected;
    this.#limits = { ...SAMPLER_DEFAULTS, ...options.limits };
  }

  /** Follows a write from now on. Nothing is kept of it when too many are under way. */
  begin(beginning: Beginning): void {
    if (this.#following.has(beginning.id)) return;
    if (this.#following.size >= this.#limits.following) this.giveUp(beginning.atMs);
    if (this.#following.size >= this.#limits.following) {
      this.#unfollowed++;
      return;
    }
    this.#following.set(beginning.id, { ...beginning, passedMs: {} });
  }

  /** The write passed a stage. Writes that are not followed are ignored. */
  pass(id: string, stage: "accepted" | "journalled", atMs: number): void {
    const write = this.#following.get(id);
    if (write === undefined) return;
    write.passedMs[stage] ??= atMs;
    this.#endIfComplete(write);
  }

  /**
   * The write stands in a commit before this position. Said again on another timeline, it stands there: from then on positions of
   * that one count, and what it had passed stays passed.
   */
  commit(id: string, at: WalPosition): void {
    const write = this.#following.get(id);
    if (write === undefined || write.commit?.timeline === at.timeline) return;
    write.passedMs.committed ??= at.atMs;
    write.commit = { text: at.lsn, lsn: parseLsn(at.lsn), timeline: at.timeline };
    this.#endIfComplete(write);
  }

  /** A failover took its commit back: it will be committed again, and what that one passed counts. */
  takeBack(id: string): void {
    const write = this.#following.get(id);
    if (write?.commit === undefined) return;
    delete write.commit;
    const { accepted, journalled } = write.passedMs;
    write.passedMs = { ...(accepted === undefined ? {} : { accepted }), ...(journalled === undefined ? {} : { journalled }) };
  }

  /** Everything of the store before this position of its timeline has passed the stage. Commits of another timeline are untouched (R11). */
  frontier(store: string, stage: FrontierStage, at: WalPosition): void {
    const reached = parseLsn(at.lsn);
    for (const write of this.#following.values()) {
      if (write.store !== store || write.commit?.timeline !== at.timeline || write.commit.lsn > reached) continue;
      if (write.passedMs[stage] !== undefined) continue;
      write.passedMs[stage] = at.atMs;
      this.#endIfComplete(write);
    }
  }

  /** What committed writes of the store wait for. */
  awaited(store: string): ReadonlySet<FrontierStage> {
    const awaited = new Set<FrontierStage>();
    for (const write of this.#following.values()) {
      if (write.store !== store || write.commit === undefined) continue;
      for (const stage of this.#expected(store)) if (isFrontier(stage) && write.passedMs[stage] === undefined) awaited.add(stage);
    }
    return awaited;
  }

  /** Whether the write is still followed. */
  follows(id: string): boolean {
    return this.#following.has(id);
  }

  /** The write ended otherwise: it was rejected. */
  forget(id: string): void {
    this.#following.delete(id);
  }

  /** Keeps what has been under way for too long as it is. To be called now and then. */
  giveUp(nowMs: number): void {
    for (const write of this.#following.values()) {
      if (nowMs - write.atMs <= this.#limits.giveUpMs) break;
      this.#end(write, "given-up");
    }
  }

  lives(): WriteLives {
    const bySlowness = (one: WriteLife, other: WriteLife): number => slownessOf(other) - slownessOf(one);
    return {
      sample: this.#windows.flatMap((window) => window.sample).toSorted(bySlowness),
      slowest: this.#windows.flatMap((window) => window.slowest).toSorted(bySlowness),
      unfollowed: this.#unfollowed,
    };
  }

  #endIfComplete(write: Followed): void {
    if (this.#expected(write.store).every((stage) => write.passedMs[stage] !== undefined)) this.#end(write, "complete");
  }

  #end(write: Followed, end: WriteLife["end"]): void {
    this.#following.delete(write.id);
    const life = lifeOf(write, end);
    const window = this.#windowOf(write.startMs);
    if (window === undefined) return;
    if (write.chosen === "by-chance") this.#keepByChance(window, life);
    window.slowest.push(life);
    window.slowest.sort((one, other) => slownessOf(other) - slownessOf(one));
    if (window.slowest.length > this.#limits.slowest) window.slowest.pop();
  }

  /** Each write of the window has the same chance (Vitter's algorithm R). */
  #keepByChance(window: Window, life: WriteLife): void {
    window.seen++;
    if (window.sample.length < this.#limits.sample) {
      window.sample.push(life);
      return;
    }
    const place = Math.floor(this.#random.fraction() * window.seen);
    if (place < window.sample.length) window.sample[place] = life;
  }

  /** Undefined: so long ago that its window is not kept any more. */
  #windowOf(startMs: number): Window | undefined {
    const number = Math.floor(startMs / this.#limits.windowMs);
    const found = this.#windows.find((window) => window.number === number);
    if (found !== undefined) return found;
    const window: Window = { number, seen: 0, sample: [], slowest: [] };
    this.#windows.push(window);
    this.#windows.sort((one, other) => one.number - other.number);
    if (this.#windows.length <= this.#limits.windows) return window;
    const oldest = this.#windows.shift();
    assert(oldest !== undefined, "there is a window");
    return oldest === window ? undefined : window;
  }
}

function isFrontier(stage: WriteStage): stage is FrontierStage {
  return stage === "wal-received" || stage === "standby-flushed" || stage === "archived";
}

function lifeOf({ id, store, startMs, atMs, passedMs, commit }: Followed, end: WriteLife["end"]): WriteLife {
  const passed = Object.fromEntries(Object.entries(passedMs).map(([stage, passedAtMs]) => [stage, startMs + passedAtMs - atMs]));
  const at = commit === undefined ? {} : { lsn: commit.text, timeline: commit.timeline };
  return { id, store, startMs, passedMs: passed, ...at, end };
}
