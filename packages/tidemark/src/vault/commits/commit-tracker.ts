// Follows what the receiver makes durable and reads the commits in it, so that the vault knows at every moment up to which commit
// it could restore. It reads in the main thread, in slices, from the files that the receiver's thread has just written.
//
// Reading has a live end and a past. The live end begins near the frontier and follows it; segments of the past that the index
// lacks (it was lost, or the process was away) are read beside it, newest first. On a new timeline reading goes on across
// the fork; where more of the old timeline was read than the new one has, what was counted past the fork is dropped.
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { hasCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { Service } from "@tidemark/kernel/service";
import { storedHistory } from "../receiver/history-chain.ts";
import type { SharedFrontier } from "../receiver/shared-frontier.ts";
import type { WalPoint } from "../receiver/stream-plan.ts";
import type { SealedCommits } from "../sealing/sealed-header.ts";
import type { WalRange } from "../archive/wal-range.ts";
import type { WalFolder } from "../wal-folder.ts";
import { indexArchived } from "./archived-commits.ts";
import type { CommitSum } from "./commit-book.ts";
import { addCommits, missingRanges, sumCommits } from "./commit-book.ts";
import type { CommitFacts, CommitFault } from "./commit-facts.ts";
import { unreadable } from "./commit-facts.ts";
import type { CommitIndexOptions } from "./commit-index.ts";
import { CommitIndex, isDamaged } from "./commit-index.ts";
import type { SegmentCommits } from "./commit-point.ts";
import type { KnownCommits, SpareSegments } from "./known-commits.ts";
import { commitsInRange, timeWorld } from "./known-commits.ts";
import { liveStart, presentSegments } from "./live-start.ts";
import { PastReading } from "./past-reading.ts";
import { Slices, isCatchingUp } from "./slices.ts";
import type { TimeAnswer } from "./time-answer.ts";
import { answerTime } from "./time-answer.ts";
import { TrailCursor } from "./trail-cursor.ts";
import { WalTrail } from "./wal-trail.ts";

export interface CommitTrackerOptions {
  readonly frontier: SharedFrontier;
  readonly folder: WalFolder;
  readonly systemIdentifier: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between two looks at the frontier, milliseconds: so old can the answer be. */
const POLL_MS = 20;
/** Before WAL that could not be read is tried again, milliseconds. */
const RETRY_MS = 1_000;
/** How long a segment may be missing before that is a fault, milliseconds. */
const MISSING_MS = 2_000;
/** How long {@link CommitTracker.commitsOf} waits for a range to be read, milliseconds. */
const ANSWER_MS = 10_000;

/** Segments that one question has read from the archive: some seconds. */
const ARCHIVED_SEGMENTS = 16;

const INDEX_NAME = "commits.sqlite";

interface Waiter {
  readonly to: Lsn;
  readonly resolve: (facts: CommitFacts) => void;
  readonly reject: (error: Error) => void;
}

export class CommitTracker implements Service {
  readonly name = "commits";
  readonly #options: CommitTrackerOptions;
  readonly #segmentBytes: bigint;
  #index: CommitIndex | undefined;
  #trail: WalTrail | undefined;
  #live: TrailCursor | undefined;
  #countFrom = 0n as Lsn;
  /** The segments before the one that is read live. */
  #sum: CommitSum | undefined;
  /** The past was read up to where the sum begins. */
  #sumIsShort = false;
  #past: PastReading | undefined;
  #fault: CommitFault | undefined;
  #isDamage = false;
  #retryAtMs = 0;
  #missingSinceMs: number | undefined;
  #stoppedAt: Lsn | undefined;
  #waiters: Waiter[] = [];

  constructor(options: CommitTrackerOptions) {
    this.#options = options;
    this.#segmentBytes = BigInt(options.folder.segmentBytes);
  }

  /** Follows until `signal` aborts. Rejects with TM-VAULT-COMMIT-INDEX when the disk is in the way: to be started again. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    const slices = new Slices(clock);
    try {
      while (!signal.aborted) {
        try {
          this.#index ??= this.#openIndex();
          const worked = await this.#round(slices);
          if (worked && this.#waiters.length === 0 && isCatchingUp(this.#options.frontier.read())) await slices.rest(signal);
          else if (worked) await slices.turn();
          else await sleep(clock, POLL_MS, signal).catch(() => undefined);
        } catch (error) {
          if (!isDamaged(error)) throw error;
          this.#close();
          const aside = CommitIndex.putAside(this.#indexOptions());
          logger.error({ code: "TM-VAULT-COMMIT-INDEX", err: error, aside }, "the index of commits is damaged; it is made again");
        }
      }
    } finally {
      this.#close();
      for (const waiter of this.#waiters.splice(0)) waiter.reject(unreadable("the commit tracker was stopped", undefined));
    }
  }

  /** The end of the last whole record that is durable here; undefined before one was found. At most {@link POLL_MS} old, and what is not read yet. */
  position(): WalPoint | undefined {
    const live = this.#live;
    const trail = this.#trail;
    const boundary = live?.boundary;
    if (trail === undefined || boundary === undefined) return undefined;
    const { timeline, flushed } = this.#options.frontier.read();
    // The receiver was set back, or went to another timeline: what was read is not the truth any more.
    if (timeline !== trail.newest.timeline) return undefined;
    const reach = trail.reach(flushed);
    if (live === undefined || live.position > reach) return undefined;
    const lsn = boundary < reach ? boundary : reach;
    const onNewest = flushed > trail.newest.from && lsn >= trail.newest.from;
    return { timeline: onNewest ? trail.newest.timeline : trail.pieceAt((lsn - 1n) as Lsn).timeline, lsn };
  }

  /** Undefined before a whole record was found. */
  facts(): CommitFacts | undefined {
    const position = this.position();
    const live = this.#live;
    const sum = this.#sum;
    if (position === undefined || live === undefined || sum === undefined) return undefined;
    const counted = live.tally.start >= this.#countFrom;
    return {
      position,
      lastCommit: (counted ? live.tally.last : undefined) ?? sum.last,
      commits: sum.count + (counted ? live.tally.count : 0),
      since: sum.from,
    };
  }

  /**
   * Durable WAL that is no WAL: reading stands still before it, and tries it again and again. One that is missing is none of that: the
   * files tell it better, and the first of a new timeline comes later than the timeline.
   */
  get damage(): CommitFault | undefined {
    return this.#isDamage ? this.#fault : undefined;
  }

  /** What stands in the way now. */
  get faults(): readonly CommitFault[] {
    const past = this.#past?.unread ?? [];
    const point = (lsn: Lsn): WalPoint => ({ timeline: this.#trail?.pieceAt(lsn).timeline ?? this.#trail!.newest.timeline, lsn });
    return [
      ...(this.#fault === undefined ? [] : [this.#fault]),
      ...past.map(({ from, to, why }) => ({
        code: "TM-VAULT-WAL-UNREADABLE" as const,
        what: why === "missing" ? "a segment is missing" : "records cannot be read",
        from: point(from),
        to: point(to),
      })),
    ];
  }

  /** WAL from here on is still to be read: retention has to keep it. While that is not known, before it began, all of it. */
  neededFrom(): Lsn {
    const past = this.#past?.neededFrom;
    const live = this.#live?.boundary ?? this.#live?.position;
    return (past !== undefined && (live === undefined || past < live) ? past : live) ?? (0n as Lsn);
  }

  /**
   * Resolves when everything before `to` was read. Rejects with TM-VAULT-WAL-UNREADABLE when WAL before it cannot be, and when the
   * tracker stops; with the signal's reason when it aborts.
   */
  catchUp(to: Lsn, signal?: AbortSignal): Promise<CommitFacts> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        to,
        resolve: (facts) => finish(() => resolve(facts)),
        reject: (error) => finish(() => reject(error)),
      };
      const onAbort = (): void => waiter.reject(signal?.reason as Error);
      const finish = (settle: () => void): void => {
        this.#waiters = this.#waiters.filter((one) => one !== waiter);
        signal?.removeEventListener("abort", onAbort);
        settle();
      };
      this.#waiters.push(waiter);
      signal?.addEventListener("abort", onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
      else this.#settle();
    });
  }

  /**
   * The commits whose records end in `range`, which begins with a segment and ends in it. Waits up to {@link ANSWER_MS} until it is
   * read; undefined when it is not by then, or is not on the trail.
   */
  async commitsOf(range: WalRange): Promise<SealedCommits | undefined> {
    const late = new AbortController();
    const timer = this.#options.clock.setTimer(ANSWER_MS, () => late.abort(), { keepAlive: false });
    try {
      await this.catchUp(range.end, late.signal);
    } catch (error) {
      if (late.signal.aborted || hasCode(error, "TM-VAULT-WAL-UNREADABLE")) return undefined;
      throw error;
    } finally {
      timer.clear();
    }
    const known = this.#known();
    return known === undefined ? undefined : commitsInRange(known, range);
  }

  /** What the index says of a segment that was read to its end. */
  segmentFacts(place: { timeline: Timeline; start: Lsn }): SegmentCommits | undefined {
    return this.#index?.get(place.timeline, place.start);
  }

  /**
   * Where in WAL a time is: see {@link TimeAnswer}. `spare` gives the bytes of a segment that is not in the folder any more. Rejects
   * with TM-VAULT-WAL-UNREADABLE before anything was read.
   */
  async timeToLsn(timeMs: number, spare?: SpareSegments): Promise<TimeAnswer> {
    const known = this.#known();
    if (known === undefined) throw unreadable("no WAL was read yet", undefined);
    return answerTime(Math.round(timeMs * 1000), timeWorld(known, spare));
  }

  /**
   * Reads WAL that is only in the archive, backwards from where what is known begins, until a commit at or before the time is known:
   * `known`; `more`: not yet, after {@link ARCHIVED_SEGMENTS} segments; `ended`: the archive has no more. What was read is kept.
   */
  async learnArchived(timeMs: number, spare: SpareSegments): Promise<"known" | "more" | "ended"> {
    const [index, trail, sum] = [this.#index, this.#trail, this.#sum];
    if (index === undefined || trail === undefined || sum === undefined || this.#past?.done === false) return "more";
    const slices = new Slices(this.#options.clock);
    const segmentBytes = Number(this.#segmentBytes);
    const enough = ({ earliestUs }: SegmentCommits): boolean => earliestUs !== undefined && earliestUs <= Math.round(timeMs * 1000);
    const want = { from: sum.from, most: ARCHIVED_SEGMENTS, enough };
    const { from, ended } = await indexArchived({ index, trail, segmentBytes, spare, slices }, want);
    for (let to = this.#sum?.to; to !== undefined; to = this.#sum?.to) {
      const longer = await this.#add(to, slices);
      // A segment may have been added meanwhile.
      if (this.#sum?.to !== to) continue;
      this.#sum = longer;
      break;
    }
    const row = index.get(trail.pieceAt((from + this.#segmentBytes - 1n) as Lsn).timeline, from);
    return row !== undefined && enough(row) ? "known" : ended ? "ended" : "more";
  }

  #known(): KnownCommits | undefined {
    const facts = this.facts();
    const [index, trail, live, sum] = [this.#index, this.#trail, this.#live, this.#sum];
    if (facts === undefined || index === undefined || trail === undefined || live === undefined || sum === undefined) return undefined;
    const { folder, clock } = this.#options;
    const { flushed } = this.#options.frontier.read();
    const counting = live.tally.start >= this.#countFrom;
    return { index, trail, sum, folder, clock, received: flushed, to: facts.position.lsn, tally: counting ? live.tally : undefined };
  }

  /** One slice of work; false when there is nothing to do at the moment. */
  async #round(slices: Slices): Promise<boolean> {
    const { clock } = this.#options;
    const frontier = this.#options.frontier.read();
    if (frontier.timeline === 0 || !(await this.#enterTrail(frontier.timeline))) return false;
    const trail = this.#trail as WalTrail;
    const reach = trail.reach(frontier.flushed);
    const waits = this.#fault !== undefined && clock.monotonicMs() < this.#retryAtMs;
    const again = this.#fault !== undefined && !waits;
    if (this.#live === undefined || this.#live.position > reach || again)
      await this.#begin(trail, { reach, received: frontier.flushed, slices });
    const worked = waits ? false : this.#readLive({ reach, received: frontier.flushed, slices });
    this.#settle();
    if (worked) return true;
    if (this.#sumIsShort && this.#sum !== undefined) {
      this.#sumIsShort = false;
      this.#sum = await this.#add(this.#sum.to, slices);
    }
    return this.#readPast(slices);
  }

  /** Takes the way to the newest timeline. False while its history is not here. */
  async #enterTrail(timeline: Timeline): Promise<boolean> {
    const old = this.#trail;
    if (old?.newest.timeline === timeline) return true;
    const history = await storedHistory(this.#options.folder, timeline);
    if (history === undefined) return false;
    const trail = new WalTrail(timeline, history);
    const parting = old?.parting(trail);
    const live = this.#live;
    if (live !== undefined && old !== undefined && (parting === undefined || live.position <= parting)) live.trail = trail;
    else this.#dropLive();
    this.#trail = trail;
    return true;
  }

  #readLive(span: { reach: Lsn; received: Lsn; slices: Slices }): boolean {
    const live = this.#live as TrailCursor;
    let worked = false;
    for (;;) {
      const advance = live.advance(span.reach, span.received);
      if (advance === "missing" || advance === "stopped") {
        if (advance === "stopped" ? this.#isStoppedAgain(live) : this.#isMissingForGood()) this.#hold(advance, span.reach);
        return worked;
      }
      this.#missingSinceMs = undefined;
      if (this.#fault !== undefined && live.position > this.#fault.from.lsn) this.#fault = undefined;
      if (advance === "done") return worked;
      worked = true;
      if (span.slices.spent) return true;
    }
  }

  /** The file that was open may have been replaced by one that is right: once it is read again at once. */
  #isStoppedAgain(live: TrailCursor): boolean {
    const lsn = live.stop?.lsn;
    if (this.#stoppedAt === lsn) return true;
    this.#stoppedAt = lsn;
    this.#dropLive();
    return false;
  }

  /** The beginning of a new timeline's first segment is received a moment later than the timeline is known. */
  #isMissingForGood(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    this.#missingSinceMs ??= nowMs;
    return nowMs - this.#missingSinceMs >= MISSING_MS;
  }

  /** Durable WAL that cannot be read: said once, and tried again, because the receiver or the archive may put it right. */
  #hold(advance: "missing" | "stopped", reach: Lsn): void {
    const live = this.#live as TrailCursor;
    const trail = this.#trail as WalTrail;
    const lsn = live.stop?.lsn ?? live.position;
    const what = advance === "missing" ? "a segment is missing" : `no record can be read there (${live.stop?.reason})`;
    this.#retryAtMs = this.#options.clock.monotonicMs() + RETRY_MS;
    if (this.#fault?.from.lsn !== lsn || this.#fault.what !== what)
      this.#options.logger.error({ code: "TM-VAULT-WAL-UNREADABLE", lsn: formatLsn(lsn), what }, "durable WAL cannot be read");
    this.#isDamage = advance === "stopped";
    this.#fault = {
      code: "TM-VAULT-WAL-UNREADABLE",
      what,
      from: { timeline: trail.pieceAt(lsn).timeline, lsn },
      to: { timeline: trail.newest.timeline, lsn: reach },
    };
  }

  #readPast(slices: Slices): boolean {
    const past = this.#past;
    if (past === undefined || past.done) return false;
    const finished = past.read(slices);
    this.#sumIsShort ||= finished !== undefined && finished.to === this.#sum?.from;
    return true;
  }

  /** Begins to read, as near to the frontier as it is known that a record begins. */
  async #begin(trail: WalTrail, span: { reach: Lsn; received: Lsn; slices: Slices }): Promise<void> {
    const { folder } = this.#options;
    const index = this.#index as CommitIndex;
    this.#dropLive();
    index.forget(trail.newest.timeline, span.reach);
    const starts = await presentSegments(folder, trail, span.reach);
    const start = liveStart({ index, trail, starts, reach: span.reach, segmentBytes: this.#segmentBytes });
    this.#sum = await this.#add(start.countFrom, span.slices);
    const below = starts.filter((one) => one < start.countFrom);
    const ranges = await missingRanges({ index, trail, starts: below, segmentBytes: folder.segmentBytes, slices: span.slices });
    this.#past = new PastReading({ trail, folder, index, ranges, oldest: starts[0] ?? start.lsn, received: span.received });
    this.#countFrom = start.countFrom;
    this.#live = new TrailCursor({
      trail,
      folder,
      start,
      checkCrc: true,
      onSegment: (facts) => {
        index.put(facts);
        this.#sum = addCommits(this.#sum as CommitSum, facts, folder.segmentBytes);
      },
    });
  }

  #add(to: Lsn, slices: Slices): Promise<CommitSum> {
    const { folder } = this.#options;
    return sumCommits({ index: this.#index as CommitIndex, trail: this.#trail as WalTrail, to, segmentBytes: folder.segmentBytes, slices });
  }

  #settle(): void {
    const facts = this.facts();
    const read = this.#live?.position;
    for (const waiter of this.#waiters) {
      if (facts !== undefined && read !== undefined && read >= waiter.to) waiter.resolve(facts);
      else if (this.#fault !== undefined && this.#fault.from.lsn < waiter.to) waiter.reject(unreadable(this.#fault.what, this.#fault));
    }
  }

  #indexOptions(): CommitIndexOptions {
    const { folder, systemIdentifier, clock } = this.#options;
    return { path: join(folder.directory, INDEX_NAME), systemIdentifier, segmentBytes: folder.segmentBytes, clock };
  }

  #openIndex(): CommitIndex {
    const { index, putAside } = CommitIndex.open(this.#indexOptions());
    if (putAside !== undefined)
      this.#options.logger.error(
        { code: "TM-VAULT-COMMIT-INDEX", aside: putAside },
        "the index of commits cannot be used; it is made again",
      );
    return index;
  }

  #dropLive(): void {
    this.#live?.close();
    this.#past?.close();
    this.#live = undefined;
    this.#past = undefined;
    this.#sum = undefined;
  }

  #close(): void {
    this.#dropLive();
    this.#trail = undefined;
    this.#fault = undefined;
    this.#index?.close();
    this.#index = undefined;
  }
}
