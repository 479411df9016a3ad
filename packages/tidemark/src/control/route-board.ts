// Where each store's primary is, for those who connect. A new revision for each change; whoever waits for one hears of it
// at once.
import type { Clock } from "@tidemark/kernel/clock";
import type { PrimaryRoute } from "../cluster/cluster-record.ts";
import type { ClusterRecord } from "../cluster/cluster-record.ts";
import { KeyWatch } from "../cluster/key-watch.ts";
import { isAsynchronous, kindOf } from "../cluster/quorum.ts";
import type { NodeConfig } from "../config/config.ts";

export class RouteBoard {
  readonly #clock: Clock;
  readonly #watch: KeyWatch;
  readonly #routes = new Map<string, PrimaryRoute>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#watch = new KeyWatch(clock);
  }

  current(store: string): PrimaryRoute | undefined {
    return this.#routes.get(store);
  }

  /** Publishes a route if it says something new. Answers whether it did. */
  publish(route: Omit<PrimaryRoute, "revision">): boolean {
    const before = this.#routes.get(route.store);
    if (before !== undefined && JSON.stringify({ ...route, revision: before.revision }) === JSON.stringify({ ...before })) return false;
    // Wall time, so that revisions go on growing when control starts again.
    const revision = Math.max((before?.revision ?? 0) + 1, Math.floor(this.#clock.wallMs()));
    const next: PrimaryRoute = { ...route, revision };
    this.#routes.set(route.store, next);
    this.#watch.changed({ key: route.store, value: next, revision });
    return true;
  }

  /** Resolves with the first route after `after`; undefined when the time is over. A revision of the future (a clock that went back) is answered at once. */
  async waitFor(store: string, after: number, options: { waitMs: number; signal?: AbortSignal }): Promise<PrimaryRoute | undefined> {
    const route = this.#routes.get(store);
    const known = route !== undefined && after > route.revision ? 0 : after;
    const current = route === undefined ? undefined : { key: store, value: route, revision: route.revision };
    const entry = await this.#watch.wait(store, known, { ...options, current });
    return entry?.value as PrimaryRoute | undefined;
  }

  close(): void {
    this.#watch.close();
  }
}

/** The route that follows from a record. `isOpen`: its primary has opened this reign and is not known to be down. */
export function routeOf(record: ClusterRecord, node: NodeConfig, isOpen: boolean): Omit<PrimaryRoute, "revision"> {
  const counted = record.sets.filter((set) => kindOf(set) === "counted");
  return {
    store: record.store,
    epoch: record.epoch,
    node: record.primary,
    host: node.host,
    port: node.port,
    timeline: record.timeline,
    systemIdentifier: record.systemIdentifier,
    state: isOpen && record.claim === undefined ? "open" : "changing",
    guarantee: isAsynchronous(record) ? "asynchronous" : "synchronous",
    demanded: [...new Set(counted.flatMap((set) => set.members.map((member) => member.identity)))].sort(),
  };
}
