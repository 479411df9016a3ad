// Looks at many targets, each about once a second, from one process.
//
// The naive way, a fixed number of workers that take the next target, fails when a zone is lost: its targets hang, fill the
// workers, and the figures of all others grow old at the very moment they matter. Here a target has at most one turn under way, and only *young* turns
// count against the limit: after SLOW_AFTER_MS a turn holds nobody up any more. Targets that failed last time begin
// in a lane of their own, so that the next time they take no place from the others at all. What is open at once is then bounded by
// the number of targets, and each has one connection anyway.
import type { Clock, Timer } from "@tidemark/kernel/clock";
import { BoundedQueue } from "@tidemark/kernel/bounded-queue";
import { assert } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { Service } from "@tidemark/kernel/service";
import { DueQueue } from "./due-queue.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { awayReading } from "./away-reading.ts";
import type { ProbePace } from "./probe-pace.ts";
import { DEFAULT_PACE, nextDueMs } from "./probe-pace.ts";

/** Turns of targets that answered last time that may be young at once; more wait in order. */
const MOST_YOUNG = 64;
/** The same of targets that were away last time. */
const MOST_YOUNG_SUSPECTS = 16;
/** A turn that is older does not count as young, milliseconds. */
const SLOW_AFTER_MS = 200;
/** How long `run` waits for turns to end and probes to close, milliseconds; what is still open then is said and left. */
const CLOSE_WITHIN_MS = 3_000;

export interface ProbeTurn {
  readonly probe: Probe;
  readonly reading: ProbeReading;
  /** From when it was due until it began, milliseconds. */
  readonly lateMs: number;
  readonly tookMs: number;
  /** Turns in a row that found the target away, this one included. */
  readonly failures: number;
}

/** A probe, and when it looks. */
export interface PacedProbe {
  readonly probe: Probe;
  readonly pace?: Partial<ProbePace>;
  /**
   * Where in the period of its store it looks, a part of it from 0 to 1; asked before each turn. Probes that tell of the same copy and look at
   * different times know more together. Absent: somewhere.
   */
  readonly phase?: () => number;
}

export interface ProbeRunnerOptions {
  readonly probes: readonly PacedProbe[];
  /** Called once for each turn, in the order of their ends. Must return at once; what it throws ends the runner. */
  readonly onTurn: (turn: ProbeTurn) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface Target {
  readonly probe: Probe;
  readonly pace: ProbePace;
  /** Any of its beats, by the monotonic clock. */
  readonly beatMs: () => number;
  dueMs: number;
  failures: number;
  /** The probe's last turn was given up and has not ended. */
  stuck: boolean;
}

interface Lane {
  readonly waiting: BoundedQueue<Target>;
  readonly mostYoung: number;
  young: number;
}

export class ProbeRunner implements Service {
  readonly name = "probes";
  readonly #options: ProbeRunnerOptions;
  readonly #due = new DueQueue<Target>();
  readonly #healthy: Lane;
  readonly #suspects: Lane;
  readonly #open = new Set<Promise<void>>();
  #targets: readonly Target[] = [];
  #alarm: { timer: Timer; atMs: number } | undefined;
  #fail: ((error: unknown) => void) | undefined;
  #ran = false;

  constructor(options: ProbeRunnerOptions) {
    this.#options = options;
    // Each target waits at most once, in one of the lanes.
    this.#healthy = { waiting: new BoundedQueue(options.probes.length), mostYoung: MOST_YOUNG, young: 0 };
    this.#suspects = { waiting: new BoundedQueue(options.probes.length), mostYoung: MOST_YOUNG_SUSPECTS, young: 0 };
  }

  /** Runs until `signal` aborts, then gives up the turns under way and closes the probes. Once only. */
  async run(signal: AbortSignal): Promise<void> {
    assert(!this.#ran, "a runner of probes runs once");
    this.#ran = true;
    this.#targets = this.#spread(this.#options.clock.monotonicMs());
    for (const target of this.#targets) this.#due.push(target, target.dueMs);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#fail = reject;
        if (signal.aborted) resolve();
        else {
          signal.addEventListener("abort", () => resolve(), { once: true });
          this.#setAlarm(signal);
        }
      });
    } finally {
      this.#alarm?.timer.clear();
      this.#fail = undefined;
      await this.#close();
    }
  }

  /** Every store, and every target that keeps to no other's, has its own place in a period. */
  #spread(nowMs: number): Target[] {
    const { probes, random } = this.#options;
    const stores = new Map<string, number>();
    return probes.map(({ probe, pace: given, phase }) => {
      const pace = { ...DEFAULT_PACE, ...given };
      const place = (phase === undefined ? undefined : stores.get(probe.store)) ?? random.fraction();
      if (phase !== undefined) stores.set(probe.store, place);
      const beatMs = (): number => nowMs + (place + (phase?.() ?? 0)) * pace.periodMs;
      return { probe, pace, beatMs, dueMs: nowMs + ((beatMs() - nowMs) % pace.periodMs), failures: 0, stuck: false };
    });
  }

  #setAlarm(signal: AbortSignal): void {
    const { clock } = this.#options;
    const nextMs = this.#due.nextMs;
    if (nextMs === undefined || signal.aborted) return;
    if (this.#alarm !== undefined) {
      if (this.#alarm.atMs <= nextMs) return;
      this.#alarm.timer.clear();
    }
    const timer = clock.setTimer(Math.max(0, Math.ceil(nextMs - clock.monotonicMs())), () => {
      this.#alarm = undefined;
      this.#begin(signal);
    });
    this.#alarm = { timer, atMs: nextMs };
  }

  /** Puts what is due in its lane, and begins as many turns as the lanes allow. */
  #begin(signal: AbortSignal): void {
    if (signal.aborted || this.#fail === undefined) return;
    const nowMs = this.#options.clock.monotonicMs();
    for (;;) {
      const target = this.#due.takeDue(nowMs);
      if (target === undefined) break;
      const lane = target.failures > 0 ? this.#suspects : this.#healthy;
      assert(lane.waiting.push(target), "a target waits once");
    }
    for (const lane of [this.#healthy, this.#suspects]) {
      while (lane.young < lane.mostYoung) {
        const target = lane.waiting.shift();
        if (target === undefined) break;
        const turn = this.#turn(target, { lane, signal }).finally(() => this.#open.delete(turn));
        this.#open.add(turn);
      }
    }
    this.#setAlarm(signal);
  }

  /** One turn: ends when the probe answers, or when it is given up. Never rejects. */
  async #turn(target: Target, { lane, signal }: { lane: Lane; signal: AbortSignal }): Promise<void> {
    const { clock } = this.#options;
    const beganMs = clock.monotonicMs();
    lane.young++;
    let young = true;
    const grow = (): void => {
      if (!young) return;
      young = false;
      lane.young--;
    };
    const slow = clock.setTimer(SLOW_AFTER_MS, () => {
      grow();
      this.#begin(signal);
    });
    const reading = await this.#ask(target, signal);
    slow.clear();
    grow();
    if (signal.aborted || this.#fail === undefined) return;
    const endedMs = clock.monotonicMs();
    target.failures = reading.ok ? 0 : target.failures + 1;
    try {
      this.#options.onTurn({
        probe: target.probe,
        reading,
        lateMs: beganMs - target.dueMs,
        tookMs: endedMs - beganMs,
        failures: target.failures,
      });
    } catch (error) {
      this.#fail(error);
      return;
    }
    const last = { dueMs: target.dueMs, endedMs, failures: target.failures };
    target.dueMs = nextDueMs(target.pace, { beatMs: target.beatMs(), last }, this.#options.random);
    this.#due.push(target, target.dueMs);
    this.#begin(signal);
  }

  async #ask(target: Target, signal: AbortSignal): Promise<ProbeReading> {
    const { clock, logger } = this.#options;
    const { probe, pace } = target;
    if (target.stuck) return awayReading(clock, "TM-PROBE-BUG", "its last turn was given up and has not ended");
    const giveUp = new AbortController();
    const onAbort = (): void => giveUp.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    let end: (() => void) | undefined;
    const late = new Promise<ProbeReading>((resolve) => {
      const timer = clock.setTimer(pace.timeoutMs, () => {
        giveUp.abort(new Error(`no answer within ${pace.timeoutMs} ms`));
        resolve(awayReading(clock, "TM-PROBE-SLOW", `no answer within ${pace.timeoutMs} ms`));
      });
      end = () => timer.clear();
    });
    target.stuck = true;
    const answer = call(probe, giveUp.signal)
      .catch((error: unknown): ProbeReading => {
        logger.error({ probe: probe.name, err: error }, "a probe threw");
        return awayReading(clock, "TM-PROBE-BUG", "the probe itself failed");
      })
      .finally(() => {
        target.stuck = false;
      });
    try {
      return await Promise.race([answer, late]);
    } finally {
      end?.();
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #close(): Promise<void> {
    const { clock, logger } = this.#options;
    const closing = this.#targets.map(async ({ probe }) => {
      try {
        await probe.close();
      } catch (error) {
        logger.error({ probe: probe.name, err: error }, "a probe could not be closed");
      }
    });
    const all = Promise.allSettled([...this.#open, ...closing]).then(() => true);
    let end: (() => void) | undefined;
    const late = new Promise<false>((resolve) => {
      const timer = clock.setTimer(CLOSE_WITHIN_MS, () => resolve(false), { keepAlive: false });
      end = () => timer.clear();
    });
    const closed = await Promise.race([all, late]);
    end?.();
    if (!closed) logger.warn({ withinMs: CLOSE_WITHIN_MS }, "probes are left open: they did not close in time");
  }
}

/** A probe that throws instead of rejecting is as wrong as one that rejects. */
async function call(probe: Probe, signal: AbortSignal): Promise<ProbeReading> {
  return probe.probe(signal);
}
