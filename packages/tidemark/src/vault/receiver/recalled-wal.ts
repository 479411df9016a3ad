// Puts WAL from the archive where the vault's own was lost, when the server has removed it. Nothing is believed because it was
// archived: it has to follow on what is here to the byte, and every record in it is read with its checksum, before it counts.
import { open, rename } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import type { SystemIdentifier } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { syncFolder } from "@tidemark/postgres/server-settings";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import { WalReader } from "@tidemark/postgres/wal/wal-reader";
import type { WalFolder } from "../wal-folder.ts";
import { writeDurably } from "./diverged-wal.ts";
import type { ArchivedWal } from "./receiver-port.ts";
import type { WalPoint } from "./stream-plan.ts";

/** Read without letting others run: a few milliseconds. */
const SLICE_BYTES = 1_048_576;
/** So long an archive that does not answer is waited for before WAL counts as gone. Milliseconds. */
const MOST_UNSURE_MS = 600_000;

export interface RecallOrder {
  readonly folder: WalFolder;
  readonly systemIdentifier: SystemIdentifier;
  /** Everything before it is here and whole. */
  readonly from: WalPoint;
  /** What the archive has of the segment that holds `from`, from the segment's first byte. */
  readonly bytes: Uint8Array;
}

export interface RecallRun extends Omit<RecallOrder, "bytes"> {
  readonly ask: (place: WalPoint) => Promise<ArchivedWal>;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** Segment after segment, until the archive has no more of this timeline. `why`: it is not known whether it has. */
export async function recallWal(run: RecallRun): Promise<{ to: WalPoint; why?: string }> {
  const { folder, signal, logger, ask } = run;
  const aborted = new Promise<ArchivedWal>((resolve) =>
    signal.addEventListener("abort", () => resolve({ kind: "unknown", why: "it was told to halt" }), { once: true }),
  );
  for (let to = run.from; ;) {
    const place = { timeline: to.timeline, lsn: segmentStart(to.lsn, folder.segmentBytes) };
    if (signal.aborted) return { to, why: "it was told to halt" };
    const answer = await Promise.race([ask(place), aborted]);
    if (answer.kind === "unknown") return { to, why: answer.why };
    if (answer.kind === "none") return { to };
    const recalled = await recallSegment({ ...run, from: to, bytes: answer.bytes });
    if (recalled.kind === "refused")
      logger.error({ code: "TM-VAULT-ARCHIVE-DAMAGED", from: formatLsn(to.lsn) }, `archived WAL is not used: ${recalled.why}`);
    if (recalled.kind === "refused" || recalled.to.lsn === to.lsn) return { to };
    to = recalled.to;
  }
}

/** What the server has removed, as the archive gives it, while a store that is away is waited for. */
export class ArchivedRun {
  readonly #world: { readonly ask: RecallRun["ask"]; readonly clock: Clock; readonly logger: Logger };
  #unsureSinceMs: number | undefined;

  constructor(world: { ask: RecallRun["ask"]; clock: Clock; logger: Logger }) {
    this.#world = world;
  }

  /**
   * How far it gave WAL; `from` when it has none that can be used. Rejects with TM-VAULT-UNSURE while that is not known, for
   * {@link MOST_UNSURE_MS}.
   */
  async recall(run: Omit<RecallRun, "ask" | "logger">): Promise<WalPoint> {
    const { ask, clock, logger } = this.#world;
    const { to, why } = await recallWal({ ...run, ask, logger });
    // What was taken counts; the rest is asked for when the server has refused it again.
    if (why !== undefined && to.lsn === run.from.lsn) {
      this.#unsureSinceMs ??= clock.monotonicMs();
      if (run.signal.aborted || clock.monotonicMs() - this.#unsureSinceMs < MOST_UNSURE_MS)
        throw new TidemarkError("TM-VAULT-UNSURE", `the server has no WAL from ${formatLsn(to.lsn)} on; whether the archive has: ${why}`);
    }
    this.#unsureSinceMs = undefined;
    if (to.lsn > run.from.lsn)
      logger.warn({ from: formatLsn(run.from.lsn), to: formatLsn(to.lsn) }, "WAL that the server has removed was taken from the archive");
    return to;
  }
}

/** `to`: everything before it is durable here now; equal to `from` when the bytes reach no further. */
export type Recalled = { readonly kind: "recalled"; readonly to: WalPoint } | { readonly kind: "refused"; readonly why: string };

/** Ordered so that a crash leaves one file of the segment at every moment, and never one that ends earlier. */
export async function recallSegment(order: RecallOrder): Promise<Recalled> {
  const { folder, from, bytes } = order;
  const { segmentBytes } = folder;
  const place = { timeline: from.timeline, lsn: segmentStart(from.lsn, segmentBytes) };
  const kept = Number(from.lsn - place.lsn);
  if (bytes.length > segmentBytes) return { kind: "refused", why: `a segment of ${bytes.length} bytes was given` };
  const end = await wholeEnd(order, place.lsn);
  if (typeof end === "string") return { kind: "refused", why: end };
  if (end <= from.lsn) return { kind: "recalled", to: from };
  const partial = folder.segment(place, false);
  if (kept > 0) {
    const differs = await firstDifference(partial, bytes, kept);
    if (differs !== undefined)
      return { kind: "refused", why: `it has other bytes at ${formatLsn((place.lsn + BigInt(differs)) as Lsn)} than are here and whole` };
  }
  const content = Buffer.alloc(segmentBytes);
  content.set(bytes.subarray(0, Number(end - place.lsn)));
  await writeDurably(`${partial}.recalled`, content);
  await rename(`${partial}.recalled`, partial);
  await syncFolder(folder.wal);
  if (end === place.lsn + BigInt(segmentBytes)) {
    await rename(partial, folder.segment(place, true));
    await syncFolder(folder.wal);
  }
  return { kind: "recalled", to: { timeline: from.timeline, lsn: end } };
}

/** Where the bytes end: a whole segment at its end, a part of one behind its last whole record. Words when they are no WAL of this place. */
async function wholeEnd({ folder, from, bytes, systemIdentifier }: RecallOrder, start: Lsn): Promise<Lsn | string> {
  const reader = new WalReader(
    {
      segmentBytes: folder.segmentBytes,
      start,
      atRecord: false,
      checkCrc: true,
      timeline: from.timeline,
      systemIdentifier: BigInt(systemIdentifier),
      collect: [],
    },
    () => undefined,
  );
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    const stop = reader.push(bytes, at, Math.min(at + SLICE_BYTES, bytes.length));
    if (stop !== undefined) return `its WAL breaks at ${formatLsn(stop.lsn)} (${stop.reason})`;
    await setImmediate();
  }
  return bytes.length === folder.segmentBytes ? ((start + BigInt(folder.segmentBytes)) as Lsn) : (reader.boundary ?? start);
}

async function firstDifference(path: string, bytes: Uint8Array, length: number): Promise<number | undefined> {
  const here = Buffer.alloc(length);
  const file = await open(path, "r");
  try {
    const { bytesRead } = await file.read(here, 0, length, 0);
    if (bytesRead < length) return bytesRead;
  } finally {
    await file.close();
  }
  if (here.equals(bytes.subarray(0, length))) return undefined;
  return here.findIndex((byte, index) => byte !== bytes[index]);
}
