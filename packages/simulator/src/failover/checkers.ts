// What must be true of every run, apart from what makes it go: ONE-WRITER, NO-LOSS-PROMOTE, liveness.
import type { ClusterRecord } from "../../../tidemark/src/cluster/cluster-record.ts";
import type { SimulatedPostgres } from "./simulated-postgres.ts";

export interface Violation {
  readonly invariant: "ONE-WRITER" | "NO-LOSS-PROMOTE" | "LIVENESS";
  readonly what: string;
}

export class Checkers {
  readonly violations: Violation[] = [];
  /** Acknowledged and not given up: each must be on every later primary. */
  readonly acknowledged = new Set<number>();
  /** How many commits were lost with the loss stated before. */
  statedLosses = 0;
  reigns = 0;
  #highestReign = 0;

  acknowledge(id: number, by: SimulatedPostgres): void {
    if (by.reign < this.#highestReign) {
      this.violations.push({
        invariant: "ONE-WRITER",
        what: `${by.name} acknowledges ${id} in epoch ${by.reign}; epoch ${this.#highestReign} has acknowledged already`,
      });
    }
    this.#highestReign = Math.max(this.#highestReign, by.reign);
    this.acknowledged.add(id);
  }

  /** A node begins to reign: it must hold everything, or the record states a loss. */
  begins(postgres: SimulatedPostgres, record: ClusterRecord): void {
    this.reigns++;
    const there = new Set(postgres.wal.map((wal) => wal.id));
    const missing = [...this.acknowledged].filter((id) => !there.has(id));
    if (missing.length === 0) return;
    // A re-election in between keeps the timeline that the loss was stated for.
    const stated = record.loss ?? record.reigns.find((reign) => reign.timeline === record.timeline && reign.loss !== undefined)?.loss;
    if (stated === undefined) {
      this.violations.push({
        invariant: "NO-LOSS-PROMOTE",
        what: `${postgres.name} reigns in epoch ${record.epoch} without ${missing.length} acknowledged commits, first ${missing[0]}`,
      });
    } else {
      this.statedLosses += missing.length;
    }
    for (const id of missing) this.acknowledged.delete(id);
  }

  /** At the end, healed: everything acknowledged is on the primary, and it acknowledges. */
  end(primary: SimulatedPostgres | undefined, progressed: boolean): void {
    if (primary === undefined || !progressed) {
      this.violations.push({
        invariant: "LIVENESS",
        what:
          primary === undefined
            ? "there is no primary after everything was healed"
            : `${primary.name} acknowledges nothing after everything was healed`,
      });
    }
    if (primary === undefined) return;
    const there = new Set(primary.wal.map((wal) => wal.id));
    const missing = [...this.acknowledged].filter((id) => !there.has(id));
    if (missing.length > 0)
      this.violations.push({
        invariant: "NO-LOSS-PROMOTE",
        what: `${missing.length} acknowledged commits are missing at the end, first ${missing[0]}`,
      });
  }
}
