// Takes WAL out of what is served and keeps it as evidence (trap 11): what lies past a fork, and what was found damaged. The
// evidence is durable before anything is taken away, so that a crash in between leaves bytes twice, never nowhere; done again,
// it ends the same.
import { copyFile, mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import type { Clock } from "@tidemark/kernel/clock";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { syncFolder } from "@tidemark/postgres/server-settings";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { WalFolder, WalSegmentFile } from "../wal-folder.ts";
import type { WalPoint } from "./stream-plan.ts";

export interface Cut {
  /** What stays ends here. */
  readonly at: WalPoint;
  /** Whether `at` itself stays: false when nothing of the run does. */
  readonly keepsPrefix: boolean;
  /** Up to where WAL was here, with its timeline; later timelines are not touched. */
  readonly end: WalPoint;
  readonly reason: "diverged" | "damaged";
  /** Told in the evidence. */
  readonly facts: Readonly<Record<string, string | number>>;
}

/** Moves everything from `at` to `end` into a folder of its own. Answers that folder's path, relative to the vault's. */
export async function cutWal(folder: WalFolder, cut: Cut, clock: Clock): Promise<string> {
  const evidence = await makeEvidence(folder, cut.reason, clock);
  const doomed = (await folder.segments()).filter((segment) => isBeyond(segment, cut, folder.segmentBytes));
  const split = doomed.filter((segment) => cut.keepsPrefix && segment.timeline === cut.at.timeline && segment.start < cut.at.lsn);
  for (const segment of split) await copyDurably(segment.path, join(evidence, basename(segment.path)));
  await describe(evidence, {
    ...cut.facts,
    reason: cut.reason,
    from: point(cut.at),
    to: point(cut.end),
    files: doomed.map((one) => basename(one.path)),
  });
  for (const segment of doomed) {
    if (!split.includes(segment)) await rename(segment.path, join(evidence, basename(segment.path)));
  }
  await syncFolder(evidence);
  await syncFolder(folder.diverged);
  const [half] = split;
  if (half !== undefined) {
    await writePrefix({
      from: half.path,
      to: folder.segment({ ...cut.at, lsn: half.start }, false),
      bytes: Number(cut.at.lsn - half.start),
      segmentBytes: folder.segmentBytes,
    });
    for (const segment of split) if (segment.sealed) await rm(segment.path, { force: true });
  }
  await syncFolder(folder.wal);
  return relative(folder.directory, evidence);
}

/** Keeps bytes that are not taken, such as another server's history file under a name that is here already (trap 10). */
export async function keepEvidence(
  folder: WalFolder,
  what: { reason: string; name: string; content: string | Uint8Array; facts: Readonly<Record<string, string | number>> },
  clock: Clock,
): Promise<string> {
  const kept = await keptBefore(folder, what);
  if (kept !== undefined) return kept;
  const evidence = await makeEvidence(folder, what.reason, clock);
  await writeDurably(join(evidence, what.name), what.content);
  await describe(evidence, { ...what.facts, reason: what.reason, files: [what.name] });
  await syncFolder(folder.diverged);
  return relative(folder.directory, evidence);
}

/** The same bytes are kept once, however often they are offered. */
async function keptBefore(
  folder: WalFolder,
  what: { reason: string; name: string; content: string | Uint8Array },
): Promise<string | undefined> {
  const wanted = Buffer.from(what.content as Uint8Array);
  const names = await readdir(folder.diverged).catch(ignoreMissing<string[]>([]));
  for (const name of names.filter((one) => one.includes(`-${what.reason}`))) {
    const content = await readFile(join(folder.diverged, name, what.name)).catch(ignoreMissing<Buffer | undefined>(undefined));
    if (content?.equals(wanted) === true) return relative(folder.directory, join(folder.diverged, name));
  }
  return undefined;
}

function ignoreMissing<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === "ENOENT") return instead;
    throw error;
  };
}

/** A file that begins with the first `bytes` of `from`, zeros after them, of a segment's size; durable under its name. */
export async function writePrefix(order: { from: string; to: string; bytes: number; segmentBytes: number }): Promise<void> {
  const temporary = `${order.to}.cut`;
  const source = await open(order.from, "r");
  const target = await open(temporary, "w", 0o600);
  try {
    const content = Buffer.alloc(order.segmentBytes);
    let read = 0;
    while (read < order.bytes) {
      const { bytesRead } = await source.read(content, read, order.bytes - read, read);
      if (bytesRead === 0) throw new Error(`${order.from} ends at ${read}, before ${order.bytes}`);
      read += bytesRead;
    }
    await target.writeFile(content);
    await target.sync();
  } finally {
    await source.close();
    await target.close();
  }
  await rename(temporary, order.to);
}

export async function writeDurably(path: string, content: string | Uint8Array): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A file of a vault's wal folder, replaced as a whole and durable. */
export async function replaceDurably(path: string, content: string | Uint8Array): Promise<void> {
  await writeDurably(`${path}.new`, content);
  await rename(`${path}.new`, path);
  await syncFolder(join(path, ".."));
}

function isBeyond(segment: WalSegmentFile, cut: Cut, segmentBytes: number): boolean {
  if (segment.timeline > cut.end.timeline || segment.timeline < cut.at.timeline) return false;
  // WAL before the cut on any timeline belongs to earlier runs.
  if (segment.timeline > cut.at.timeline) return segment.start >= segmentStart(cut.at.lsn, segmentBytes);
  const last = (segment.start + BigInt(segmentBytes)) as Lsn;
  return cut.keepsPrefix ? last > cut.at.lsn : segment.start >= segmentStart(cut.at.lsn, segmentBytes);
}

async function makeEvidence(folder: WalFolder, reason: string, clock: Clock): Promise<string> {
  await mkdir(folder.diverged, { recursive: true, mode: 0o700 });
  await syncFolder(folder.directory);
  const stamp = new Date(clock.wallMs()).toISOString().replaceAll(/[-:]/g, "");
  for (let attempt = 0; ; attempt++) {
    const path = join(folder.diverged, `${stamp}-${reason}${attempt === 0 ? "" : `-${attempt}`}`);
    try {
      await mkdir(path, { mode: 0o700 });
      return path;
    } catch (error) {
      // The wall clock may stand still or go back; a name that is taken is never used again.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

async function copyDurably(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const copy = await open(to, "r+");
  try {
    await copy.sync();
  } finally {
    await copy.close();
  }
}

async function describe(evidence: string, facts: object): Promise<void> {
  await writeDurably(join(evidence, "evidence.json"), `${JSON.stringify({ formatVersion: 1, ...facts }, undefined, 2)}\n`);
  await syncFolder(evidence);
}

function point(place: WalPoint): { timeline: number; lsn: string } {
  return { timeline: place.timeline, lsn: formatLsn(place.lsn) };
}
