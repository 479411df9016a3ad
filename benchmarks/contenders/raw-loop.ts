import { closeSync, fdatasyncSync, fsyncSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";

/** How a 4 KiB block is appended and synced, one after the other: the limit of what one file on this disk can acknowledge without group commit. */
export const RAW_LOOPS = ["asynchronous calls", "asynchronous calls, preallocated", "synchronous calls, preallocated"] as const;

export type RawLoop = (typeof RAW_LOOPS)[number];

const BLOCK_BYTES = 4_096;
/** A loop ends at this size even when its time is not up. */
const MOST_BYTES = 256 * 1_048_576;

/** Appends and fdatasyncs blocks of 4 KiB for `measureMs`; resolves with blocks a second. */
export async function runRawLoop(kind: RawLoop, folder: string, measureMs: number): Promise<number> {
  const path = join(folder, `raw-${RAW_LOOPS.indexOf(kind)}-${process.hrtime.bigint()}`);
  if (kind !== "asynchronous calls") preallocate(path);
  return kind === "synchronous calls, preallocated" ? synchronousLoop(path, measureMs) : asynchronousLoop(path, measureMs);
}

/** Zeros that are really written, so that no block has to be allocated or converted when its turn comes. */
function preallocate(path: string): void {
  const fd = openSync(path, "w");
  const zeros = Buffer.alloc(1_048_576);
  for (let at = 0; at < MOST_BYTES; at += zeros.length) writeSync(fd, zeros, 0, zeros.length, at);
  fsyncSync(fd);
  closeSync(fd);
}

async function asynchronousLoop(path: string, measureMs: number): Promise<number> {
  await (await open(path, "a")).close();
  const file = await open(path, "r+");
  const block = Buffer.alloc(BLOCK_BYTES, 1);
  const startMs = performance.now();
  let at = 0;
  while (performance.now() - startMs < measureMs && at < MOST_BYTES) {
    await file.write(block, 0, BLOCK_BYTES, at);
    await file.datasync();
    at += BLOCK_BYTES;
  }
  const seconds = (performance.now() - startMs) / 1_000;
  await file.truncate(0);
  await file.close();
  return at / BLOCK_BYTES / seconds;
}

function synchronousLoop(path: string, measureMs: number): number {
  const fd = openSync(path, "r+");
  const block = Buffer.alloc(BLOCK_BYTES, 1);
  const startMs = performance.now();
  let at = 0;
  while (performance.now() - startMs < measureMs && at < MOST_BYTES) {
    writeSync(fd, block, 0, BLOCK_BYTES, at);
    fdatasyncSync(fd);
    at += BLOCK_BYTES;
  }
  const seconds = (performance.now() - startMs) / 1_000;
  ftruncateSync(fd, 0);
  closeSync(fd);
  return at / BLOCK_BYTES / seconds;
}
