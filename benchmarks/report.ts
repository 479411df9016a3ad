import { cellFigures, CONTENDERS, median, sameCell, type Cell, type CellFigures, type CellResult, type ContenderId } from "./cell.ts";
import { RAW_LOOPS } from "./contenders/raw-loop.ts";
import type { FailoverResult } from "./failover.ts";
import type { Machine } from "./machine.ts";
import type { MemoryResult } from "./memory.ts";
import type { SuiteResult } from "./suite.ts";
import { judgeTargets, perSecond, type Judgement } from "./targets.ts";

/** Everything that a run of the benchmark measured. */
export interface BenchReport {
  readonly at: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly machine: Machine;
  readonly suite?: SuiteResult;
  readonly failover?: FailoverResult;
  readonly memory?: MemoryResult;
}

/** The report as Markdown: machine, tables with ratios, targets. */
export function renderReport(report: BenchReport): string {
  const parts = [machineText(report)];
  if (report.suite !== undefined) parts.push(...suiteText(report.suite));
  const judged = [
    ...(report.suite === undefined ? [] : judgeTargets(report.suite.cells)),
    ...(report.failover?.judgements ?? []),
    ...(report.memory?.judgements ?? []),
  ];
  if (judged.length > 0) parts.push(`## Targets\n\n${table(["target", "measured", "met"], judged.map(judgementRow))}`);
  return `${parts.join("\n\n")}\n`;
}

function machineText({ at, rounds, seconds, machine }: BenchReport): string {
  const peers = Object.entries(machine.peers).map(([name, version]) => `${name} ${version}`);
  return [
    `Measured ${at.slice(0, 10)}: ${rounds === 1 ? "one round" : `the median of ${rounds} interleaved rounds`}, ${seconds} s each after a warm-up.`,
    `${machine.cores} cores (${machine.processor}), ${machine.memoryGiB} GiB, ${machine.system}, ${machine.disk}, Node.js ${machine.node}; ${peers.join(", ")}. Load, gateway, applier, primary and standby share these cores and this disk.`,
  ].join("\n");
}

function suiteText(suite: SuiteResult): string[] {
  const insert64 = figuresOf(suite.cells, { contender: "insert", writers: 64, mode: "none" })?.acknowledged;
  const parts: string[] = [];
  const raw = RAW_LOOPS.filter((kind) => suite.raw[kind] !== undefined).map((kind) => [kind, perSecond(median(suite.raw[kind] ?? []))]);
  if (raw.length > 0) parts.push(`## The disk: 4 KiB appended and fdatasynced, one after the other\n\n${table(["loop", "blocks"], raw)}`);
  const own = contenderRows(suite.cells, ["insert", "http", "sdk", "ndjson", "applied"], insert64);
  if (own.length > 0) parts.push(`## Acknowledgements\n\n${table(HEAD, own)}`);
  const peers = contenderRows(suite.cells, ["rabbitmq", "redis"], insert64);
  if (peers.length > 0)
    parts.push(
      `## Durable queues in front of a database\n\n${table(HEAD, peers)}\n\nA queue's figure is its burst: what brings its messages into the database is not part of it.`,
    );
  const words = (Object.keys(CONTENDERS) as ContenderId[]).filter((id) => suite.cells.some(({ cell }) => cell.contender === id));
  parts.push(
    `## What an acknowledgement guarantees\n\n${table(
      ["contender", "acknowledged means"],
      words.map((id) => [CONTENDERS[id].name, CONTENDERS[id].guarantee]),
    )}`,
  );
  return parts;
}

const HEAD = ["contender", "writers", "burst", "p50 / p99 ms", "sustained", "acknowledging / draining", "p50 / p99 ms", "× INSERT at 64"];

function contenderRows(cells: readonly CellResult[], ids: readonly ContenderId[], insert64: number | undefined): string[][] {
  const rows: string[][] = [];
  for (const id of ids) {
    const writers = [...new Set(cells.filter(({ cell }) => cell.contender === id).map(({ cell }) => cell.writers))].sort(
      (left, right) => left - right,
    );
    for (const count of writers) rows.push(contenderRow(cells, { contender: id, writers: count }, insert64));
  }
  return rows;
}

function contenderRow(cells: readonly CellResult[], which: Omit<Cell, "mode">, insert64: number | undefined): string[] {
  const { name } = CONTENDERS[which.contender];
  const skipped = cells.find(({ cell, skipped: why }) => why !== undefined && cell.contender === which.contender)?.skipped;
  if (skipped !== undefined) return [name, String(which.writers), `skipped: ${skipped}`, "", "", "", "", ""];
  const alone = figuresOf(cells, { ...which, mode: "none" });
  const burst = figuresOf(cells, { ...which, mode: "burst" });
  const sustained = figuresOf(cells, { ...which, mode: "sustained" });
  const isQueue = which.contender === "rabbitmq" || which.contender === "redis";
  const first = burst ?? (isQueue ? alone : undefined);
  const lasting = sustained ?? (isQueue ? undefined : alone);
  const refused = (first?.refused ?? 0) + (lasting?.refused ?? 0);
  return [
    refused === 0 ? name : `${name} (${refused} refused)`,
    String(which.writers),
    first === undefined ? "–" : perSecond(first.acknowledged),
    latencies(first),
    lasting === undefined ? "–" : perSecond(lasting.sustained),
    sustained === undefined ? "–" : `${perSecond(sustained.acknowledged)} / ${perSecond(sustained.drained ?? 0)}`,
    latencies(lasting),
    insert64 === undefined
      ? "–"
      : [first?.acknowledged, lasting?.sustained].map((rate) => (rate === undefined ? "–" : (rate / insert64).toFixed(1))).join(" / "),
  ];
}

function latencies(figures: CellFigures | undefined): string {
  return figures === undefined ? "–" : `${figures.p50Ms.toFixed(2)} / ${figures.p99Ms.toFixed(1)}`;
}

function figuresOf(cells: readonly CellResult[], cell: Cell): CellFigures | undefined {
  const found = cells.find((result) => sameCell(result.cell, cell));
  return found === undefined || found.runs.length === 0 ? undefined : cellFigures(found.runs);
}

function judgementRow({ target, measured, met }: Judgement): string[] {
  return [target, measured, met === undefined ? "unknown" : met ? "met" : "**missed**"];
}

/** A Markdown table whose columns are padded, so that it reads in a terminal as well. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width)).join(" | ")} |`;
  return [line(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rows.map(line)].join("\n");
}
