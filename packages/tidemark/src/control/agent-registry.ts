// What the agents last said, and for each node the positions of late: the loss of an asynchronous failover is stated from them.
import type { Clock } from "@tidemark/kernel/clock";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { AgentStatus } from "../cluster/agent-status.ts";
import type { LossEstimate } from "../cluster/failover-state.ts";
import type { Heard } from "./suspicion.ts";

/** Positions kept per node, the oldest fall out: at one every 250 ms, a little more than an hour. */
export const MOST_POSITIONS = 16_384;

interface Position {
  readonly timeline: number;
  readonly lsn: Lsn;
  /** Monotonic. */
  readonly atMs: number;
}

export class AgentRegistry {
  readonly #clock: Clock;
  readonly #heard = new Map<string, { status: AgentStatus; atMs: number }>();
  readonly #positions = new Map<string, Position[]>();
  readonly #listeners = new Set<(status: AgentStatus) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls back with each heartbeat; returns the unsubscriber. */
  onHeartbeat(listener: (status: AgentStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  heartbeat(status: AgentStatus): void {
    const atMs = this.#clock.monotonicMs();
    this.#heard.set(status.node, { status, atMs });
    if (status.inRecovery === false && status.lsn !== undefined && status.timeline !== undefined) {
      const kept = this.#positions.get(status.node) ?? [];
      kept.push({ timeline: status.timeline, lsn: parseLsn(status.lsn), atMs });
      if (kept.length > MOST_POSITIONS) kept.splice(0, kept.length - MOST_POSITIONS);
      this.#positions.set(status.node, kept);
    }
    for (const listener of this.#listeners) listener(status);
  }

  heard(node: string): Heard | undefined {
    const last = this.#heard.get(node);
    return last === undefined ? undefined : { status: last.status, ageMs: this.#clock.monotonicMs() - last.atMs };
  }

  /**
   * What is missing on a candidate that ends at `end`, from what the old primary reported. Unknown where it never did since
   * control started. `reportAgeMs` bounds the error: commits of that time are not in the figure.
   */
  estimate(primary: string, timeline: number, end: Lsn): LossEstimate {
    const nowMs = this.#clock.monotonicMs();
    const reports = (this.#positions.get(primary) ?? []).filter((position) => position.timeline === timeline);
    const last = reports.at(-1);
    if (last === undefined) return {};
    const reportAgeMs = Math.round(nowMs - last.atMs);
    if (last.lsn <= end) return { bytes: 0, exposureMs: reportAgeMs, reportAgeMs };
    // The newest report that the candidate still covers; what came after it may be missing.
    const covered = reports.findLast((position) => position.lsn <= end);
    const bytes = Number(last.lsn - end);
    return covered === undefined ? { bytes, reportAgeMs } : { bytes, exposureMs: Math.round(nowMs - covered.atMs), reportAgeMs };
  }
}
