import type { Sequence } from "@tidemark/kernel/brands";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import type { JournalReader } from "../journal/journal.ts";
import type { Announcer } from "./announcer.ts";
import { DatabaseError, type ApplyOutcome, type DatabaseSession, type PositionMove, type PositionRow } from "./database.ts";
import { BASE_PARTITION } from "./schema.ts";

/** The positions of the newest generation. */
export interface LoadedPositions {
  readonly generation: number;
  readonly base: Sequence;
  /** Without the base. */
  readonly rows: readonly PositionRow[];
}

interface LoadContext {
  /** Commits a barrier with these moves. */
  readonly commit: (moves: readonly PositionMove[]) => Promise<ApplyOutcome>;
  readonly durable: Sequence;
  /** No position can be higher, unless the journal has gone back. */
  readonly mostApplied: Sequence;
  readonly announcer: Announcer;
  readonly reader: JournalReader;
}

/**
 * Reads where the database stands with this journal and checks it against the journal (R12). A journal that the database
 * has never seen gets its base row, 0. Throws TM-APPLIER-JOURNAL-BEHIND and TM-APPLIER-NEEDED-TRIMMED (FAIL-STOP).
 */
export async function loadPositions(session: DatabaseSession, context: LoadContext): Promise<LoadedPositions> {
  const all = await session.positions(context.reader.id);
  if (all.length === 0) return meetJournal(session, context);
  const generation = Math.max(...all.map((row) => row.generation));
  const rows = all.filter((row) => row.generation === generation);
  const ahead = rows.find((row) => row.sequence > context.mostApplied);
  if (ahead !== undefined) {
    throw new TidemarkError(
      "TM-APPLIER-JOURNAL-BEHIND",
      `the database has applied journal ${context.reader.id} up to ${ahead.sequence} (partition ${ahead.partition}), but the journal ended at ${context.mostApplied}`,
      {
        details: {
          journal: context.reader.id,
          partition: ahead.partition,
          position: ahead.sequence,
          ended: context.mostApplied,
          durable: context.durable,
        },
      },
    );
  }
  const base = rows.find((row) => row.partition === BASE_PARTITION);
  if (base === undefined)
    throw new TidemarkError(
      "TM-APPLIER-SCHEMA",
      `generation ${generation} of journal ${context.reader.id} has no base row; somebody changed tidemark.position`,
    );
  return { generation, base: base.sequence, rows: rows.filter((row) => row.partition !== BASE_PARTITION) };
}

async function meetJournal(session: DatabaseSession, context: LoadContext): Promise<LoadedPositions> {
  const { announcer, reader } = context;
  const journal = reader.id;
  const others = await session.otherJournals(journal);
  await checkBeginning(context);
  const start = 0n as Sequence;
  const outcome = await context.commit([{ generation: 1, partition: BASE_PARTITION, from: undefined, to: start }]);
  if (outcome.kind !== "committed") throw new DatabaseError(outcome.trouble);
  if (others.length > 0) {
    announcer.incident(
      "0",
      "TM-APPLIER-JOURNAL-REPLACED",
      `journal ${journal} is new to this database, which knows ${others.join(", ")}; what those held beyond their last positions is lost unless another gateway has them`,
    );
  }
  return { generation: 1, base: start, rows: [] };
}

/** A database that has never seen the journal needs it from its first record on. */
async function checkBeginning(context: LoadContext): Promise<void> {
  if (context.durable === 0n) return;
  try {
    await context.reader.read(1n as Sequence, 1n as Sequence, { records: 1, bytes: 1 });
  } catch (cause) {
    if (!hasCode(cause, "TM-JOURNAL-TRIMMED"))
      throw new TidemarkError("TM-APPLIER-JOURNAL-UNREADABLE", `reading the first record of journal ${context.reader.id} failed`, {
        cause,
      });
    const end = cause.details["upTo"];
    throw new TidemarkError(
      "TM-APPLIER-NEEDED-TRIMMED",
      `the database has never seen journal ${context.reader.id}, whose records from 1${end === undefined ? "" : ` to ${end}`} are trimmed`,
      {
        cause,
        details: { journal: context.reader.id, from: 1n, upTo: end },
      },
    );
  }
}
