import type { Injected } from "./faults/fault.ts";
import type { LedgerEntry } from "./ledger/ledger-entry.ts";
import { positionOf, readPositions } from "./stack/order-tables.ts";
import type { Stack } from "./stack/stack.ts";
import type { Positions } from "./faults/fault.ts";

/** How long everything acknowledged may take to be applied after the load ended. */
export const SETTLE_MS = 60_000;
const POLL_MS = 100;

/** Waits until the database's positions have passed every acknowledged write; false when they had not in time. */
export async function waitUntilApplied(stack: Stack, ledger: readonly LedgerEntry[], injected: Injected): Promise<boolean> {
  const needed = neededPositions(ledger, injected.positionsAtLoss?.journal);
  const deadlineMs = Date.now() + SETTLE_MS;
  while (Date.now() < deadlineMs) {
    const positions = await stack.withPrimary(readPositions).catch(() => []); // The primary may still be coming; the deadline bounds it.
    if (havePassed(positions, needed)) return true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return false;
}

/** The newest acknowledged sequence of each journal and partition; a journal that was taken away is left out. */
export function neededPositions(ledger: readonly LedgerEntry[], lostJournal: string | undefined): Map<string, Map<number, bigint>> {
  const needed = new Map<string, Map<number, bigint>>();
  for (const { answer } of ledger) {
    if (answer?.kind !== "acknowledged" || answer.receipt.journal === lostJournal) continue;
    const { journal, partition, sequence } = answer.receipt;
    const partitions = needed.get(journal) ?? new Map<number, bigint>();
    needed.set(journal, partitions);
    const newest = partitions.get(partition) ?? 0n;
    if (BigInt(sequence) > newest) partitions.set(partition, BigInt(sequence));
  }
  return needed;
}

/** Whether the positions have passed everything that is needed. */
export function havePassed(positions: readonly Positions[], needed: ReadonlyMap<string, ReadonlyMap<number, bigint>>): boolean {
  for (const [journal, partitions] of needed) {
    const held = positions.find((one) => one.journal === journal);
    if (held === undefined) return false;
    for (const [partition, sequence] of partitions) if (positionOf(held, partition) < sequence) return false;
  }
  return true;
}
