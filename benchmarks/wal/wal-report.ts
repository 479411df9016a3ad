import { median } from "../cell.ts";
import type { Machine } from "../machine.ts";
import { table } from "../report.ts";
import type { Judgement } from "../targets.ts";
import type { WalRun, WalSuiteResult } from "./wal-suite.ts";

export interface WalReport extends WalSuiteResult {
  readonly at: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly machine: Machine;
}

const MOST_MEMORY_BYTES = 268_435_456;

/** Targets as a ratio to pg_receivewal in the same place. */
const LEAST = { "catch-up": 1, archive: 0.35, commits: 0.85 } as const;

export function renderWalReport(report: WalReport): string {
  const { machine, runs } = report;
  const parts = [
    [
      `Measured ${report.at.slice(0, 10)}: ${report.rounds === 1 ? "one round" : `the median of ${report.rounds} rounds, each contender once in each, in turn from one end and from the other`}.`,
      `${machine.cores} cores (${machine.processor}), ${machine.memoryGiB} GiB, ${machine.system}, ${machine.disk}, Node.js ${machine.node}; PostgreSQL ${report.postgres} with its own pg_receivewal and pgbench. Primary, load and receiver share these cores and this disk.`,
    ].join("\n"),
  ];
  const catchUp = runs.filter(({ part }) => part !== "commits");
  if (catchUp.length > 0) {
    const base = rateOf(runs, { part: "catch-up", receiver: "pg_receivewal" });
    const rows = distinct(catchUp).map((each) => row(runs, each, base));
    const head = ["receiver", "MB/s", "× pg_receivewal", "all rounds", "most memory"];
    parts.push(`### Catching up with ${Math.round(report.backlogBytes / 1e6)} MB of WAL\n\n${table(head, rows)}`);
  }
  const committed = runs.filter(({ part }) => part === "commits");
  if (committed.length > 0) {
    const rows = distinct(committed).map((each) => [
      String(each.connections),
      ...row(runs, each, rateOf(runs, { ...each, receiver: "pg_receivewal --synchronous" })),
    ]);
    const head = ["connections", "only synchronous standby", "commits/s", "× pg_receivewal", "all rounds", "most memory"];
    parts.push(`### Commits of one row, ${report.seconds} s each\n\n${table(head, rows)}`);
  }
  const rows = judgeWal(report).map(({ target, measured, met }) => [
    target,
    measured,
    met === undefined ? "unknown" : met ? "met" : "**missed**",
  ]);
  parts.push(`### Targets\n\n${table(["target", "measured", "met"], rows)}`);
  return `${parts.join("\n\n")}\n`;
}

/** Judges what the vault is to reach beside pg_receivewal. */
export function judgeWal({ runs }: Pick<WalReport, "runs">): Judgement[] {
  const prw = rateOf(runs, { part: "catch-up", receiver: "pg_receivewal" });
  const judged = [
    judge(`Catching up, archiving off: at least ${LEAST["catch-up"].toFixed(1)} × pg_receivewal`, "MB/s", {
      own: rateOf(runs, { part: "catch-up", receiver: "vault" }),
      peer: prw,
      least: LEAST["catch-up"],
    }),
    judge(`Until everything is archived (zstd, encrypted, re-read): at least ${LEAST.archive} × pg_receivewal`, "MB/s", {
      own: rateOf(runs, { part: "archive", receiver: "vault, archiving" }),
      peer: prw,
      least: LEAST.archive,
    }),
  ];
  for (const connections of new Set(runs.flatMap((run) => run.connections ?? [])))
    judged.push(
      judge(`Commits at ${connections} connections: at least ${LEAST.commits} × pg_receivewal --synchronous`, "/s", {
        own: rateOf(runs, { part: "commits", receiver: "vault", connections }),
        peer: rateOf(runs, { part: "commits", receiver: "pg_receivewal --synchronous", connections }),
        least: LEAST.commits,
      }),
    );
  const peak = Math.max(...runs.filter(({ receiver }) => receiver.startsWith("vault")).map(({ peakMemory }) => peakMemory));
  judged.push({
    target: "Resident memory of the vault under 256 MiB, whatever the backlog",
    measured: Number.isFinite(peak) && peak > 0 ? `${mebi(peak)} at most` : "not measured",
    met: Number.isFinite(peak) && peak > 0 ? peak < MOST_MEMORY_BYTES : undefined,
  });
  return judged;
}

type Cell = Pick<WalRun, "part" | "receiver" | "connections">;

function judge(target: string, unit: string, figures: { own: number | undefined; peer: number | undefined; least: number }): Judgement {
  const { own, peer, least } = figures;
  if (own === undefined || peer === undefined) return { target, measured: "not measured", met: undefined };
  const ratio = own / peer;
  return { target, measured: `${rounded(own)}${unit} against ${rounded(peer)}${unit}: ${ratio.toFixed(2)} ×`, met: ratio >= least };
}

function row(runs: readonly WalRun[], cell: Cell, base: number | undefined): string[] {
  const own = runs.filter((run) => sameCell(run, cell));
  const rate = rateOf(own, cell);
  return [
    cell.part === "archive" ? "vault, until all is archived" : cell.receiver,
    rate === undefined ? "unknown" : rounded(rate),
    base === undefined || rate === undefined ? "–" : (rate / base).toFixed(2),
    own.map((run) => (run.rate === undefined ? "unknown" : rounded(run.rate))).join(" "),
    mebi(Math.max(...own.map((run) => run.peakMemory))),
  ];
}

function rateOf(runs: readonly WalRun[], cell: Cell): number | undefined {
  const found = runs.filter((run) => sameCell(run, cell)).flatMap((run) => run.rate ?? []);
  return found.length === 0 ? undefined : median(found);
}

function distinct(runs: readonly WalRun[]): Cell[] {
  const cells: Cell[] = [];
  for (const run of runs) if (!cells.some((cell) => sameCell(run, cell))) cells.push(run);
  return cells.sort((one, other) => (one.connections ?? 0) - (other.connections ?? 0) || one.receiver.localeCompare(other.receiver));
}

function sameCell(one: Cell, other: Cell): boolean {
  return one.part === other.part && one.receiver === other.receiver && one.connections === other.connections;
}

function rounded(value: number): string {
  const step = value >= 10_000 ? 100 : value >= 1_000 ? 10 : 1;
  return (Math.round(value / step) * step).toLocaleString("en");
}

function mebi(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}
