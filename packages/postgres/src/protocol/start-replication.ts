// START_REPLICATION of a physical stream. What the server answers:
//
//   W …             the stream begins (wal-stream.ts)
//   … c → c T D C C Z   the timeline ended: the next one and where it begins
//   T D C C Z       at once, when the position asked for is the end of that timeline: no stream at all
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn, parseLsn } from "@tidemark/kernel/lsn";
import type { ReplicationConnection } from "../connection.ts";
import { identifier, timelineOf } from "../replication-client.ts";
import { copyDone, query } from "./frontend-messages.ts";

export interface StartReplication {
  /** A physical slot; without one the server may recycle what was not received. */
  readonly slot?: string | undefined;
  readonly timeline: Timeline;
  readonly start: Lsn;
}

/** The end of a timeline in the server's history. */
export interface TimelineEnd {
  readonly nextTimeline: Timeline;
  /** Where the next one begins: the fork. May lie before the last byte that was received of the old one. */
  readonly nextStart: Lsn;
}

/**
 * Asks for WAL from `start` on. Undefined: the stream begins now. Otherwise the server is past that timeline, which ends at
 * `start`. Rejects with TM-PG-SERVER: XX000 when the position is not in the server's history, 58P01 when it was recycled,
 * 55006 when the slot is in use, 55000 when it lost WAL.
 */
export async function startReplication(connection: ReplicationConnection, from: StartReplication): Promise<TimelineEnd | undefined> {
  const slot = from.slot === undefined ? "" : `SLOT ${identifier(from.slot)} `;
  connection.send(query(`START_REPLICATION ${slot}PHYSICAL ${formatLsn(from.start)} TIMELINE ${from.timeline}`));
  const first = await connection.read();
  if (first.kind === "copy-both") return undefined;
  return readEnd(connection, first);
}

/** After the stream ended and the connection was taken back: says that it ended here too, and reads what comes next. */
export async function endReplication(connection: ReplicationConnection): Promise<TimelineEnd> {
  const last = await connection.read();
  // A server that shuts down says the command's end, without an end of the copy, and leaves.
  if (last.kind === "complete") throw connection.lost(new Error("the server ended the stream: it is shutting down"));
  if (last.kind !== "copy-done") throw new TidemarkError("TM-PG-PROTOCOL", `awaited the end of a stream of WAL, got ${last.kind}`);
  connection.send(copyDone());
  return readEnd(connection, await connection.read());
}

type Message = Awaited<ReturnType<ReplicationConnection["read"]>>;

async function readEnd(connection: ReplicationConnection, first: Message): Promise<TimelineEnd> {
  let end: TimelineEnd | undefined;
  for (let message = first; message.kind !== "ready"; message = await connection.read()) {
    if (message.kind === "row") {
      const [timeline, start] = message.values.map((value) => value?.toString("utf8"));
      if (timeline !== undefined && start !== undefined) end = { nextTimeline: timelineOf(timeline), nextStart: parseLsn(start) };
    } else if (message.kind !== "fields" && message.kind !== "complete") {
      throw new TidemarkError("TM-PG-PROTOCOL", `awaited the timeline that comes next, got ${message.kind}`);
    }
  }
  if (end === undefined) throw new TidemarkError("TM-PG-PROTOCOL", "the server ended a timeline without naming the next one");
  return end;
}
