// Failovers as recoveries of the services on their store: for the second indicator and the metrics of incidents. Pure.
import type { Config } from "../config/config.ts";
import type { RecoveryFigures } from "../metrics/metric-samples.ts";
import type { Scenario } from "../objectives/failure-domain.ts";
import { known, unknown, type CopyFacts, type Figure } from "../probes/probe-result.ts";
import type { RecoveryEvent } from "../slo/recovery-event.ts";
import type { FailoverEvent } from "./failover-history.ts";

/** A failover with what it cost in transactions. */
interface Recovery extends RecoveryEvent {
  readonly lostTransactions: Figure<number>;
}

/** A failover was a node's loss, as far as its store could tell; a re-election the loss of a process that came back. */
const SCENARIO_OF: Readonly<Partial<Record<FailoverEvent["kind"], Scenario>>> = { failover: "node-loss", "re-election": "process-loss" };

/** The recoveries that the histories of stores tell of: one for each service on the store that has an objective for it. */
export function recoveriesOf(config: Pick<Config, "services">, histories: ReadonlyMap<string, readonly FailoverEvent[]>): Recovery[] {
  return [...histories].flatMap(([store, events]) =>
    events.flatMap((event) => {
      const asked = SCENARIO_OF[event.kind];
      if (asked === undefined) return [];
      return Object.entries(config.services).flatMap(([service, { stores, objectives }]) => {
        // Who demands something of the smaller accident alone is answered by the larger one as well.
        const scenario: Scenario = objectives[asked] === undefined ? "process-loss" : asked;
        const objective = objectives[scenario];
        if (!stores.includes(store) || objective === undefined) return [];
        return [{ service, scenario, objective, atMs: event.atMs, exercise: false, ...figuresOf(event) }];
      });
    }),
  );
}

/**
 * What failovers prove of the copies that they were made to, by the copy's name: one that lost nothing was a real recovery from it,
 * and its positions were checked by the votes of the others. One with a stated loss proves nothing.
 */
export function proofsOf(events: readonly FailoverEvent[]): Map<string, NonNullable<CopyFacts["proof"]>> {
  const proofs = new Map<string, NonNullable<CopyFacts["proof"]>>();
  for (const { kind, to, atMs, totalMs, loss } of events) {
    if (kind !== "failover" || to === undefined || totalMs === undefined || loss !== undefined) continue;
    if ((proofs.get(to)?.atMs ?? Number.NEGATIVE_INFINITY) <= atMs) proofs.set(to, { atMs, tookMs: totalMs });
  }
  return proofs;
}

/** The last one of each service and scenario. */
export function lastRecoveries(recoveries: readonly Recovery[]): RecoveryFigures[] {
  const last = new Map<string, Recovery>();
  for (const one of recoveries) {
    const name = `${one.service}\0${one.scenario}`;
    if ((last.get(name)?.atMs ?? Number.NEGATIVE_INFINITY) <= one.atMs) last.set(name, one);
  }
  return [...last.values()];
}

function figuresOf({ atMs, totalMs, loss }: FailoverEvent): Pick<Recovery, "lostMs" | "lostTransactions" | "tookMs"> {
  const tookMs =
    totalMs === undefined
      ? unknown<number>("the failover's duration was not kept", atMs)
      : // From the suspicion on: what went before is in nobody's account.
        known(totalMs, { atMs, method: "observed" as const, errorMs: 0 });
  // Without a stated loss it was promoted with every acknowledged commit (NO-LOSS-PROMOTE).
  if (loss === undefined) {
    const nothing = known(0, { atMs, method: "synchronous", errorMs: 0 });
    return { lostMs: nothing, lostTransactions: nothing, tookMs };
  }
  const lostMs =
    loss.exposureMs === undefined
      ? unknown<number>("how much was lost could not be stated", loss.statedAtMs)
      : known(loss.exposureMs, { atMs: loss.statedAtMs, method: "position-history" as const, errorMs: loss.reportAgeMs ?? 0 });
  return { lostMs, lostTransactions: unknown("the transactions of a stated loss are not counted", loss.statedAtMs), tookMs };
}
