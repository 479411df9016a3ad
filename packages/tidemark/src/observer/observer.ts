// Measures: runs the probes, and each second says what would be lost now. It needs no other part of control, so that it can also be used
// alone. What it cannot find out is unknown in what it says; a fault of its own ends `run`, and whoever runs it starts it again.
import type { Clock, Timer } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { Service } from "@tidemark/kernel/service";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import type { ServiceObjectives } from "../exposure/exposure-of.ts";
import { exposureOf } from "../exposure/exposure-of.ts";
import type { StoreFacts } from "../probes/probe-result.ts";
import { ProbeRunner, type ProbeTurn } from "../probes/probe-runner.ts";
import type { StoreWatch, TargetLook } from "./watched-store.ts";
import { WatchedStore } from "./watched-store.ts";

/** What was known in one second. */
export interface ObservedSecond {
  /** Wall time of the observer, milliseconds. */
  readonly atMs: number;
  /** One per service and scenario. */
  readonly exposures: readonly ScenarioExposure[];
  /** One per store. */
  readonly stores: readonly StoreFacts[];
}

export interface ObserverOptions {
  readonly services: Readonly<Record<string, ServiceObjectives>>;
  /** Called at each start: probes run once. */
  readonly watch: () => readonly StoreWatch[];
  /** Told of each second, in order. Must return at once; what it throws ends the run. */
  readonly onSecond?: (second: ObservedSecond) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const SECOND_MS = 1_000;
/** Seconds are looked at so long after they began, milliseconds: a timer that comes early must not count one twice. */
const AFTER_MS = 20;
/** A second that is older is not what is known now, milliseconds. */
const STALE_AFTER_MS = 2_500;

export class Observer implements Service {
  readonly name = "observer";
  readonly #options: ObserverOptions;
  #stores = new Map<string, WatchedStore>();
  #last: ObservedSecond;

  constructor(options: ObserverOptions) {
    this.#options = options;
    // Nothing is known before the first look, and that is what is said of it.
    this.#last = this.#look(new Map());
  }

  /** What is known now: the newest second or, where none was looked at lately, what is left of the last one. Before the first one everything is unknown. */
  known(): ObservedSecond {
    const { services, clock } = this.#options;
    const atMs = clock.wallMs();
    if (Math.abs(atMs - this.#last.atMs) <= STALE_AFTER_MS) return this.#last;
    const { stores } = this.#last;
    return { atMs, exposures: exposureOf({ nowMs: atMs, services, stores: new Map(stores.map((facts) => [facts.store, facts])) }), stores };
  }

  /** The newest look at each target that was looked at since the start. */
  *looks(): Generator<TargetLook> {
    for (const store of this.#stores.values()) yield* store.looks();
  }

  /**
   * Observes until `signal` aborts. May be run again after it ended, and begins anew then. Rejects with what `onSecond` threw, and
   * with what is wrong with this code.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { watch, clock, random, logger } = this.#options;
    const sinceMs = clock.wallMs();
    const stores = new Map(watch().map((one) => [one.store, new WatchedStore(one, sinceMs)]));
    this.#stores = stores;
    const failed = new AbortController();
    const stop = AbortSignal.any([signal, failed.signal]);
    const runner = new ProbeRunner({
      probes: [...stores.values()].flatMap((store) => store.watch.probes),
      onTurn: (turn: ProbeTurn) => stores.get(turn.probe.store)?.take(turn),
      clock,
      random,
      logger,
    });
    const fail = (error: unknown): void => failed.abort(error);
    const seconds = this.#everySecond(stores, { stop, fail });
    try {
      await runner.run(stop);
      if (!signal.aborted) failed.signal.throwIfAborted();
    } finally {
      seconds.clear();
    }
  }

  #everySecond(stores: ReadonlyMap<string, WatchedStore>, end: { stop: AbortSignal; fail: (error: unknown) => void }): Timer {
    const { clock, onSecond } = this.#options;
    let timer: Timer | undefined;
    const next = (): void => {
      const intoMs = clock.wallMs() % SECOND_MS;
      timer = clock.setTimer(Math.ceil(SECOND_MS - intoMs) + AFTER_MS, () => {
        if (end.stop.aborted) return;
        try {
          this.#last = this.#look(stores);
          onSecond?.(this.#last);
          next();
        } catch (error) {
          end.fail(error);
        }
      });
    };
    next();
    return { clear: () => timer?.clear() };
  }

  #look(watched: ReadonlyMap<string, WatchedStore>): ObservedSecond {
    const { services, clock } = this.#options;
    const atMs = clock.wallMs();
    const stores = new Map<string, StoreFacts>();
    for (const [name, store] of watched) stores.set(name, store.facts(atMs));
    return { atMs, exposures: exposureOf({ nowMs: atMs, services, stores }), stores: [...stores.values()] };
  }
}
