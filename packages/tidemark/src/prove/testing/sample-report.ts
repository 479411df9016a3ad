import type { FaultName } from "../faults/fault-name.ts";
import type { LedgerEntry } from "../ledger/ledger-entry.ts";
import { claims } from "../report/claims.ts";
import { latencyByPhase, timelineOf, type Marks } from "../report/figures.ts";
import { REPORT_VERSION, type ProofReport } from "../report/report.ts";
import { seededRandom } from "@tidemark/kernel/random";
import { judge } from "../verdict/verdict.ts";
import type { TableRow } from "../verdict/table-row.ts";

const START = 1_770_000_000_000;

/** A report as a run would give it, drawn from a seed: for tests of what shows it, and for looking at it. */
export function sampleReport(options: { fault?: FaultName; lose?: number } = {}): ProofReport {
  const random = seededRandom(11);
  const marks: Marks = {
    startMs: START,
    faultBeganMs: START + 6_000,
    faultEndedMs: START + 6_002,
    healedMs: START + 7_100,
    endMs: START + 15_000,
  };
  const ledger: LedgerEntry[] = [];
  const rows: TableRow[] = [];
  for (let n = 0; n < 4_500; n++) {
    const scheduledAtMs = START + (n * 1_000) / 300;
    const around = scheduledAtMs > marks.faultBeganMs && scheduledAtMs < marks.faultBeganMs + 700;
    const latencyMs = 1 + random.fraction() * 2 + (random.fraction() < 0.02 ? 14 : 0) + (around ? random.fraction() * 25 : 0);
    const rejected = random.fraction() < 0.01;
    const refused = !rejected && random.fraction() < 0.005;
    const intent = {
      n,
      purpose: rejected ? ("breaks-constraint" as const) : refused ? ("invalid" as const) : ("order" as const),
      order: `r-${n}`,
      customer: `customer-${n % 9}`,
      amountCents: 100 + n,
      idempotencyKey: `k-${n}`,
      scheduledAtMs,
    };
    if (refused) {
      ledger.push({
        intent,
        answer: { n, kind: "refused", status: 422, code: "TM-GATEWAY-INVALID", atMs: scheduledAtMs + 1, latencyMs: 1, attempts: 1 },
      });
      continue;
    }
    ledger.push({
      intent,
      answer: {
        n,
        kind: "acknowledged",
        receipt: { id: `id-${n}`, frozenId: `f-${n}`, journal: "j", partition: 0, sequence: String(n + 1) },
        atMs: scheduledAtMs + latencyMs,
        latencyMs,
        attempts: 1,
      },
    });
    const committedAtMs =
      scheduledAtMs > marks.faultBeganMs - 20 && scheduledAtMs < marks.faultBeganMs + 620
        ? marks.faultBeganMs + 620 + random.fraction() * 300
        : scheduledAtMs + 8;
    if (!rejected && n >= (options.lose ?? 0))
      rows.push({
        order: intent.order,
        customer: intent.customer,
        amountCents: intent.amountCents,
        frozenId: `f-${n}`,
        rowId: n,
        transaction: String(n),
        committedAtMs,
      });
  }
  const sums = Map.groupBy(rows, (row) => row.customer);
  const verdict = judge({
    ledger,
    rows,
    totals: [...sums].map(([customer, list]) => ({
      customer,
      orders: list.length,
      totalCents: list.reduce((sum, row) => sum + row.amountCents, 0),
    })),
    deadLetters: ledger.flatMap(({ intent, answer }) =>
      intent.purpose === "breaks-constraint" && answer?.kind === "acknowledged"
        ? [{ frozenId: answer.receipt.frozenId, reason: "new row violates check constraint orders_amount_limit (23514)" }]
        : [],
    ),
    pending: new Set(),
  });
  const fault = options.fault ?? "kill-primary";
  const report: Omit<ProofReport, "proven" | "notProven"> = {
    formatVersion: REPORT_VERSION,
    kind: "tidemark-prove",
    run: "20260202-114640-k3f9",
    fault: {
      name: fault,
      summary: "The primary's PostgreSQL is killed: its postmaster and all its children at once, with SIGKILL.",
      done: ["SIGKILL to postmaster 4711 of pg1 and 14 children, within 0.4 ms."],
    },
    settings: { ratePerSecond: 300, seconds: 15, seed: 11 },
    stack: {
      required: 2,
      vault: true,
      policy: "available",
      postgres: "18.4",
      primaryBefore: "pg1",
      primaryAfter: "pg2",
      epochBefore: 1,
      epochAfter: 2,
    },
    reigns: [
      { primary: "pg1", epoch: 1, timeline: 1, forkLsn: "0/0" },
      { primary: "pg2", epoch: 2, timeline: 2, forkLsn: "0/4A61C38" },
    ],
    machine: { system: "linux 6.1.0 x64", processors: 2, memoryBytes: 8 * 2 ** 30, node: "24.1.0" },
    marks,
    verdict,
    exitCode: verdict.outcome === "proven" ? 0 : 1,
    rpo: {
      ms: verdict.oldestLostAtMs === undefined ? 0 : marks.faultBeganMs - verdict.oldestLostAtMs,
      targetMs: 0,
      method: "age of the oldest lost order at the fault",
    },
    rto: { ms: 620, targetMs: 5_000, method: "fault to first commit on pg2, by its commit time" },
    acknowledgementPause: { ms: 25, fromMs: marks.faultBeganMs + 100, toMs: marks.faultBeganMs + 125 },
    acknowledgements: latencyByPhase(ledger, marks),
    timeline: timelineOf(ledger, rows, marks),
  };
  return { ...report, ...claims(report) };
}
