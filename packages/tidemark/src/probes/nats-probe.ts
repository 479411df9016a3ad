import type { Clock } from "@tidemark/kernel/clock";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { Answer, garbage } from "./answer.ts";
import { getJson, type HttpTarget } from "./http-json.ts";
import { ProbeFault } from "./postgresql/postgresql-fault.ts";
import type { CopyFacts, Figure, RecoveryPoint } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { ProbeTurns, type Found, type Turn } from "./probe-turns.ts";

export interface NatsProbeOptions {
  readonly store: string;
  /** The stream, and the consumer whose backlog is wanted. */
  readonly stream: string;
  readonly consumer: string;
  /** Default `$G`, where a server without accounts keeps everything. */
  readonly account?: string;
  /** The server's name. In a cluster only the server that leads knows the figures; of another one they are unknown. */
  readonly server?: string;
  /** Every change of the store is in the stream, so that it is a copy: by configuration, nobody can see that from outside. */
  readonly copy?: { readonly name: string; readonly domain: FailureDomain };
  /** The monitoring address (`http_port`), without a path. */
  readonly target: HttpTarget;
  readonly clock: Clock;
}

/** The backlog of a JetStream consumer, by the server's monitoring endpoint `/jsz` (NATS documentation, "Monitoring"). */
export class NatsProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: NatsProbeOptions;
  readonly #turns: ProbeTurns;

  constructor(options: NatsProbeOptions) {
    this.name = `nats ${options.stream}/${options.consumer}`;
    this.store = options.store;
    this.#options = options;
    this.#turns = new ProbeTurns(options.clock);
  }

  probe(signal: AbortSignal): Promise<ProbeReading> {
    return this.#turns.run(signal, async (turn) => {
      const { target, account = "$G" } = this.#options;
      const query = new URLSearchParams({ streams: "true", consumers: "true", acc: account });
      const url = `${target.url.endsWith("/") ? target.url.slice(0, -1) : target.url}/jsz?${query.toString()}`;
      return this.#found(Answer.of(await getJson({ ...target, url }, turn.signal), "jsz"), turn);
    });
  }

  close(): Promise<void> {
    return this.#turns.close();
  }

  #found(jsz: Answer, turn: Turn): Found {
    const stream = this.#stream(jsz);
    const state = stream.object("state");
    const measured = { atMs: turn.atMs, method: "reported", errorMs: turn.elapsedMs() } as const;
    const leads = this.#leads(stream);
    const says = (value: () => number): Figure<number> =>
      leads ? known(value(), measured) : unknown("another server of the cluster leads the stream", turn.atMs);
    const { copy } = this.#options;
    return {
      copies:
        copy === undefined
          ? []
          : [this.#copy(copy, { stream, leads, clockErrorMs: Math.abs(timeOf(jsz, "now") - turn.atMs) + turn.elapsedMs(), turn })],
      figures: {
        nats_consumer_lag_messages: this.#lag(stream, { leads, turn }),
        nats_stream_messages: says(() => state.count("messages")),
        nats_stream_bytes: says(() => state.count("bytes")),
      },
    };
  }

  #stream(jsz: Answer): Answer {
    const { account = "$G", stream } = this.#options;
    if (jsz.has("disabled") && jsz.flag("disabled")) throw new ProbeFault("TM-PROBE-FAILED", "JetStream is off on this server");
    // Without any account in use the list is left out; without anything of JetStream's this is another service.
    jsz.count("streams");
    const accounts = jsz.has("account_details") ? jsz.list("account_details") : [];
    const mine = accounts.find((one) => one.text("name") === account);
    const found = mine?.has("stream_detail") === true ? mine.list("stream_detail").find((one) => one.text("name") === stream) : undefined;
    if (found === undefined) throw new ProbeFault("TM-PROBE-FAILED", "the server has no stream of this name in this account");
    return found;
  }

  /** Messages that the consumer was not given, and those that it was given and has not acknowledged. */
  #lag(stream: Answer, { leads, turn }: { leads: boolean; turn: Turn }): Figure<number> {
    const all = stream.has("consumer_detail") ? stream.list("consumer_detail") : [];
    const consumer = all.find((one) => one.text("name") === this.#options.consumer);
    if (consumer === undefined) return unknown("the stream has no consumer of this name on this server", turn.atMs);
    if (!leads || !this.#leads(consumer)) return unknown("another server of the cluster leads the consumer", turn.atMs);
    const value = consumer.count("num_pending") + consumer.count("num_ack_pending");
    return known(value, { atMs: turn.atMs, method: "reported", errorMs: turn.elapsedMs() });
  }

  /** A server alone names no cluster. */
  #leads(part: Answer): boolean {
    if (!part.has("cluster")) return true;
    const cluster = part.object("cluster");
    return !cluster.has("name") || (cluster.has("leader") && cluster.text("leader") === this.#options.server);
  }

  #copy(
    copy: { readonly name: string; readonly domain: FailureDomain },
    seen: { stream: Answer; leads: boolean; clockErrorMs: number; turn: Turn },
  ): CopyFacts {
    const { stream, leads, clockErrorMs, turn } = seen;
    const { atMs } = turn;
    const state = stream.object("state");
    const some = leads && state.count("last_seq") > 0;
    const point: Figure<RecoveryPoint> = some
      ? known({ commitMs: timeOf(state, "last_ts"), complete: false }, { atMs, method: "observed", errorMs: clockErrorMs })
      : unknown(leads ? "there was never a message in the stream" : "another server of the cluster leads the stream", atMs);
    const held = some && state.count("messages") > 0;
    const none = unknown<number>("the stream does not say what it lacks", atMs);
    return {
      ...copy,
      kind: "queue",
      holds: "wal",
      outlivesProcess: false,
      recoveryPoint: point,
      missingBytes: none,
      missingTransactions: none,
      synchronous: unknown("the stream does not say who waits for it", atMs),
      ...(held
        ? { pointInTime: { fromMs: timeOf(state, "first_ts"), toMs: Math.max(timeOf(state, "first_ts"), timeOf(state, "last_ts")) } }
        : {}),
      remarks: ["Its times are when the server took the messages, by its own clock."],
    };
  }
}

function timeOf(answer: Answer, field: string): number {
  const timeMs = Date.parse(answer.text(field));
  if (!Number.isFinite(timeMs)) throw garbage(`${field} is no time`);
  return timeMs;
}
