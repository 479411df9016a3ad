import { join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Files, JournalFile } from "./files.ts";

const NAME = /^(\d{12})\.segment$/;

/** How many zeros are written and flushed at a time when a segment is made: large enough to be fast, small enough not to hold up the commits beside it. */
const FILL_BYTES = 1_048_576;
const ZEROS = Buffer.alloc(FILL_BYTES);

export function segmentName(segment: number): string {
  return `${String(segment).padStart(12, "0")}.segment`;
}

export function preparingName(segment: number): string {
  return `${String(segment).padStart(12, "0")}.preparing`;
}

/** The numbers of the segments among `names`, ascending. Throws TM-JOURNAL-FOREIGN on a segment that has no such name. */
export function segmentNumbers(names: readonly string[], directory: string): number[] {
  const numbers: number[] = [];
  for (const name of names) {
    const match = NAME.exec(name);
    if (match !== null) numbers.push(Number(match[1]));
    else if (name.endsWith(".segment"))
      throw new TidemarkError("TM-JOURNAL-FOREIGN", `${join(directory, name)} is no segment of this journal`);
  }
  return numbers.toSorted((a, b) => a - b);
}

/** Makes a segment of zeros under its name. When it resolves, the file, its size and its name are durable. */
export async function makeSegment(files: Files, directory: string, segment: { number: number; bytes: number }): Promise<void> {
  const temporary = join(directory, preparingName(segment.number));
  const file = await files.open(temporary, "create");
  try {
    for (let at = 0; at < segment.bytes; at += FILL_BYTES) {
      await file.write(ZEROS, Math.min(FILL_BYTES, segment.bytes - at), at);
      await file.sync();
    }
  } finally {
    await file.close();
  }
  await files.rename(temporary, join(directory, segmentName(segment.number)));
  await files.syncDirectory(directory);
}

/** Fills `[from, to)` with zeros, durably. */
export async function zeroRange(file: JournalFile, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += FILL_BYTES) await file.writeDurably(ZEROS, Math.min(FILL_BYTES, to - at), at);
}
