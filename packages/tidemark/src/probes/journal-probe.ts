import type { Clock } from "@tidemark/kernel/clock";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { Answer, garbage } from "./answer.ts";
import { getJson, type HttpTarget } from "./http-json.ts";
import type { CopyFacts, Figure, RecoveryPoint } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { ProbeTurns, type Found, type Turn } from "./probe-turns.ts";

export interface JournalProbeOptions {
  readonly store: string;
  /** The gateway whose journal it is; the copy is called `<gateway>/journal`. */
  readonly gateway: string;
  readonly domain: FailureDomain;
  /**
   * The configuration says that everything that is written to the store goes through this gateway. Only then is what was acknowledged
   * in the journal; otherwise what it lacks is unknown.
   */
  readonly allWrites: boolean;
  /** The gateway's `GET /v1/status` and a token. */
  readonly target: HttpTarget;
  readonly clock: Clock;
}

/** The journal as a copy: a write is acknowledged when it is durable there (ACK-DURABLE), so that it lacks nothing that went through it. */
export class JournalProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: JournalProbeOptions;
  readonly #turns: ProbeTurns;

  constructor(options: JournalProbeOptions) {
    this.name = `journal ${options.gateway}`;
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
    const journal = status.object("journal");
    const stores = status.object("stores");
    const errorMs = turn.elapsedMs() + Math.abs(timeOf(status, "at") - atMs);
    const measured = { atMs, method: "reported", errorMs } as const;
    const here = stores.has(this.store) ? stores.object(this.store) : undefined;
    const copy = this.#copy(journal, { served: here !== undefined, atMs, errorMs });
    return {
      copies: [copy],
      figures: {
        journal_backlog_records: backlogOf(here, { atMs, errorMs }),
        journal_bytes: known(journal.count("bytes"), measured),
        journal_quota_bytes: known(journal.count("quotaBytes"), measured),
        journal_accepting: known(status.flag("accepting") ? 1 : 0, measured),
        journal_dead_letters_open: known(status.object("deadLetters").count("open"), measured),
      },
    };
  }

  #copy(journal: Answer, seen: { served: boolean; atMs: number; errorMs: number }): CopyFacts {
    const { atMs, errorMs } = seen;
    const state = stateOf(journal);
    const why = !seen.served
      ? "the gateway does not know this store"
      : this.#options.allWrites
        ? undefined
        : "what is written past the gateway is not in its journal, and nobody knows how much that is";
    const says = <T>(value: T): Figure<T> => (why === undefined ? known(value, { atMs, method: "reported", errorMs }) : unknown(why, atMs));
    const fromMs = seen.served && journal.has("healingHorizon") ? timeOf(journal, "healingHorizon") : undefined;
    return {
      name: `${this.#options.gateway}/journal`,
      kind: "journal",
      domain: this.#options.domain,
      holds: "wal",
      outlivesProcess: true,
      recoveryPoint: says<RecoveryPoint>({ commitMs: atMs, complete: true }),
      missingBytes: says(0),
      missingTransactions: says(0),
      synchronous: says(true),
      ...(fromMs === undefined ? {} : { pointInTime: { fromMs, toMs: Math.max(fromMs, atMs) } }),
      remarks: [
        "It holds what was written through the gateway, and nothing else.",
        ...(state === "open" ? [] : [`The journal is ${state}: it takes no writes.`]),
      ],
    };
  }
}

function backlogOf(store: Answer | undefined, { atMs, errorMs }: { atMs: number; errorMs: number }): Figure<number> {
  if (store === undefined) return unknown("the gateway does not know this store", atMs);
  const behind = store.object("behind");
  if (!behind.has("records")) return unknown("not every partition's position was told yet", atMs);
  return known(behind.count("records"), { atMs, method: "reported", errorMs });
}

function stateOf(journal: Answer): string {
  const state = journal.text("state");
  if (!/^[a-z]{1,20}$/.test(state)) throw garbage("status.journal.state is no state");
  return state;
}

function timeOf(answer: Answer, field: string): number {
  const timeMs = Date.parse(answer.text(field));
  if (!Number.isFinite(timeMs)) throw garbage(`${field} is no time`);
  return timeMs;
}
