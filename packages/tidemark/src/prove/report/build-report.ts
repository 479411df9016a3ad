import { cpus, release, totalmem } from "node:os";
import { copiesFigure, doomedFigure, doomedIds, forgottenOrders, healedAt, lossFigure, putBackFigure, recoveryTime } from "../analysis.ts";
import type { Fault } from "../faults/fault.ts";
import type { Evidence, VaultAfter } from "../stack/evidence.ts";
import { requiredCopies, VAULT } from "../stack/prove-config.ts";
import { judge, type Outcome } from "../verdict/verdict.ts";
import { claims } from "./claims.ts";
import { latencyByPhase, longestPause, timelineOf, type Marks } from "./figures.ts";
import { REPORT_VERSION, type ProofReport, type VaultFigure } from "./report.ts";

/** How `tidemark prove` ends for each outcome; docs/prove.md. */
export const OUTCOME_EXIT: Readonly<Record<Outcome, number>> = { proven: 0, failed: 1, "loss-stated": 3, unproven: 75 };

/** Judges the evidence of a run and puts the figures beside it. */
export function buildReport(
  options: { ratePerSecond: number; seconds: number; seed: number; run: string },
  fault: Fault,
  evidence: Evidence,
): ProofReport {
  const { ledger, injected, rows, routeBefore, routeAfter } = evidence;
  const doomed = doomedIds(ledger, injected);
  const verdict = judge({
    ledger,
    rows,
    totals: evidence.totals,
    deadLetters: evidence.deadLetters,
    pending: evidence.pending,
    forgotten: forgottenOrders(fault, rows, injected),
    ...(doomed === undefined ? {} : { doomed }),
    ...(evidence.vault === undefined ? {} : { vault: evidence.vault }),
  });
  const healedMs = healedAt(ledger, rows, { injected, overAtMs: evidence.overAtMs });
  const marks: Marks = {
    startMs: evidence.startMs,
    faultBeganMs: injected.beganAtMs,
    faultEndedMs: injected.endedAtMs,
    ...(healedMs === undefined ? {} : { healedMs }),
    endMs: Math.max(evidence.loadEndMs, healedMs ?? 0),
  };
  const { rto, pause } = recoveryTime(fault, rows, { marks, primaryAfter: routeAfter.node });
  const acknowledgementPause = longestPause(
    ledger.flatMap(({ answer }) => (answer?.kind === "acknowledged" ? [answer.atMs] : [])),
    marks,
  );
  const putBack = putBackFigure(rows, injected);
  const copies = copiesFigure(rows, injected);
  const stated = doomedFigure(doomed);
  const report: Omit<ProofReport, "proven" | "notProven"> = {
    formatVersion: REPORT_VERSION,
    kind: "tidemark-prove",
    run: options.run,
    fault: { name: fault.name, summary: fault.summary, done: injected.done },
    settings: { ratePerSecond: options.ratePerSecond, seconds: options.seconds, seed: options.seed },
    stack: {
      required: requiredCopies(fault.variant),
      vault: fault.variant.vault !== false,
      policy: "available",
      postgres: evidence.postgresVersion,
      primaryBefore: routeBefore.node,
      primaryAfter: routeAfter.node,
      epochBefore: routeBefore.epoch,
      epochAfter: routeAfter.epoch,
    },
    reigns: evidence.reigns.map(({ node, ...reign }) => ({ primary: node, ...reign })),
    machine: {
      system: `${process.platform} ${release()} ${process.arch}`,
      processors: cpus().length,
      memoryBytes: totalmem(),
      node: process.versions.node,
    },
    marks,
    verdict,
    exitCode: OUTCOME_EXIT[verdict.outcome],
    rpo: lossFigure(verdict, marks),
    rto,
    ...(pause === undefined ? {} : { commitPause: pause }),
    ...(acknowledgementPause === undefined ? {} : { acknowledgementPause }),
    acknowledgements: latencyByPhase(ledger, marks),
    ...(putBack === undefined ? {} : { putBack }),
    // An old primary that was re-elected has its own WAL back: then nothing came from the vault.
    ...(copies === undefined || evidence.completion === undefined ? {} : { copies }),
    ...(evidence.completion === undefined ? {} : { completion: evidence.completion }),
    ...(evidence.vault === undefined ? {} : { vault: vaultFigure(evidence.vault) }),
    ...(stated === undefined ? {} : { doomed: stated }),
    ...(evidence.applier === undefined ? {} : { applier: evidence.applier }),
    ...(evidence.redundantAtMs === undefined ? {} : { redundantMs: evidence.redundantAtMs - injected.beganAtMs }),
    timeline: timelineOf(ledger, rows, marks),
  };
  return { ...report, ...claims(report) };
}

function vaultFigure({ state, flushedLsn, primaryLsn, caughtUp, gaps, faults }: VaultAfter): VaultFigure {
  return { name: VAULT, state, ...(flushedLsn === undefined ? {} : { flushedLsn }), primaryLsn, caughtUp, gaps, faults };
}
