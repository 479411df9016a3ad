import { Gauge, Registry } from "prom-client";
import type { StoreReport } from "./cluster-status.ts";

/** Control's own metrics, made from the reports at each scrape: they cannot disagree with the status. */
export class ControlMetrics {
  readonly #registry = new Registry();
  readonly #reports: () => readonly StoreReport[];

  constructor(reports: () => readonly StoreReport[]) {
    this.#reports = reports;
    this.#gauge("tidemark_cluster_epoch", "Epoch of the store's record.", ["store"], (gauge, report) => {
      if (report.record !== undefined) gauge.set({ store: report.store }, report.record.epoch);
    });
    this.#gauge("tidemark_cluster_serving", "1 while a primary is open.", ["store"], (gauge, report) => {
      gauge.set({ store: report.store }, report.state === "serving" ? 1 : 0);
    });
    this.#gauge("tidemark_cluster_synchronous", "1 while a commit waits for another copy.", ["store"], (gauge, report) => {
      gauge.set({ store: report.store }, report.route?.guarantee === "synchronous" ? 1 : 0);
    });
    this.#gauge(
      "tidemark_cluster_standby_lag_bytes",
      "WAL flushed on the primary and not replayed on the standby, by the last reports.",
      ["store", "node"],
      (gauge, report) => {
        for (const node of report.nodes)
          if (node.lagBytes !== undefined) gauge.set({ store: report.store, node: node.node }, node.lagBytes);
      },
    );
    this.#gauge("tidemark_cluster_agent_silence_seconds", "Age of the agent's last report.", ["store", "node"], (gauge, report) => {
      for (const node of report.nodes)
        if (node.ageMs !== undefined) gauge.set({ store: report.store, node: node.node }, node.ageMs / 1_000);
    });
    this.#gauge(
      "tidemark_cluster_last_failover_seconds",
      "Duration of the last failover, suspicion to open.",
      ["store"],
      (gauge, report) => {
        if (report.lastFailover?.totalMs !== undefined) gauge.set({ store: report.store }, report.lastFailover.totalMs / 1_000);
      },
    );
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string, labelNames: string[], fill: (gauge: Gauge, report: StoreReport) => void): void {
    const reports = this.#reports;
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect(): void {
        gauge.reset();
        for (const report of reports()) fill(gauge, report);
      },
    });
  }
}
