import { parseArgs } from "node:util";
import type { HistoryLoad } from "./history-bench.ts";
import type { TruthTimes } from "./truth/truth-run.ts";

export interface ProbesBenchOptions {
  /** What is measured. */
  readonly parts: ReadonlySet<ProbesPart>;
  /** Stores that one observer follows. */
  readonly stores: number;
  /** How long it is measured with them. */
  readonly scaleSeconds: number;
  readonly times: TruthTimes;
  readonly backendSeconds: number;
  readonly breaches: number;
  readonly history: HistoryLoad;
  /** Folder on the disk to measure. */
  readonly dir: string;
  /** Puts the report into docs/benchmarks.md. */
  readonly write: boolean;
  readonly json: string | undefined;
}

const PARTS = ["backends", "truth", "breach", "scale", "history"] as const;
export type ProbesPart = (typeof PARTS)[number];

export const USAGE = `Usage: npm run bench:probes -- [options]

  --quick          about two minutes: shorter faults, 200 stores, and less history
  --only <parts>   only these parts, separated by commas: ${PARTS.join(", ")}
  --stores <n>     stores that one observer follows (default 1000)
  --seconds <n>    how long it is measured with them (default 60)
  --breaches <n>   how often an objective is broken (default 5)
  --dir <folder>   a folder on the disk to measure (default /var/tmp)
  --json <file>    writes all figures there
  --write          puts the report into docs/benchmarks.md

Linux only: what processes cost is read from /proc. Alertmanager is used where it is installed.
`;

/** Reads the command line. Throws a TypeError on what it does not know. */
export function readProbesOptions(args: readonly string[]): ProbesBenchOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string", default: PARTS.join(",") },
      stores: { type: "string" },
      seconds: { type: "string" },
      breaches: { type: "string" },
      dir: { type: "string", default: "/var/tmp" },
      json: { type: "string" },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const { quick } = values;
  return {
    parts: new Set(values.only.split(",").map(part)),
    stores: wholeNumber("--stores", values.stores ?? (quick ? "200" : "1000")),
    scaleSeconds: wholeNumber("--seconds", values.seconds ?? (quick ? "10" : "60")),
    times: quick ? { calm: 4, stall: 6, partition: 6, backlog: 6, mend: 4 } : { calm: 20, stall: 25, partition: 30, backlog: 40, mend: 15 },
    backendSeconds: quick ? 15 : 60,
    breaches: wholeNumber("--breaches", values.breaches ?? (quick ? "1" : "5")),
    history: quick ? { series: 2_000, seconds: 120, longSeries: 1 } : { series: 8_000, seconds: 900, longSeries: 6 },
    dir: values.dir,
    write: values.write,
    json: values.json,
  };
}

function wholeNumber(name: string, text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new TypeError(`${name} must be a whole number of 1 or more`);
  return Number(text);
}

function part(text: string): ProbesPart {
  const found = PARTS.find((name) => name === text);
  if (found === undefined) throw new TypeError(`--only knows ${PARTS.join(", ")}`);
  return found;
}
