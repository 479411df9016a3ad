// Receives one whole segment again, beside the stream, from the server that is followed: for one that was damaged here and is
// in no archive. It goes through a folder of its own; whoever asked compares it before it replaces anything.
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { SystemIdentifier } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { WalFolder } from "../wal-folder.ts";
import { nodeWalFiles } from "./node-wal-files.ts";
import type { ReceiverTarget } from "./receiver-port.ts";
import { expectedOf } from "./receiver-port.ts";
import { SegmentWriter } from "./segment-writer.ts";
import type { ServerSession } from "./server-session.ts";
import { openSession } from "./server-session.ts";
import { SharedFrontier } from "./shared-frontier.ts";
import type { WalPoint } from "./stream-plan.ts";
import { clusterRefusal } from "./stream-plan.ts";
import { streamWal } from "./stream-wal.ts";
import { SQLSTATE, sqlstateOf } from "./vault-slot.ts";

/** No member's name: what is acknowledged here counts for nobody (R6). */
const NAME = "tidemark_wal_repair";
/** Longer than that a segment is not waited for, milliseconds. */
const MOST_MS = 30_000;

export interface SegmentOrder {
  /** The vault's folder. */
  readonly directory: string;
  readonly segmentBytes: number;
  readonly systemIdentifier: SystemIdentifier;
  readonly target: ReceiverTarget;
  /** The segment's first byte. */
  readonly place: WalPoint;
  readonly clock: Clock;
}

/** Undefined when the server has removed it, or its timeline ended within it. Rejects with TM-PG-* and TM-VAULT-*. One at a time. */
export async function receiveSegment(order: SegmentOrder): Promise<Uint8Array | undefined> {
  const { directory, segmentBytes, systemIdentifier, target, place, clock } = order;
  const folder = new WalFolder(join(directory, "again"), segmentBytes);
  await rm(folder.directory, { recursive: true, force: true });
  await mkdir(folder.wal, { recursive: true, mode: 0o700 });
  const stop = new AbortController();
  const timer = clock.setTimer(MOST_MS, () => stop.abort());
  let session: ServerSession | undefined;
  try {
    session = await openSession(target, { applicationName: NAME, clock, signal: stop.signal });
    const refused = clusterRefusal({ local: { systemIdentifier, segmentBytes }, expected: expectedOf(target), server: session.server });
    if (refused !== undefined) throw new TidemarkError(refused.code, refused.why);
    const { timeline, lsn: start } = place;
    const writer = SegmentWriter.open({ folder, files: nodeWalFiles, timeline, start, contiguousFrom: start });
    let sealed = false;
    try {
      await streamWal({
        connection: session.connection,
        slot: undefined,
        timeline,
        start,
        writer,
        frontier: new SharedFrontier(),
        clock,
        signal: stop.signal,
        onSealed: () => {
          sealed = true;
          stop.abort();
        },
      });
    } catch (error) {
      if (sqlstateOf(error) !== SQLSTATE.walRemoved) throw error;
    } finally {
      await writer.close();
    }
    return sealed ? await readFile(folder.segment(place, true)) : undefined;
  } finally {
    timer.clear();
    session?.connection.destroy();
    await rm(folder.directory, { recursive: true, force: true });
  }
}
