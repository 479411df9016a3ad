// The history files of all timelines of a server's line, fetched and kept at every connect (trap 8): a recovery that lacks one
// in the middle ends there without a word.
import { readFile } from "node:fs/promises";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError, hasCode } from "@tidemark/kernel/errors";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";
import { parseTimelineHistory } from "@tidemark/postgres/timeline-history";
import { historyName } from "@tidemark/postgres/wal/segment-name";
import type { WalFolder } from "../wal-folder.ts";
import { keepEvidence, replaceDurably } from "./diverged-wal.ts";

/** Gives the raw content of a timeline's history file; rejects with TM-PG-SERVER (58P01) when the server has none. */
export type FetchHistory = (timeline: Timeline) => Promise<Uint8Array>;

export interface HistoryChain {
  /** Ancestors whose file neither the server nor this vault has. */
  readonly missing: readonly Timeline[];
  /** Files that were not here before. */
  readonly fetched: readonly Timeline[];
}

/**
 * Stores the whole chain. Rejects with TM-VAULT-HISTORY-CONFLICT when a file is here with other bytes: the server's is kept as
 * evidence, ours stays (trap 10).
 */
export async function storeHistoryChain(order: {
  folder: WalFolder;
  timeline: Timeline;
  /** The history file of `timeline`; undefined for the first. */
  content: Uint8Array | undefined;
  fetch: FetchHistory;
  clock: Clock;
}): Promise<HistoryChain> {
  const { folder, timeline, content, fetch } = order;
  if (content === undefined) return { missing: [], fetched: [] };
  const history = readHistoryContent(content);
  const missing: Timeline[] = [];
  const fetched: Timeline[] = [];
  // Ancestors first: a file is here only when those before it are.
  for (const ancestor of history.map((step) => step.timeline).filter((one) => one > 1)) {
    if ((await readHistory(folder, ancestor)) !== undefined) continue;
    try {
      await replaceDurably(folder.history(ancestor), await fetch(ancestor));
      fetched.push(ancestor);
    } catch (error) {
      if (!hasCode(error, "TM-PG-SERVER")) throw error;
      missing.push(ancestor);
    }
  }
  const known = await readHistory(folder, timeline);
  if (known === undefined) {
    await replaceDurably(folder.history(timeline), content);
    fetched.push(timeline);
  } else if (!known.equals(content)) {
    const evidence = await keepEvidence(
      folder,
      { reason: "history-conflict", name: historyName(timeline), content, facts: { timeline } },
      order.clock,
    );
    throw new TidemarkError(
      "TM-VAULT-HISTORY-CONFLICT",
      `the server's ${historyName(timeline)} differs from ours; it was kept in ${evidence}`,
      {
        details: { timeline, evidence },
      },
    );
  }
  return { missing, fetched };
}

/** The stored ancestry of a timeline; empty for the first. Undefined when its file is not here. */
export async function storedHistory(folder: WalFolder, timeline: Timeline): Promise<readonly TimelineSwitch[] | undefined> {
  if (timeline === 1) return [];
  const content = await readHistory(folder, timeline);
  return content === undefined ? undefined : readHistoryContent(content);
}

async function readHistory(folder: WalFolder, timeline: Timeline): Promise<Buffer | undefined> {
  return readFile(folder.history(timeline)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}

/** The ancestry that a history file tells. Throws TM-PG-TIMELINE-HISTORY. */
export function readHistoryContent(content: Uint8Array): TimelineSwitch[] {
  return parseTimelineHistory(Buffer.from(content).toString("utf8"));
}
