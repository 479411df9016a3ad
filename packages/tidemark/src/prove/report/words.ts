import type { VerdictCounts } from "../verdict/verdict.ts";
import { counted, formatCount, formatMeasured } from "./numbers.ts";
import type { Measured, ProofReport } from "./report.ts";

/** How a line is to be taken: as it should be, a failure, worth a look, or plain. */
export type Tone = "good" | "bad" | "warn" | "plain";

export interface CountLine {
  readonly label: string;
  readonly count: number;
  readonly note: string;
  readonly tone: Tone;
}

/** The verdict in one sentence. */
export function headline(report: ProofReport): { text: string; tone: Tone } {
  const { counts, outcome } = report.verdict;
  switch (outcome) {
    case "proven":
      return {
        text: savedBy(report),
        tone: "good",
      };
    case "loss-stated":
      return { text: `${counted(counts.lost, "acknowledged order")} lost, as stated before.`, tone: "warn" };
    case "unproven":
      return {
        text:
          counts.pending > 0
            ? `Not proven: ${counted(counts.pending, "acknowledged order")} waited to be applied when time ran out.`
            : "Not proven: the vault had not caught up when time ran out.",
        tone: "warn",
      };
    case "failed":
      return { text: `Failed: ${failures(counts).join(", ")}.`, tone: "bad" };
  }
}

/** Which copy saved what would have been lost without it. */
function savedBy({ putBack, copies }: ProofReport): string {
  if (putBack !== undefined && putBack.orders > 0) return "Nothing was lost: the journal put back what PostgreSQL lost.";
  if (copies !== undefined && copies.fromVault.orders > 0) return "Nothing was lost: the vault had what the standby lacked.";
  return "Nothing was lost, nothing came twice.";
}

function failures(counts: VerdictCounts): string[] {
  const kinds: [keyof VerdictCounts, string][] = [
    ["lost", "lost"],
    ["duplicated", "duplicated"],
    ["resurrected", "resurrected"],
    ["altered", "altered"],
    ["unexplained", "rows unexplained"],
    ["rejectedWrongly", "wrongly rejected"],
    ["outOfOrder", "out of order"],
    ["receiptsChanged", "receipts changed"],
    ["acceptedWrongly", "wrongly accepted"],
    ["totalsOff", "sums off"],
    ["forgotten", "forgotten by PostgreSQL"],
    ["vaultGaps", "gaps in the vault"],
  ];
  return kinds.filter(([kind]) => counts[kind] > 0).map(([kind, word]) => `${formatCount(counts[kind])} ${word}`);
}

/** The counts, each with what it means here. What must be 0 and is not always shown is added only when it is not. */
export function countLines(report: ProofReport): CountLine[] {
  const { counts, rejections, outcome } = report.verdict;
  const must = (count: number): Tone => (count === 0 ? "good" : "bad");
  const refusedForTrouble = counts.refused - counts.refusedOnPurpose;
  const lines: CountLine[] = [
    { label: "acknowledged", count: counts.acknowledged, note: "orders that a client was told are safe", tone: "plain" },
    { label: "found", count: counts.found, note: "there once, as they were sent", tone: "plain" },
    { label: "lost", count: counts.lost, note: "acknowledged and not there", tone: outcome === "loss-stated" ? "warn" : must(counts.lost) },
    { label: "duplicated", count: counts.duplicated, note: "there more than once", tone: must(counts.duplicated) },
    { label: "resurrected", count: counts.resurrected, note: "refused, yet there", tone: must(counts.resurrected) },
    {
      label: "indeterminate",
      count: counts.indeterminate,
      note:
        counts.indeterminate === 0
          ? "never answered"
          : `never answered; ${formatCount(counts.indeterminateFound)} there, ${formatCount(counts.indeterminateAbsent)} not`,
      tone: "plain",
    },
    {
      label: "rejected",
      count: counts.rejected,
      note: `after acceptance${
        rejections.length === 0
          ? ""
          : `: ${rejections
              .slice(0, 2)
              .map(({ reason }) => reason)
              .join("; ")}`
      }`,
      tone: "plain",
    },
    {
      label: "refused",
      count: counts.refused,
      note: `before acceptance; ${refusedForTrouble === 0 ? "all sent to be refused" : `${formatCount(refusedForTrouble)} that should have been taken`}`,
      tone: refusedForTrouble === 0 ? "plain" : "warn",
    },
  ];
  const rare: [keyof VerdictCounts, string, string, Tone][] = [
    ["altered", "altered", "there with other content", "bad"],
    ["pending", "pending", "journalled, not applied in time", "warn"],
    ["unexplained", "unexplained", "rows that nobody sent", "bad"],
    ["rejectedWrongly", "wrongly rejected", "good orders among the rejected", "bad"],
    ["outOfOrder", "out of order", "rows of a customer in another order", "bad"],
    ["receiptsChanged", "receipts changed", "same key, another receipt", "bad"],
    ["acceptedWrongly", "wrongly accepted", "should have been refused", "bad"],
    ["totalsOff", "sums off", "customers whose sum does not fit", "bad"],
    ["forgotten", "forgotten", "PostgreSQL lost them, though their commits waited for copies", "bad"],
    ["vaultGaps", "vault gaps", "stretches of WAL that the vault misses", "bad"],
    ["unsent", "not sent", "too many were in flight", "warn"],
  ];
  for (const [kind, label, note, tone] of rare) if (counts[kind] > 0) lines.push({ label, count: counts[kind], note, tone });
  return lines;
}

/** RPO and RTO beside their targets. */
export function measuredLines(
  report: ProofReport,
): { label: string; value: string; target: string; met: boolean | undefined; method: string }[] {
  const line = (
    label: string,
    measured: Measured,
  ): { label: string; value: string; target: string; met: boolean | undefined; method: string } => ({
    label,
    value: formatMeasured(measured.ms),
    target: formatMeasured(measured.targetMs),
    met: measured.ms === undefined ? undefined : measured.ms <= measured.targetMs,
    method: measured.method,
  });
  return [line("RPO", report.rpo), line("RTO", report.rto)];
}

/** What the prover learnt beyond the counts, in sentences. */
export function findings(report: ProofReport): string[] {
  const found: string[] = [];
  const { stack, putBack, copies, completion, vault, doomed } = report;
  if (stack.primaryAfter !== stack.primaryBefore || stack.epochAfter !== stack.epochBefore) {
    found.push(
      `The primary was ${stack.primaryBefore} in epoch ${stack.epochBefore} and is ${stack.primaryAfter} in epoch ${stack.epochAfter}.`,
    );
  }
  if (copies !== undefined) {
    found.push(
      `Of ${counted(copies.committed, "committed order")} that the old primary showed, the standby had ${formatCount(copies.onStandby)}; ${formatCount(copies.fromVault.orders)} came from the vault, in ${counted(copies.fromVault.commits, "commit")}.`,
    );
  }
  if (completion !== undefined)
    found.push(
      `Before it was promoted, ${stack.primaryAfter} was given ${counted(completion.bytes, "byte")} of WAL by ${completion.from}, from ${completion.lsn} to ${completion.target}.`,
    );
  if (putBack !== undefined) {
    found.push(
      putBack.orders === 0
        ? "PostgreSQL itself lost no commit that its old primary had shown; the journal had nothing to put back."
        : `PostgreSQL itself lost ${counted(putBack.commits, "commit")} with ${counted(putBack.orders, "order")} that its old primary had; the journal put every one back.`,
    );
  }
  if (doomed !== undefined)
    found.push(`${counted(doomed.orders, "order")} had been acknowledged and not applied when the journal was taken away.`);
  const { commitPause } = report;
  if (commitPause !== undefined && (report.fault.name === "kill-vault" || report.fault.name === "hang-vault"))
    found.push(`Commits waited ${formatMeasured(commitPause.ms)} for the vault, until it answered again or they went on without it.`);
  const pause = report.acknowledgementPause;
  if (pause !== undefined && report.fault.name !== "none")
    found.push(`Clients waited at most ${formatMeasured(pause.toMs - pause.fromMs)} between two acknowledgements.`);
  if (report.applier !== undefined) found.push(`The applier: ${report.applier}.`);
  if (report.redundantMs !== undefined)
    found.push(
      `A commit waited for ${stack.required === 1 ? "a second copy" : `${stack.required} more copies`} again ${formatMeasured(report.redundantMs)} after the fault.`,
    );
  if (vault !== undefined) {
    found.push(
      vault.caughtUp
        ? `At the end the vault had all WAL that the primary had flushed${vault.gaps.length === 0 ? ", without a gap" : ""}.`
        : `At the end the vault had WAL up to ${vault.flushedLsn ?? "nothing"}, the primary up to ${vault.primaryLsn}.`,
    );
    if (vault.faults.length > 0) found.push(`The vault says: ${vault.faults.join("; ")}.`);
  }
  if (report.marks.healedMs === undefined) found.push("What the fault broke did not work again before the load ended.");
  return found;
}
