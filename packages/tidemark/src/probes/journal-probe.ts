import type { Clock } from "@tidemark/kernel/clock";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { Answer, garbage } from "./answer.ts";
import { getJson, type HttpTarget } from "./http-json.ts";
import type { CopyFacts, Figure, RecoveryPoint } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { TrimHistory } from "./trim-history.ts";
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

/**
 * The journal as a copy: a write is acknowledged when it is durable there (ACK-DURABLE), so that it lacks nothing that went through it. It has to
 * be put on a whole copy that has what it has forgotten ({@link TrimHistory}).
 */
export class JournalProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: JournalProbeOptions;
  readonly #turns: ProbeTurns;
  readonly #trims = new TrimHistory();

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
    const copy = this.#copy(journal, { here, turn, errorMs });
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

  #copy(journal: Answer, seen: { here: Answer | undefined; turn: Turn; errorMs: number }): CopyFacts {
    const { here, turn, errorMs } = seen;
    const { atMs } = turn;
    const state = wordOf(journal, "state");
    const why = this.#whyUnknown(here, state);
    const says = <T>(value: T): Figure<T> => (why === undefined ? known(value, { atMs, method: "reported", errorMs }) : unknown(why, atMs));
    const fromMs = here === undefined ? undefined : this.#unbrokenSince(journal, here);
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
        this.#options.allWrites
          ? "It holds what was written through the gateway, and nothing else; that nothing is written past it is only what the configuration says."
          : "It holds what was written through the gateway, and nothing else.",
        ...(state === "open" ? [] : [`The journal is ${state}: it takes no writes.`]),
      ],
    };
  }

  /** Why what it holds of the store is not known; undefined when it is. */
  #whyUnknown(here: Answer | undefined, state: string): string | undefined {
    if (here === undefined) return "the gateway does not know this store";
    if (!this.#options.allWrites) return "what is written past the gateway is not in its journal, and nobody knows how much that is";
    if (state === "stopped") return "the journal has stopped after a fault: whether all of it can be read is not known";
    const applier = here.has("applier") ? wordOf(here.object("applier"), "state") : "away";
    return APPLIES.has(applier) ? undefined : `its applier is ${applier}: whether it can be put on another copy is not known`;
  }

  #unbrokenSince(journal: Answer, here: Answer): number | undefined {
    const { clock } = this.#options;
    const timeline = here.has("trimSafeTimeline") ? here.count("trimSafeTimeline") : undefined;
    return this.#trims.see({
      journal: journal.text("id"),
      oldest: sequenceOf(journal, "oldest"),
      ...(timeline === undefined ? {} : { safe: { upTo: sequenceOf(here, "trimSafe"), timeline } }),
      heardWallMs: clock.wallMs(),
      heardMonotonicMs: clock.monotonicMs(),
    });
  }
}

/** Where the applier could go on from any position that it finds. Elsewhere it is not certain that the journal can be put on what is left. */
const APPLIES: ReadonlySet<string> = new Set(["applying", "paused", "waiting"]);

function backlogOf(store: Answer | undefined, { atMs, errorMs }: { atMs: number; errorMs: number }): Figure<number> {
  if (store === undefined) return unknown("the gateway does not know this store", atMs);
  const behind = store.object("behind");
  if (!behind.has("records")) return unknown("not every partition's position was told yet", atMs);
  return known(behind.count("records"), { atMs, method: "reported", errorMs });
}

function wordOf(answer: Answer, field: string): string {
  const word = answer.text(field);
  if (!/^[a-z]{1,20}$/.test(word)) throw garbage(`${field} is no state`);
  return word;
}

function sequenceOf(answer: Answer, field: string): bigint {
  const text = answer.text(field);
  if (!/^\d{1,20}$/.test(text)) throw garbage(`${field} is no sequence`);
  return BigInt(text);
}

function timeOf(answer: Answer, field: string): number {
  const timeMs = Date.parse(answer.text(field));
  if (!Number.isFinite(timeMs)) throw garbage(`${field} is no time`);
  return timeMs;
}
