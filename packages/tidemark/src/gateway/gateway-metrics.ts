import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { recordsBehind, type StatusParts } from "./gateway-status.ts";

/** Seconds; the target for one acknowledgement is around a millisecond. */
const BUCKETS = [0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];

/** The gateway's metrics, for `GET /metrics`. Figures that exist elsewhere are read when they are asked for. */
export class GatewayMetrics {
  readonly #registry = new Registry();
  readonly #acknowledgement: Histogram;

  constructor(parts: StatusParts) {
    const registers = [this.#registry];
    this.#acknowledgement = new Histogram({
      name: "tidemark_gateway_request_seconds",
      help: "Time from a request for writes to its answer.",
      buckets: BUCKETS,
      registers,
    });
    const results = new Counter({
      name: "tidemark_gateway_writes_total",
      help: "Writes by what was answered: acknowledged (new), duplicate, refused (nothing written), unknown (after a failed fsync).",
      labelNames: ["result"],
      registers,
      collect() {
        const { acknowledged, duplicates, refused, unknown } = parts.writes.counts;
        this.reset();
        for (const [result, count] of Object.entries({ acknowledged, duplicates, refused, unknown })) this.inc({ result }, count);
      },
    });
    results.inc({ result: "acknowledged" }, 0);
    this.#gauges(parts);
  }

  /** Counts one request for writes that took `ms`. */
  requestTook(ms: number): void {
    this.#acknowledgement.observe(ms / 1_000);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #gauges(parts: StatusParts): void {
    const gauge = (name: string, help: string, read: () => number | undefined): void => {
      const made: Gauge = new Gauge({
        name: `tidemark_gateway_${name}`,
        help,
        registers: [this.#registry],
        collect: () => set(made, {}, read()),
      });
    };
    gauge("pending_writes", "Writes accepted and not yet durable.", () => parts.writes.pending);
    gauge("waiting_requests", "Writes that somebody waits for until they are applied.", () => parts.outcomes.waiting);
    gauge("idempotency_keys", "Idempotency keys remembered.", () => parts.window.size);
    gauge("dead_letters_open", "Writes refused for good or parked behind one.", () => parts.verdicts.openCount);
    gauge("incidents_total", "Writes that came out otherwise when applied again, since the start.", () => parts.incidents.count);
    gauge("memory_bytes", "Resident memory of the gateway.", () => parts.process.memoryBytes());
    gauge("journal_bytes", "Bytes of the journal.", () => parts.journal.status().bytes);
    gauge("journal_quota_bytes", "Quota of the journal.", () => parts.journal.status().quotaBytes);
    gauge("journal_durable_sequence", "Newest durable sequence.", () => Number(parts.journal.extent().durable));
    const perStore = (name: string, help: string, read: (store: string) => number | undefined): void => {
      const made: Gauge<"store"> = new Gauge({
        name: `tidemark_gateway_${name}`,
        help,
        labelNames: ["store"],
        registers: [this.#registry],
        collect: () => Object.keys(parts.config.stores).forEach((store) => set(made, { store }, read(store))),
      });
    };
    perStore("applier_up", "1 while the applier's process runs.", (store) => (parts.appliers.get(store)?.facts.pid === undefined ? 0 : 1));
    perStore("applier_restarts_total", "Times that the applier was started again.", (store) => parts.appliers.get(store)?.facts.restarts);
    perStore("records_behind", "Records that may not be applied yet, at most.", (store) => recordsBehind(store, parts));
  }
}

/** An unknown figure is absent, never zero (HONEST-NUMBER). */
function set(gauge: Gauge, labels: Record<string, string>, value: number | undefined): void {
  if (value === undefined) gauge.remove(labels);
  else gauge.set(labels, value);
}
