// The second indicator: recoveries that really happened (failovers, restores, exercises). One is good when it lost no more than
// the objective's RPO and took no longer than its RTO. Pure.
import type { Objective } from "../config/config.ts";
import type { Scenario } from "../objectives/failure-domain.ts";
import type { Figure } from "../probes/probe-result.ts";

export interface RecoveryEvent {
  readonly service: string;
  readonly scenario: Scenario;
  /** Wall time at which it was over, milliseconds. */
  readonly atMs: number;
  /** An exercise counts as well as an accident, and is told apart. */
  readonly exercise: boolean;
  /** Time of acknowledged writes that were lost. */
  readonly lostMs: Figure<number>;
  /** From the accident until writes were accepted again. */
  readonly tookMs: Figure<number>;
  /** The objective at that time. */
  readonly objective: Objective;
}

export type RecoveryQuality = "good" | "lost-too-much" | "took-too-long" | "unknown";

/** What is surely bad counts before what is not known. */
export function recoveryQuality(event: RecoveryEvent): RecoveryQuality {
  if (event.lostMs.known && event.lostMs.value > event.objective.rpoMs) return "lost-too-much";
  if (event.tookMs.known && event.tookMs.value > event.objective.rtoMs) return "took-too-long";
  return event.lostMs.known && event.tookMs.known ? "good" : "unknown";
}

export interface RecoveryIndicator {
  readonly events: number;
  readonly good: number;
  readonly lostTooMuch: number;
  readonly tookTooLong: number;
  readonly unknown: number;
  /** Good ones among all, unknown ones being bad; undefined without an event: nothing was shown. */
  readonly indicator: number | undefined;
}

/** The indicator over the events with `fromMs` ≤ time < `toMs`. */
export function recoveryIndicator(
  events: readonly RecoveryEvent[],
  window: { readonly fromMs: number; readonly toMs: number },
): RecoveryIndicator {
  const counted = { good: 0, "lost-too-much": 0, "took-too-long": 0, unknown: 0 };
  let all = 0;
  for (const event of events) {
    if (event.atMs < window.fromMs || event.atMs >= window.toMs) continue;
    counted[recoveryQuality(event)]++;
    all++;
  }
  return {
    events: all,
    good: counted.good,
    lostTooMuch: counted["lost-too-much"],
    tookTooLong: counted["took-too-long"],
    unknown: counted.unknown,
    indicator: all === 0 ? undefined : counted.good / all,
  };
}
