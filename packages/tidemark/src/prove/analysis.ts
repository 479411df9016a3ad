import type { Fault, Injected } from "./faults/fault.ts";
import type { LedgerEntry } from "./ledger/ledger-entry.ts";
import { firstCommitAfter, longestPause, type Marks, type Pause } from "./report/figures.ts";
import type { Copies, Doomed, Measured, PutBack } from "./report/report.ts";
import { positionOf } from "./stack/order-tables.ts";
import { TARGETS } from "./stack/prove-config.ts";
import type { TableRow } from "./verdict/table-row.ts";
import type { Verdict } from "./verdict/verdict.ts";

/** An order that stood acknowledged for longer than this without being committed shows that the applier was behind. */
const LATE_MS = 250;

/** Frozen ids of the acknowledged orders that were not applied when the journal was taken away. */
export function doomedIds(ledger: readonly LedgerEntry[], injected: Injected): Set<string> | undefined {
  const lost = injected.positionsAtLoss;
  if (lost === undefined) return undefined;
  const ids = ledger.flatMap(({ answer }) => {
    if (answer?.kind !== "acknowledged" || answer.receipt.journal !== lost.journal) return [];
    return BigInt(answer.receipt.sequence) > positionOf(lost, answer.receipt.partition) ? [answer.receipt.frozenId] : [];
  });
  return new Set(ids);
}

export function doomedFigure(doomed: ReadonlySet<string> | undefined): Doomed | undefined {
  if (doomed === undefined) return undefined;
  return {
    orders: doomed.size,
    method: "acknowledged orders of the ledger beyond the positions that the database held while the gateway stood still",
  };
}

/**
 * What PostgreSQL lost and got back: orders that the old primary showed as committed right before the fault and that the
 * new one committed again after it. Commits between the look and the fault are not counted, so it is a lower bound.
 */
export function putBackFigure(rows: readonly TableRow[], injected: Injected): PutBack | undefined {
  const before = injected.ordersBefore;
  if (before === undefined) return undefined;
  const again = committedAgain(rows, injected);
  return {
    orders: again.length,
    commits: new Set(again.map((order) => before.get(order))).size,
    method:
      "read on the old primary right before the fault, and committed again on the new one after it, by number and commit time; a lower bound",
  };
}

/** Orders that the old primary showed as committed right before the fault, and that were committed again after it. */
function committedAgain(rows: readonly TableRow[], injected: Injected): string[] {
  const before = injected.ordersBefore;
  if (before === undefined) return [];
  return rows.flatMap((row) => (before.has(row.order) && row.committedAtMs > injected.endedAtMs ? [row.order] : []));
}

/** The orders whose commit PostgreSQL had waited for and lost all the same, where the fault may not bring that about. */
export function forgottenOrders(fault: Fault, rows: readonly TableRow[], injected: Injected): string[] {
  return fault.keepsCommits ? committedAgain(rows, injected) : [];
}

/**
 * Which copy had what: of the orders that the old primary showed right before the fault, how many the standby had replayed,
 * and how many of the others the new primary has by the very commit of the old one: those came from the vault. Looked at on
 * the standby first, so what was replayed between the two looks counts for the vault where it was not held back.
 */
export function copiesFigure(rows: readonly TableRow[], injected: Injected): Copies | undefined {
  const { ordersBefore, ordersOnStandby } = injected;
  if (ordersBefore === undefined || ordersOnStandby === undefined) return undefined;
  const kept = rows.filter(
    (row) => ordersBefore.has(row.order) && !ordersOnStandby.has(row.order) && row.committedAtMs <= injected.endedAtMs,
  );
  return {
    committed: ordersBefore.size,
    onStandby: [...ordersOnStandby.keys()].filter((order) => ordersBefore.has(order)).length,
    fromVault: { orders: kept.length, commits: new Set(kept.map((row) => ordersBefore.get(row.order))).size },
    method:
      "read on the standby and on the old primary right before the fault; from the vault is what only the primary showed and the new one has with a commit time before the fault; a lower bound",
  };
}

/**
 * When the stack was itself again: what was broken works, something was committed since, and no order stands acknowledged for more than {@link LATE_MS}
 * without being committed. Found afterwards, from the ledger and the commit times; what is late again afterwards, as
 * happens on a busy machine, is another matter.
 */
export function healedAt(
  ledger: readonly LedgerEntry[],
  rows: readonly TableRow[],
  facts: { injected: Injected; overAtMs: number | undefined },
): number | undefined {
  const { injected, overAtMs } = facts;
  if (overAtMs === undefined) return undefined;
  const committed = new Map(rows.map((row) => [row.order, row.committedAtMs]));
  const late: { acknowledgedAtMs: number; committedAtMs: number }[] = [];
  for (const { intent, answer } of ledger) {
    if (answer?.kind !== "acknowledged" || intent.purpose !== "order") continue;
    const committedAtMs = committed.get(intent.order);
    if (committedAtMs !== undefined && committedAtMs - answer.atMs > LATE_MS) late.push({ acknowledgedAtMs: answer.atMs, committedAtMs });
  }
  late.sort((a, b) => a.acknowledgedAtMs - b.acknowledgedAtMs);
  const startMs = Math.max(overAtMs, injected.endedAtMs);
  // A process that runs again has not done anything yet: the next commit shows that it does.
  const nextCommitMs = rows.reduce((next, row) => (row.committedAtMs >= startMs ? Math.min(next, row.committedAtMs) : next), Infinity);
  let healedMs = Number.isFinite(nextCommitMs) ? nextCommitMs : startMs;
  for (const { acknowledgedAtMs, committedAtMs } of late) {
    if (acknowledgedAtMs > healedMs) break;
    healedMs = Math.max(healedMs, committedAtMs);
  }
  return healedMs;
}

/** How long nothing was committed, from the fault on. */
export function recoveryTime(
  fault: Fault,
  rows: readonly TableRow[],
  facts: { marks: Marks; primaryAfter: string },
): { rto: Measured; pause: Pause | undefined } {
  const { marks, primaryAfter } = facts;
  const targetMs = TARGETS.rtoMs;
  if (fault.name === "none") return { rto: { targetMs, method: "nothing was broken" }, pause: undefined };
  const pause = fault.stopsCommits
    ? firstCommitAfter(rows, marks)
    : longestPause(
        rows.map((row) => row.committedAtMs),
        marks,
      );
  const method = fault.stopsCommits
    ? `from the fault to the first order committed on ${primaryAfter} after it, by the commit time that PostgreSQL keeps`
    : "the longest time without a commit after the fault, by the commit times that PostgreSQL keeps";
  return { rto: { targetMs, method, ...(pause === undefined ? {} : { ms: pause.ms }) }, pause };
}

export function lossFigure(verdict: Verdict, marks: Marks): Measured {
  const oldest = verdict.oldestLostAtMs;
  if (oldest === undefined) return { ms: 0, targetMs: TARGETS.rpoMs, method: "no acknowledged order is missing" };
  if (oldest >= marks.faultBeganMs)
    return { targetMs: TARGETS.rpoMs, method: "what is lost was acknowledged after the fault: no time before it measures that" };
  return {
    ms: marks.faultBeganMs - oldest,
    targetMs: TARGETS.rpoMs,
    method: "from the acknowledgement of the oldest lost order to the fault",
  };
}
