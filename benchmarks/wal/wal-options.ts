import { parseArgs } from "node:util";

export interface WalBenchOptions {
  /** Rounds over all cells; a figure is the median over them. */
  readonly rounds: number;
  /** Seconds of commits in a cell. */
  readonly seconds: number;
  /** WAL to catch up with, MiB. */
  readonly backlogMiB: number;
  readonly connections: readonly number[];
  /** What is measured. */
  readonly parts: ReadonlySet<WalPart>;
  /** Folder on the disk to measure. */
  readonly dir: string;
  /** Puts the report into docs/benchmarks.md. */
  readonly write: boolean;
  readonly json: string | undefined;
}

const PARTS = ["catch-up", "archive", "commits"] as const;
export type WalPart = (typeof PARTS)[number];

export const USAGE = `Usage: npm run bench:wal -- [options]

  --quick            one short round
  --rounds <n>       rounds over everything; a figure is the median over them (default 5)
  --seconds <n>      how long commits are measured in a cell (default 5)
  --backlog <MiB>    WAL to catch up with (default 1024)
  --connections <l>  numbers of connections, separated by commas (default 1,16,64)
  --only <parts>     only these parts, separated by commas: ${PARTS.join(", ")}
  --dir <folder>     a folder on the disk to measure (default /var/tmp)
  --json <file>      writes all figures of all rounds there
  --write            puts the report into docs/benchmarks.md

PostgreSQL with pg_receivewal and pgbench is taken from TIDEMARK_PG_BIN, or from Debian's postgresql-15.
`;

/** Reads the command line. Throws a TypeError on what it does not know. */
export function readWalOptions(args: readonly string[]): WalBenchOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      seconds: { type: "string" },
      backlog: { type: "string" },
      connections: { type: "string", default: "1,16,64" },
      only: { type: "string", default: PARTS.join(",") },
      dir: { type: "string", default: "/var/tmp" },
      json: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { quick } = values;
  return {
    rounds: wholeNumber("--rounds", values.rounds ?? (quick ? "1" : "5")),
    seconds: wholeNumber("--seconds", values.seconds ?? (quick ? "2" : "5")),
    backlogMiB: wholeNumber("--backlog", values.backlog ?? (quick ? "256" : "1024")),
    connections: values.connections.split(",").map((text) => wholeNumber("--connections", text)),
    parts: new Set(values.only.split(",").map(part)),
    dir: values.dir,
    write: values.write,
    json: values.json,
  };
}

function wholeNumber(name: string, text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new TypeError(`${name} must be a whole number of 1 or more`);
  return Number(text);
}

function part(text: string): WalPart {
  const found = PARTS.find((name) => name === text);
  if (found === undefined) throw new TypeError(`--only knows ${PARTS.join(", ")}`);
  return found;
}
