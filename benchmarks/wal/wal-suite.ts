import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { DEFAULT_SEGMENT_BYTES, segmentName, segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { WalBenchOptions } from "./wal-options.ts";
import type { WalPrimary } from "./wal-primary.ts";
import type { ReceiverKind } from "./wal-receivers.ts";
import { startReceiver } from "./wal-receivers.ts";

/** One figure of one round. */
export interface WalRun {
  readonly part: "catch-up" | "archive" | "commits";
  readonly receiver: ReceiverKind;
  /** For commits. */
  readonly connections?: number;
  /** MB/s or commits/s; undefined where nothing could be counted. */
  readonly rate: number | undefined;
  /** The most memory of the receiving process, bytes. */
  readonly peakMemory: number;
}

export interface WalSuiteResult {
  readonly postgres: string;
  readonly backlogBytes: number;
  readonly runs: readonly WalRun[];
}

const INSERT =
  "INSERT INTO orders (customer, amount, note) VALUES (42, 1999, 'one row of a usual size, with some sixty bytes of text in it');\n";
/** What a process that has just started is slow at is not measured. */
const WARMUP_SECONDS = 2;
/** The longest that a catch-up may take. */
const LIMIT_MS = 600_000;

/** The backlog: what receivers have at the beginning, and what they are to have at the end. */
interface Backlog {
  /** Folder of a vault that stopped before it. */
  readonly vault: string;
  /** The segment that every receiver has, and begins after. */
  readonly first: Lsn;
  /** The end of the last segment of it. */
  readonly end: Lsn;
}

/** Runs every part on `primary`; in each round every contender once, in turn from one end and from the other. */
export async function runWalSuite(
  primary: WalPrimary,
  { options, folder, say }: { options: WalBenchOptions; folder: string; say: (line: string) => void },
): Promise<WalSuiteResult> {
  const runs: WalRun[] = [];
  const note = (run: WalRun): void => {
    runs.push(run);
    const what = run.connections === undefined ? run.part : `${run.part}, ${run.connections} connections`;
    const rate = run.rate === undefined ? "unknown" : `${Math.round(run.rate)}${run.part === "commits" ? "/s" : " MB/s"}`;
    say(`${what}: ${run.receiver} ${rate}, ${Math.round(run.peakMemory / 1_048_576)} MiB`);
  };
  let backlogBytes = 0;
  if (options.parts.has("catch-up") || options.parts.has("archive")) {
    const backlog = await makeBacklog(primary, folder, options.backlogMiB);
    backlogBytes = Number(backlog.end - backlog.first) - DEFAULT_SEGMENT_BYTES;
    const receivers: ReceiverKind[] = [];
    if (options.parts.has("catch-up")) receivers.push("pg_receivewal", "vault");
    if (options.parts.has("archive")) receivers.push("vault, archiving");
    for (let round = 0; round < options.rounds; round++)
      for (const receiver of inTurn(receivers, round)) note(await catchUp(primary, { receiver, backlog, folder: join(folder, "run") }));
  }
  if (options.parts.has("commits")) {
    const receivers: ReceiverKind[] = ["pg_receivewal --synchronous", "vault"];
    for (let round = 0; round < options.rounds; round++)
      for (const connections of options.connections)
        for (const receiver of inTurn(receivers, round))
          note(await commits(primary, { receiver, connections, seconds: options.seconds, folder: join(folder, "run") }));
  }
  return { postgres: primary.version, backlogBytes, runs };
}

function inTurn<T>(all: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? all : all.toReversed();
}

/** A vault receives the first segment and stops; then the backlog is written. */
async function makeBacklog(primary: WalPrimary, folder: string, mib: number): Promise<Backlog> {
  const vault = join(folder, "template");
  const receiver = await startReceiver("vault", primary, vault);
  await primary.streamsTo(receiver.name);
  const after = parseLsn(await primary.switchSegment());
  const first = (segmentStart(after, DEFAULT_SEGMENT_BYTES) - BigInt(DEFAULT_SEGMENT_BYTES)) as Lsn;
  await until(() => existsSync(join(receiver.wal, nameOf(first))));
  await receiver.stop();
  await primary.clear();
  await primary.writeBacklog(mib);
  return { vault, first, end: segmentStart(parseLsn(await primary.switchSegment()), DEFAULT_SEGMENT_BYTES) };
}

/** From the first file that it makes to the last segment under its final name; or until the archive has it. */
async function catchUp(primary: WalPrimary, run: { receiver: ReceiverKind; backlog: Backlog; folder: string }): Promise<WalRun> {
  const { receiver: kind, backlog, folder } = run;
  rmSync(folder, { recursive: true, force: true });
  rmSync(`${folder}-archive`, { recursive: true, force: true });
  const first = nameOf(backlog.first);
  if (kind.startsWith("vault")) {
    cpSync(backlog.vault, folder, { recursive: true });
    for (const name of readdirSync(join(folder, "wal"))) if (name.endsWith(".partial")) rmSync(join(folder, "wal", name));
  } else {
    mkdirSync(join(folder, "wal"), { recursive: true });
    cpSync(join(backlog.vault, "wal", first), join(folder, "wal", first));
  }
  const next = nameOf((backlog.first + BigInt(DEFAULT_SEGMENT_BYTES)) as Lsn);
  const last = nameOf((backlog.end - BigInt(DEFAULT_SEGMENT_BYTES)) as Lsn);
  const receiver = await startReceiver(kind, primary, folder);
  await until(() => existsSync(join(receiver.wal, `${next}.partial`)) || existsSync(join(receiver.wal, next)));
  const startMs = performance.now();
  if (kind === "vault, archiving") await until(() => parseLsn(receiver.archivedLsn() ?? "0/0") >= backlog.end);
  else await until(() => existsSync(join(receiver.wal, last)));
  const ms = performance.now() - startMs;
  const peakMemory = receiver.peakMemory();
  await receiver.stop();
  await primary.clear();
  const bytes = Number(backlog.end - backlog.first) - DEFAULT_SEGMENT_BYTES;
  return { part: kind === "vault, archiving" ? "archive" : "catch-up", receiver: kind, rate: bytes / 1_000 / ms, peakMemory };
}

async function commits(
  primary: WalPrimary,
  run: { receiver: ReceiverKind; connections: number; seconds: number; folder: string },
): Promise<WalRun> {
  const { receiver: kind, connections, seconds, folder } = run;
  rmSync(folder, { recursive: true, force: true });
  const script = `${folder}.sql`;
  writeFileSync(script, INSERT, { mode: 0o644 });
  const receiver = await startReceiver(kind, primary, folder);
  await primary.streamsTo(receiver.name);
  await primary.waitFor(receiver.name);
  await primary.commits(connections, WARMUP_SECONDS, script);
  const rate = await primary.commits(connections, seconds, script);
  await primary.waitFor(undefined);
  const peakMemory = receiver.peakMemory();
  await receiver.stop();
  await primary.clear();
  return { part: "commits", receiver: kind, connections, rate, peakMemory };
}

function nameOf(lsn: Lsn): string {
  return segmentName({ timeline: 1 as Timeline, lsn }, DEFAULT_SEGMENT_BYTES);
}

async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + LIMIT_MS;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error("it took longer than ten minutes");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
