import type { Clock } from "@tidemark/kernel/clock";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { Answer, garbage } from "./answer.ts";
import { getJson, type HttpTarget } from "./http-json.ts";
import type { CopyFacts, Figure } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { ProbeTurns, type Found, type Turn } from "./probe-turns.ts";

export interface PatroniProbeOptions {
  readonly store: string;
  /** Patroni's name of the cluster, for messages. */
  readonly cluster: string;
  /** Where each member is, by its name; what is not named here is in no known domain. */
  readonly domains: Readonly<Record<string, FailureDomain>>;
  /** The REST address of any member, without a path. */
  readonly target: HttpTarget;
  /** Patroni's `ttl`, milliseconds: so old can be what it says of a member. Default {@link DEFAULT_TTL_MS}. */
  readonly ttlMs?: number;
  readonly clock: Clock;
}

/** Patroni's default `ttl`: 30 s. */
const DEFAULT_TTL_MS = 30_000;

/**
 * The members of a cluster that Patroni runs, by its REST API (`GET /cluster`). Its lag is the difference of two positions that the leader
 * and the member each wrote to the configuration store once per loop (`loop_wait`, 10 s by default), and that stay there for `ttl` when a
 * loop hangs. So a lag of 0 does not say that nothing is missing, and bytes are no time: the recovery point is unknown, and only the probe
 * of PostgreSQL knows it.
 */
export class PatroniProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: PatroniProbeOptions;
  readonly #turns: ProbeTurns;

  constructor(options: PatroniProbeOptions) {
    this.name = `patroni ${options.cluster}`;
    this.store = options.store;
    this.#options = options;
    this.#turns = new ProbeTurns(options.clock);
  }

  probe(signal: AbortSignal): Promise<ProbeReading> {
    return this.#turns.run(signal, async (turn) => {
      const { target } = this.#options;
      const url = `${target.url.endsWith("/") ? target.url.slice(0, -1) : target.url}/cluster`;
      return this.#found(Answer.of(await getJson({ ...target, url }, turn.signal), "cluster").list("members"), turn);
    });
  }

  close(): Promise<void> {
    return this.#turns.close();
  }

  #found(members: readonly Answer[], turn: Turn): Found {
    const leaders = members.filter((member) => LEADING.has(member.text("role")));
    const leader = leaders.length === 1 ? leaders[0] : undefined;
    const measured = this.#measured(turn);
    return {
      copies: members.filter((member) => !LEADING.has(member.text("role"))).map((member) => this.#copy(member, leader, turn)),
      figures: {
        patroni_members: known(members.length, measured),
        patroni_leaders: known(leaders.length, measured),
        patroni_timeline:
          leader?.has("timeline") === true
            ? known(leader.count("timeline"), measured)
            : unknown("there is no leader that tells it", turn.atMs),
      },
    };
  }

  #copy(member: Answer, leader: Answer | undefined, turn: Turn): CopyFacts {
    const { atMs } = turn;
    const { ttlMs = DEFAULT_TTL_MS } = this.#options;
    const name = wordOf(member, "name");
    const role = wordOf(member, "role");
    const state = member.text("state");
    const [own, theirs] = [member, leader].map((one) => (one?.has("timeline") === true ? one.count("timeline") : undefined));
    return {
      name,
      kind: "standby",
      domain: Object.hasOwn(this.#options.domains, name) ? (this.#options.domains[name] ?? {}) : {},
      outlivesProcess: true,
      recoveryPoint: unknown("Patroni tells bytes, and no time", atMs),
      missingBytes: this.#lag(member, leader, turn),
      missingTransactions: unknown("Patroni tells bytes, and no transactions", atMs),
      synchronous: this.#synchronous(role, turn),
      remarks: [
        `Patroni samples its lag in bytes once per loop: it may be up to ${ttlMs / 1_000} s old, and 0 does not say that nothing is missing.`,
        ...(RUNNING.has(state) ? [] : ["Patroni says that it does not run."]),
        ...(own !== undefined && theirs !== undefined && own !== theirs ? [`It is on timeline ${own}, its leader on ${theirs}.`] : []),
      ],
    };
  }

  #lag(member: Answer, leader: Answer | undefined, turn: Turn): Figure<number> {
    if (leader === undefined) return unknown("Patroni names no leader to lag behind", turn.atMs);
    // Where either position is missing Patroni says "unknown", or nothing.
    if (!member.has("lag") || member.value("lag") === "unknown") return unknown("Patroni does not know its lag", turn.atMs);
    return known(member.count("lag"), this.#measured(turn));
  }

  #synchronous(role: string, turn: Turn): Figure<boolean> {
    switch (role) {
      case "sync_standby":
        return known(true, this.#measured(turn));
      case "replica":
        return known(false, this.#measured(turn));
      default:
        // `quorum_standby`: an acknowledgement waits for some of them, and nobody knows for which.
        return unknown("Patroni does not say whether an acknowledgement waits for this one", turn.atMs);
    }
  }

  #measured(turn: Turn) {
    return { atMs: turn.atMs, method: "reported", errorMs: turn.elapsedMs() + (this.#options.ttlMs ?? DEFAULT_TTL_MS) } as const;
  }
}

/** `master`: of versions before 4. A standby cluster's leader is a standby of another cluster, and no copy of this one's leader. */
const LEADING: ReadonlySet<string> = new Set(["leader", "master", "standby_leader"]);
const RUNNING: ReadonlySet<string> = new Set(["running", "streaming", "in archive recovery"]);

function wordOf(member: Answer, field: string): string {
  const word = member.text(field);
  if (!/^[\w.-]{1,100}$/.test(word)) throw garbage(`a member's ${field} is none`);
  return word;
}
