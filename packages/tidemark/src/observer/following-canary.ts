import type { Clock } from "@tidemark/kernel/clock";
import { CanaryProbe } from "../canary/canary-probe.ts";
import type { PositionHistory } from "../canary/position-history.ts";
import { awayReading } from "../probes/away-reading.ts";
import type { PostgresqlTarget } from "../probes/postgresql/postgresql-target.ts";
import type { StoreFacts } from "../probes/probe-result.ts";
import type { Probe, ProbeReading } from "../probes/probe.ts";
import { SecretProbe } from "./secret-probe.ts";

export interface FollowingCanaryOptions {
  readonly store: string;
  /** The servers that may be the primary, by the name of their copy. Rejects with a TidemarkError when a secret cannot be read. */
  readonly servers: ReadonlyMap<string, () => Promise<PostgresqlTarget>>;
  /** Told where the primary's log was at each beat. */
  readonly positions?: PositionHistory;
  readonly clock: Clock;
}

/** Writes the canary on the server that is the primary, as it was seen last: after a failover on the new one. */
export class FollowingCanary implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: FollowingCanaryOptions;
  #followed: { readonly server: string; readonly probe: Probe } | undefined;
  #primaries: readonly string[] = [];

  constructor(options: FollowingCanaryOptions) {
    this.#options = options;
    this.name = `canary ${options.store}`;
    this.store = options.store;
  }

  /** To be told of the store's facts each time they are made. */
  follow(facts: StoreFacts): void {
    this.#primaries = facts.copies.filter(({ kind }) => kind === "primary").map(({ name }) => name);
  }

  /** The server on which it is written, the first of several that say that they are the primary. */
  get server(): string | undefined {
    return this.#primaries[0];
  }

  async probe(signal: AbortSignal): Promise<ProbeReading> {
    const { clock, store, servers, positions } = this.#options;
    const [server, second] = this.#primaries;
    if (server === undefined) return awayReading(clock, "TM-PROBE-AWAY", "no server was seen to be the primary");
    // In whose log a row then stands would say nothing of the other's.
    if (second !== undefined) return awayReading(clock, "TM-PROBE-AWAY", "more than one server says that it is the primary");
    if (this.#followed?.server !== server) {
      const target = servers.get(server);
      if (target === undefined)
        return awayReading(clock, "TM-PROBE-AWAY", `the primary ${server} is not one of the servers that are looked at`);
      await this.#followed?.probe.close();
      const make = async (): Promise<Probe> =>
        new CanaryProbe({ store, target: await target(), clock, ...(positions === undefined ? {} : { positions }) });
      this.#followed = { server, probe: new SecretProbe({ name: this.name, store, make, clock }) };
    }
    return this.#followed.probe.probe(signal);
  }

  async close(): Promise<void> {
    await this.#followed?.probe.close();
  }
}
