import { counted } from "./numbers.ts";
import type { ProofReport } from "./report.ts";

/** What a run showed, and what it did not: a proof is worth as much as its limits are plain. */
export function claims(report: Omit<ProofReport, "proven" | "notProven">): { proven: string[]; notProven: string[] } {
  const { verdict, settings, fault, doomed } = report;
  const { counts, outcome } = verdict;
  const proven: string[] = [];
  const notProven: string[] = [];
  if (outcome === "proven") {
    proven.push(
      `Each of ${counted(counts.acknowledged, "acknowledged order")} is accounted for by number, customer, amount and id, row by row on the primary: ${counted(counts.found, "row")}, ${counted(counts.rejected, "dead letter")}.`,
    );
    proven.push("No order is there twice, and the sums that each order changed fit the rows.");
    proven.push("Within each customer the rows stand in the order of acceptance.");
    if (report.putBack?.orders === 0)
      proven.push(
        "PostgreSQL by itself, without the journal, has every commit that its old primary showed right before the fault, by the same commit times.",
      );
    if (counts.receiptsRepeated > 0)
      proven.push(`${counted(counts.receiptsRepeated, "repeat")} under a used idempotency key got the receipt of the original.`);
    if (counts.refused > 0) proven.push(`${counted(counts.refused, "refused write")} left nothing behind.`);
  } else if (outcome === "loss-stated") {
    proven.push(
      `The ${counted(counts.lost, "lost order")} are among the ${counted(doomed?.orders ?? 0, "order")} that were known to be lost before the fault; every other acknowledged order is there, once.`,
    );
  }
  if (fault.name === "lagging-standby" && report.completion === undefined)
    notProven.push("That a standby is completed from the vault: the old primary came back first and was re-elected.");
  if (outcome === "failed") notProven.push("That this fault loses nothing: the counts above say what did not fit.");
  if (outcome === "unproven") notProven.push("That everything acknowledged is there: not everything had been applied when the wait ended.");
  notProven.push(
    "A power cut. Processes were ended, and an operating system that goes on keeps what was written and not yet flushed; no kill proves anything about fsync.",
  );
  notProven.push("The loss of this machine or its disk: the whole stack ran on one.");
  notProven.push("A wrong DELETE, a deleted account, or the loss of a zone or region.");
  notProven.push(
    `Another load than this one: ${settings.ratePerSecond} orders a second for about ${settings.seconds} s, seed ${settings.seed}.`,
  );
  if (fault.name === "none") notProven.push("Anything about failures: nothing was broken in this run.");
  return { proven, notProven };
}
