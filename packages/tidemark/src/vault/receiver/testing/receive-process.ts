// A process that receives WAL, with a fault in its files: `receive-process.ts <json>`. It says what happens as JSON lines.
import { readdirSync } from "node:fs";
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn, parseLsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { ReplicationClient } from "@tidemark/postgres/replication-client";
import { DEFAULT_SEGMENT_BYTES, segmentStart } from "@tidemark/postgres/wal/segment-name";
import { WalFolder } from "../../wal-folder.ts";
import { nodeWalFiles } from "../node-wal-files.ts";
import { scanAfterRestart } from "../restart-scan.ts";
import { SegmentWriter } from "../segment-writer.ts";
import { SharedFrontier } from "../shared-frontier.ts";
import { streamWal } from "../stream-wal.ts";
import type { FilesFault } from "./faulty-wal-files.ts";
import { faultyWalFiles } from "./faulty-wal-files.ts";

export interface ReceiveOrder {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Slot and application_name; made when it is not there. */
  readonly name: string;
  readonly directory: string;
  /** Where the first life began. */
  readonly from: string;
  readonly fault?: FilesFault;
  readonly statusEveryMs?: number;
}

const TIMELINE = 1 as Timeline;
const order = JSON.parse(process.argv[2] ?? "") as ReceiveOrder;
const say = (facts: object): void => void process.stdout.write(`${JSON.stringify(facts)}\n`);

const folder = new WalFolder(order.directory, DEFAULT_SEGMENT_BYTES);
const files = faultyWalFiles(nodeWalFiles, order.fault);
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());
try {
  const client = await ReplicationClient.connect({
    host: order.host,
    port: order.port,
    user: order.user,
    password: new Redacted(order.password),
    applicationName: order.name,
    clock: systemClock,
  });
  const { systemIdentifier } = await client.identifySystem();
  const from = segmentStart(parseLsn(order.from), DEFAULT_SEGMENT_BYTES);
  const run = { from: { timeline: TIMELINE, lsn: from }, timeline: TIMELINE };
  nodeWalFiles.makeDirectory(folder.wal);
  const scan =
    readdirSync(folder.wal).length === 0 ? undefined : await scanAfterRestart({ folder, run, mark: undefined, systemIdentifier });
  const start = scan?.frontier.lsn ?? from;
  const writer = SegmentWriter.open({ folder, files, timeline: TIMELINE, start, contiguousFrom: from });
  say({ kind: "began", at: formatLsn(start) });
  await streamWal({
    connection: client.connection,
    slot: order.name,
    timeline: TIMELINE,
    start,
    writer,
    frontier: new SharedFrontier(),
    clock: systemClock,
    signal: stop.signal,
    onSealed: (segment) => say({ kind: "sealed", at: formatLsn(segment.start) }),
    onFull: (full) => say({ kind: full ? "full" : "room" }),
    ...(order.statusEveryMs === undefined ? {} : { statusEveryMs: order.statusEveryMs }),
  });
  await writer.close();
  process.exit(0);
} catch (error) {
  say({ kind: "failed", code: error instanceof TidemarkError ? error.code : String(error) });
  process.exit(1);
}
