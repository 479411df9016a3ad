import type { PrimaryRoute } from "../../cluster/cluster-record.ts";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { Injected, VaultFacts } from "../faults/fault.ts";
import type { LedgerEntry, LedgerReceipt } from "../ledger/ledger-entry.ts";
import type { CustomerTotal, DeadLetter, TableRow } from "../verdict/table-row.ts";
import { flushedLsn, readDeadLetters, readReigns, readRows, readTotals, serverVersion, type ReignRow } from "./order-tables.ts";
import type { Stack } from "./stack.ts";
import type { Completion } from "./stack-api.ts";

/** What is known before the count begins. */
export interface Course {
  readonly ledger: readonly LedgerEntry[];
  readonly injected: Injected;
  readonly routeBefore: PrimaryRoute;
  readonly startMs: number;
  readonly loadEndMs: number;
  readonly overAtMs: number | undefined;
  /** Whether everything acknowledged was applied in time. */
  readonly settled: boolean;
  readonly redundantAtMs: number | undefined;
}

/** Everything that a verdict and a report are made of. */
export interface Evidence extends Course {
  readonly routeAfter: PrimaryRoute;
  readonly rows: readonly TableRow[];
  readonly totals: readonly CustomerTotal[];
  readonly deadLetters: readonly DeadLetter[];
  readonly pending: ReadonlySet<string>;
  /** What the gateway says of its applier, when not everything was applied in time. */
  readonly applier?: string;
  readonly reigns: readonly ReignRow[];
  readonly postgresVersion: string;
  /** What a vault gave to the new primary, by control's account. */
  readonly completion?: Completion;
  /** The vault when all was over; absent where there is none. */
  readonly vault?: VaultAfter;
}

/** Whether the vault has what the primary had when the count began. */
export interface VaultAfter extends VaultFacts {
  /** What the primary had flushed, LSN text. */
  readonly primaryLsn: string;
  readonly caughtUp: boolean;
}

/** How long the vault may take to have what the primary had flushed when the count began. */
const CATCH_UP_MS = 15_000;
const POLL_MS = 50;

/** How many missing orders the gateway is asked about; more than that are a loss or a stall that needs no closer look. */
const MOST_ASKED = 1_000;

/** Reads table, sums and dead letters, and asks the gateway about what is missing. */
export async function gather(stack: Stack, course: Course): Promise<Evidence> {
  const routeAfter = await stack.route();
  const read = await stack.withPrimary(async (sql) => ({
    // One snapshot for both, or a write between them would look like a wrong sum.
    ...(await sql.begin("isolation level repeatable read read only", async (transaction) => ({
      rows: await readRows(transaction),
      totals: await readTotals(transaction),
    }))),
    reigns: await readReigns(sql),
    postgresVersion: await serverVersion(sql),
  }));
  // The gateway knows the dead letters of its own journal; those of one that was taken away stand in the database only.
  const lostJournal = course.injected.positionsAtLoss?.journal;
  const ofLostJournal = lostJournal === undefined ? [] : await stack.withPrimary((sql) => readDeadLetters(sql, lostJournal));
  const deadLetters = [...(await stack.api.deadLetters()), ...ofLostJournal];
  const vault = stack.hasVault ? await lookAtVault(stack) : undefined;
  const completion = routeAfter.epoch > course.routeBefore.epoch ? await stack.api.completion() : undefined;
  const pending = course.settled ? new Set<string>() : await askPending(stack, missing(course.ledger, read.rows, deadLetters));
  return {
    ...course,
    ...read,
    routeAfter,
    deadLetters,
    pending,
    ...(course.settled ? {} : { applier: await stack.api.applierState() }),
    ...(completion === undefined ? {} : { completion }),
    ...(vault === undefined ? {} : { vault }),
  };
}

/** Waits until the vault has what the primary has flushed by now, at most {@link CATCH_UP_MS}. */
async function lookAtVault(stack: Stack): Promise<VaultAfter> {
  const primaryLsn = await stack.withPrimary(flushedLsn);
  const deadlineMs = Date.now() + CATCH_UP_MS;
  for (;;) {
    const facts = await stack.vault().catch((error: unknown) => {
      if (Date.now() < deadlineMs) return undefined;
      throw error;
    });
    const caughtUp = facts?.flushedLsn !== undefined && parseLsn(facts.flushedLsn) >= parseLsn(primaryLsn);
    if (facts !== undefined && (caughtUp || Date.now() >= deadlineMs)) return { ...facts, primaryLsn, caughtUp };
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The receipts of acknowledged orders that are neither rows nor dead letters. */
function missing(ledger: readonly LedgerEntry[], rows: readonly TableRow[], deadLetters: readonly DeadLetter[]): LedgerReceipt[] {
  const there = new Set(rows.map((row) => row.order));
  const rejected = new Set(deadLetters.map((letter) => letter.frozenId));
  return ledger.flatMap(({ intent, answer }) =>
    answer?.kind === "acknowledged" && !there.has(intent.order) && !rejected.has(answer.receipt.frozenId) ? [answer.receipt] : [],
  );
}

async function askPending(stack: Stack, receipts: readonly LedgerReceipt[]): Promise<Set<string>> {
  const pending = new Set<string>();
  for (const [index, { id, frozenId }] of receipts.entries()) {
    if (index >= MOST_ASKED || (await stack.api.writeStatus(id)) === "journalled") pending.add(frozenId);
  }
  return pending;
}
