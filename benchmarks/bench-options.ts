import { parseArgs } from "node:util";

export interface BenchOptions {
  /** Rounds over all cells; a figure is the median over them. */
  readonly rounds: number;
  readonly warmupMs: number;
  readonly measureMs: number;
  /** Folder on the disk to measure. */
  readonly dir: string;
  /** Only these contenders; empty: all. */
  readonly only: readonly string[];
  readonly failover: boolean;
  readonly memory: boolean;
  /** Skips the table of throughput. */
  readonly noTable: boolean;
  /** Puts the report into docs/benchmarks.md. */
  readonly write: boolean;
  readonly json: string | undefined;
}

export const USAGE = `Usage: npm run bench -- [options]

  --quick           one short round instead of three
  --rounds <n>      rounds over everything; a figure is the median over them (default 3)
  --only <names>    only these contenders, separated by commas: raw, insert, http, sdk, ndjson, applied, rabbitmq, redis
  --failover        also: acknowledgements and RTO through 10 runs of kill-primary
  --memory          also: the gateway's memory over a million writes, and over another while the databases are away
  --no-table        leaves out the table, for --failover or --memory alone
  --dir <folder>    a folder on the disk to measure (default /var/tmp)
  --json <file>     writes all figures of all runs there
  --write           puts the report into docs/benchmarks.md
`;

/** Reads the command line. Throws a TypeError on what it does not know. */
export function readOptions(args: readonly string[]): BenchOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      only: { type: "string" },
      failover: { type: "boolean", default: false },
      memory: { type: "boolean", default: false },
      "no-table": { type: "boolean", default: false },
      dir: { type: "string", default: "/var/tmp" },
      json: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError("--rounds must be a whole number of 1 or more");
  return {
    rounds,
    warmupMs: values.quick ? 500 : 1_000,
    measureMs: values.quick ? 1_500 : 4_000,
    dir: values.dir,
    only: values.only === undefined ? [] : values.only.split(","),
    failover: values.failover,
    memory: values.memory,
    noTable: values["no-table"],
    write: values.write,
    json: values.json,
  };
}
