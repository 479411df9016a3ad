/** The contenders, each with the words of its guarantee. */
export const CONTENDERS = {
  insert: { name: "INSERT through pg", guarantee: "applied and replicated: committed, flushed by the synchronous standby" },
  http: { name: "gateway, plain HTTP", guarantee: "local fsync of the journal" },
  sdk: { name: "gateway, SDK", guarantee: "local fsync of the journal" },
  ndjson: { name: "gateway, NDJSON batches of 100", guarantee: "local fsync of the journal" },
  applied: { name: "gateway, `Prefer: wait`", guarantee: "applied and replicated: committed, flushed by the synchronous standby" },
  rabbitmq: { name: "RabbitMQ quorum queue, publisher confirms", guarantee: "local fsync of the queue's log (one node)" },
  redis: { name: "Redis Streams, appendfsync always", guarantee: "local fsync of the append-only file" },
} as const;

export type ContenderId = keyof typeof CONTENDERS;

/**
 * How the database takes part. `burst`: acknowledging alone, the applier paused. `sustained`: acknowledging while the
 * applier drains. `none`: there is nothing behind it (queues), or the acknowledgement includes it (INSERT).
 */
export type Mode = "burst" | "sustained" | "none";

/** One measured thing: a contender, so many writers, a mode. */
export interface Cell {
  readonly contender: ContenderId;
  readonly writers: number;
  readonly mode: Mode;
}

/** What one run of a cell came to. Rates are orders a second. */
export interface CellRun {
  readonly acknowledged: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly refused: number;
  /** Rate at which rows reached the table: during the load when sustained, after it when burst. */
  readonly drained?: number;
  /** Share of one core that the load process took. */
  readonly clientCores: number;
}

export interface CellResult {
  readonly cell: Cell;
  readonly runs: readonly CellRun[];
  /** Why it was not measured. */
  readonly skipped?: string;
}

/** The median of the runs, figure by figure. */
export interface CellFigures {
  readonly acknowledged: number;
  readonly drained?: number;
  /** What can go on for hours: the lower of acknowledging and draining; the acknowledging rate where nothing drains. */
  readonly sustained: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly refused: number;
  readonly clientCores: number;
  /** Lowest and highest acknowledging rate of the runs. */
  readonly spread: readonly [number, number];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function cellFigures(runs: readonly CellRun[]): CellFigures {
  const of = (pick: (run: CellRun) => number): number => median(runs.map(pick));
  const drains = runs.flatMap((run) => (run.drained === undefined ? [] : [run.drained]));
  const rates = runs.map((run) => run.acknowledged);
  return {
    acknowledged: of((run) => run.acknowledged),
    ...(drains.length === 0 ? {} : { drained: median(drains) }),
    sustained: of((run) => Math.min(run.acknowledged, run.drained ?? Infinity)),
    p50Ms: of((run) => run.p50Ms),
    p99Ms: of((run) => run.p99Ms),
    refused: runs.reduce((sum, run) => sum + run.refused, 0),
    clientCores: of((run) => run.clientCores),
    spread: [Math.min(...rates), Math.max(...rates)],
  };
}

export function sameCell(left: Cell, right: Cell): boolean {
  return left.contender === right.contender && left.writers === right.writers && left.mode === right.mode;
}
