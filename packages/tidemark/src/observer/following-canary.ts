import type { Clock } from "@tidemark/kernel/clock";
import { CanaryProbe } from "../canary/canary-probe.ts";
import { awayReading } from "../probes/away-reading.ts";
import type { PostgresqlTarget } from "../probes/postgresql/postgresql-target.ts";
import type { StoreFacts } from "../probes/probe-result.ts";
import type { Probe, ProbeReading } from "../probes/probe.ts";
import { SecretProbe } from "./secret-probe.ts";

export interface FollowingCanaryOptions {
  readonly store: string;
  /** The servers that may be the primary, by the name of their copy. Rejects with a TidemarkError when a secret cannot be read. */
  readonly servers: ReadonlyMap<string, () => Promise<PostgresqlTarget>>;
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

  async probe(signal: AbortSignal): Promise<ProbeReading> {
    const { clock, store, servers } = this.#options;
    const [server, second] = this.#primaries;
    if (server === undefined) return awayReading(clock, "TM-PROBE-AWAY", "no server was seen to be the primary");
    // In whose log a row then stands would say nothing of the other's.
    if (second !== undefined) return awayReading(clock, "TM-PROBE-AWAY", "more than one server says that it is the primary");
    if (this.#followed?.server !== server) {
      const target = servers.get(server);
      if (target === undefined)
        return awayReading(clock, "TM-PROBE-AWAY", `the primary ${server} is not one of the servers that are looked at`);
      await this.#followed?.probe.close();
      const make = async (): Promise<Probe> => new CanaryProbe({ store, target: await target(), clock });
      this.#followed = { server, probe: new SecretProbe({ name: this.name, store, make, clock }) };
    }
    return this.#followed.probe.probe(signal);
  }

  async close(): Promise<void> {
    await this.#followed?.probe.close();
  }
}
