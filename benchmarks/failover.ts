import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readLedger } from "../packages/tidemark/src/prove/ledger/ledger-reader.ts";
import type { LedgerEntry } from "../packages/tidemark/src/prove/ledger/ledger-entry.ts";
import type { ProofReport } from "../packages/tidemark/src/prove/report/report.ts";
import { median } from "./cell.ts";
import type { Judgement } from "./targets.ts";

const MAIN = fileURLToPath(new URL("../packages/tidemark/src/main.ts", import.meta.url));
const RUNS = 10;
const RATE_PER_SECOND = 500;
const SECONDS = 20;
const AFTER_RECOVERY_MS = 10_000;
/** Targets of the project. */
const MOST_RTO_MS = 1_000;
const MOST_P99_MS = 50;

/** One run of `tidemark prove --fault kill-primary`. */
interface FailoverRun {
  readonly rtoMs: number | undefined;
  readonly p99BeforeMs: number;
  /** Of the writes that were due between the fault and 10 s after its healing. */
  readonly p99DuringMs: number;
  readonly refused: number;
  readonly lost: number;
}

export interface FailoverResult {
  readonly runs: readonly FailoverRun[];
  readonly judgements: readonly Judgement[];
}

/** Kills the primary under load, ten times, each time in a fresh stack. */
export async function measureFailover(folder: string, say: (line: string) => void): Promise<FailoverResult> {
  const runs: FailoverRun[] = [];
  for (let index = 1; index <= RUNS; index++) {
    const output = join(folder, `failover-${index}`);
    const report = await proveOnce(output);
    const run = readRun(report, readLedger(join(output, "ledger.ndjson")));
    runs.push(run);
    say(
      `failover ${index}: RTO ${run.rtoMs?.toFixed(0) ?? "unknown"} ms, p99 of acknowledgements ${run.p99BeforeMs.toFixed(1)} ms before, ${run.p99DuringMs.toFixed(1)} ms during, ${run.refused} refused, ${run.lost} lost`,
    );
  }
  return { runs, judgements: judgeFailover(runs) };
}

/** Latencies count from when a write was due, in the ledger that the proof's own load process kept. */
export function readRun(report: Pick<ProofReport, "marks" | "rto" | "verdict">, ledger: readonly LedgerEntry[]): FailoverRun {
  const { faultBeganMs, healedMs } = report.marks;
  const untilMs = (healedMs ?? faultBeganMs) + AFTER_RECOVERY_MS;
  const during = ledger.filter(({ intent }) => intent.scheduledAtMs >= faultBeganMs && intent.scheduledAtMs < untilMs);
  return {
    rtoMs: report.rto.ms,
    p99BeforeMs: p99(ledger.filter(({ intent }) => intent.scheduledAtMs < faultBeganMs)),
    p99DuringMs: p99(during),
    refused: during.filter(
      ({ intent, answer }) =>
        (intent.purpose === "order" || intent.purpose === "repeat") && (answer === undefined || answer.kind !== "acknowledged"),
    ).length,
    lost: report.verdict.counts.lost,
  };
}

function p99(entries: readonly LedgerEntry[]): number {
  const latencies = entries
    .flatMap(({ answer }) => (answer?.kind === "acknowledged" ? [answer.latencyMs] : []))
    .sort((left, right) => left - right);
  return latencies[Math.max(0, Math.ceil(latencies.length * 0.99) - 1)] ?? Number.NaN;
}

export function judgeFailover(runs: readonly FailoverRun[]): Judgement[] {
  const rto = median(runs.map(({ rtoMs }) => rtoMs ?? Infinity));
  const p99 = median(runs.map(({ p99DuringMs }) => p99DuringMs));
  const refused = runs.reduce((sum, run) => sum + run.refused, 0);
  const lost = runs.reduce((sum, run) => sum + run.lost, 0);
  return [
    {
      target: `kill-primary: RTO at most 1 s at the median of ${RUNS} runs`,
      measured: `${Math.round(rto)} ms (${runs.map(({ rtoMs }) => Math.round(rtoMs ?? Infinity)).join(", ")})`,
      met: rto <= MOST_RTO_MS,
    },
    {
      target: `At ${RATE_PER_SECOND}/s through a failover: not one write refused, none lost`,
      measured: `${refused} refused, ${lost} lost`,
      met: refused === 0 && lost === 0,
    },
    {
      target: "At the same rate: p99 of acknowledgements from the fault to 10 s after recovery under 50 ms (median of the runs)",
      measured: `${p99.toFixed(1)} ms (${runs.map(({ p99DuringMs }) => p99DuringMs.toFixed(1)).join(", ")})`,
      met: p99 < MOST_P99_MS,
    },
  ];
}

async function proveOnce(folder: string): Promise<ProofReport> {
  mkdirSync(folder, { recursive: true });
  const flags = [
    "prove",
    "--fault",
    "kill-primary",
    "--rate",
    String(RATE_PER_SECOND),
    "--seconds",
    String(SECONDS),
    "--json",
    "--output",
    folder,
  ];
  const child = spawn(process.execPath, ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", MAIN, ...flags], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (errors = (errors + chunk).slice(-4_000)));
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (output === "") throw new Error(`tidemark prove ended with ${String(code)} and without a report: ${errors}`);
  return JSON.parse(output) as ProofReport;
}
