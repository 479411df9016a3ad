// When in a second the servers of a store are looked at. Its primary and its standby both tell how far the standby is: looked at half a second apart, they
// tell it twice as often as one of them. The canary, which also tells where the primary's log is, is written half a second after the primary
// was looked at.
import type { Probe } from "../probes/probe.ts";

export class ServerPhases {
  readonly #servers: readonly string[];

  /** @param servers names of the copies that are servers, in any order. */
  constructor(servers: readonly string[]) {
    this.#servers = servers;
  }

  /** Nothing for a probe that looks at no server. */
  of(probe: Probe): { readonly phase?: () => number } {
    const index = this.#servers.findIndex((name) => probe.name === `postgresql ${name}`);
    return index < 0 ? {} : { phase: () => this.#place(index) };
  }

  /** Half a period from `server`; without one, from the first. */
  opposite(server: string | undefined): number {
    return this.#place(Math.max(0, server === undefined ? 0 : this.#servers.indexOf(server))) + 0.5;
  }

  #place(index: number): number {
    return index / this.#servers.length;
  }
}
