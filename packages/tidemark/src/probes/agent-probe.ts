import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { Answer, garbage } from "./answer.ts";
import { getJson, type HttpTarget } from "./http-json.ts";
import { pointAt, type PositionTimes } from "./position-times.ts";
import type { CopyFacts } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { ProbeTurns, type Found, type Turn } from "./probe-turns.ts";

export interface AgentProbeOptions {
  readonly store: string;
  /** The node's name; its copy has the same. */
  readonly node: string;
  readonly domain: FailureDomain;
  /** The agent's `GET /status` and the internal token. */
  readonly target: HttpTarget;
  readonly positions?: PositionTimes;
  readonly clock: Clock;
}

/**
 * A standby, as its agent tells of it: also while PostgreSQL itself takes no connections, as in a promotion. A primary is no copy here:
 * the probe of PostgreSQL tells of it.
 */
export class AgentProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: AgentProbeOptions;
  readonly #turns: ProbeTurns;

  constructor(options: AgentProbeOptions) {
    this.name = `agent ${options.node}`;
    this.store = options.store;
    this.#options = options;
    this.#turns = new ProbeTurns(options.clock);
  }

  probe(signal: AbortSignal): Promise<ProbeReading> {
    return this.#turns.run(signal, async (turn) =>
      this.#found(Answer.of(await getJson(this.#options.target, turn.signal), "status"), turn),
    );
  }

  close(): Promise<void> {
    return this.#turns.close();
  }

  #found(status: Answer, turn: Turn): Found {
    const { atMs } = turn;
    const errorMs = turn.elapsedMs();
    const state = status.text("state");
    if (!/^[a-z]{1,20}$/.test(state)) throw garbage("status.state is no state");
    const measured = { atMs, method: "reported", errorMs } as const;
    const standby = status.has("inRecovery") && status.flag("inRecovery");
    return {
      ...(status.has("systemIdentifier") ? { store: { systemIdentifier: identifierOf(status) } } : {}),
      copies: standby ? [this.#standby(status, { state, atMs, errorMs })] : [],
      figures: {
        agent_open: known(status.flag("open") ? 1 : 0, measured),
        agent_streaming: status.has("streaming")
          ? known(status.flag("streaming") ? 1 : 0, measured)
          : unknown("the agent does not say whether its node receives", atMs),
      },
    };
  }

  #standby(status: Answer, seen: { state: string; atMs: number; errorMs: number }): CopyFacts {
    const { state, atMs, errorMs } = seen;
    const lsns = ["lsn", "receivedLsn"].filter((field) => status.has(field)).map((field) => status.lsn(field));
    // What was received and not replayed is replayed in a recovery; what came from an archive was never received.
    const lsn = lsns.reduce<(typeof lsns)[number] | undefined>((most, one) => (most === undefined || one > most ? one : most), undefined);
    const none = "the agent does not say how far its node is";
    const point =
      lsn === undefined || !status.has("timeline")
        ? {
            recoveryPoint: unknown<never>(none, atMs),
            missingBytes: unknown<number>(none, atMs),
            missingTransactions: unknown<number>(none, atMs),
          }
        : pointAt(this.#options.positions, { timeline: status.count("timeline") as Timeline, lsn }, { atMs, errorMs });
    return {
      name: this.#options.node,
      kind: "standby",
      domain: this.#options.domain,
      outlivesProcess: true,
      ...point,
      synchronous: unknown("the primary says for whom an acknowledgement waits", atMs),
      remarks: [
        ...(state === "standby" ? [] : [`Its node is ${state}.`]),
        ...(status.has("streaming") && !status.flag("streaming") ? ["It does not stream from the primary."] : []),
      ],
    };
  }
}

function identifierOf(status: Answer): SystemIdentifier {
  const text = status.text("systemIdentifier");
  if (!/^\d{1,20}$/.test(text)) throw garbage("status.systemIdentifier is none");
  return text as SystemIdentifier;
}
