import { join } from "node:path";
import type { JournalId } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { uuidV7, type Random } from "@tidemark/kernel/random";
import { HEADER_BYTES, SECTOR_BYTES, toSector } from "../segment-format.ts";
import type { Files } from "./files.ts";
import { NEW_MANIFEST_NAME, readManifest, writeManifest, type Manifest } from "./manifest.ts";
import { followSegments, readHeader, type SegmentChain } from "./segment-chain.ts";
import { segmentName, segmentNumbers, zeroRange } from "./segment-file.ts";

/**
 * Recovery: looks at everything first (segment-chain.ts), throws TM-JOURNAL-DAMAGED with the range and changes nothing
 * when something durable is wrong, and only then cuts what is torn and makes durable what it found. Interrupted at any
 * call, it begins again with the same outcome.
 */
export interface Recovered extends SegmentChain {
  readonly manifest: Manifest;
}

/** Checked record by record at opening: the newest segments, up to so many bytes. About a second of work. */
const CHECKED_AT_OPENING_BYTES = 1_073_741_824;

/** Reads the folder, or makes a new journal in an empty one. The caller holds the lock. */
export async function recover(
  files: Files,
  directory: string,
  world: { clock: Clock; random: Random; segmentBytes: number },
): Promise<Recovered> {
  const manifest = (await readManifest(files, directory)) ?? (await makeManifest(files, directory, world));
  await removeLeftovers(files, directory, manifest);
  const chain = await followSegments(files, directory, manifest, {
    checkedBytes: CHECKED_AT_OPENING_BYTES,
    onDamage: (damage) => {
      throw damage;
    },
  });
  for (const torn of chain.torn) await cut(files, directory, torn);
  await writeLastGroupAgain(files, directory, chain);
  return await dropOtherSizes(files, directory, { ...chain, manifest }, world.segmentBytes);
}

/** Prepared segments of another size than is configured now are made anew: a record that is admitted must fit into each. */
async function dropOtherSizes(files: Files, directory: string, recovered: Recovered, segmentBytes: number): Promise<Recovered> {
  if (recovered.ready.every(({ bytes }) => bytes === segmentBytes)) return recovered;
  const last = recovered.kept.at(-1);
  const manifest: Manifest = {
    ...recovered.manifest,
    lastSegment: last?.number ?? recovered.manifest.firstSegment - 1,
    lastSegmentBytes: last?.bytes ?? 0,
  };
  // Last to first, so that an interruption leaves no segment beyond the one that the manifest may have behind it.
  for (const { number } of recovered.ready.toReversed()) {
    await writeManifest(files, directory, {
      ...manifest,
      lastSegment: number - 1,
      lastSegmentBytes: recovered.ready.find((ready) => ready.number === number - 1)?.bytes ?? manifest.lastSegmentBytes,
    });
    await files.remove(join(directory, segmentName(number)));
    await files.syncDirectory(directory);
  }
  return { ...recovered, manifest, ready: [] };
}

async function makeManifest(files: Files, directory: string, world: { clock: Clock; random: Random }): Promise<Manifest> {
  const numbers = segmentNumbers(await files.list(directory), directory);
  if (numbers.length > 0)
    throw new TidemarkError("TM-JOURNAL-DAMAGED", `${directory} has segments but no journal.json: the journal's identity is lost`);
  const createdAtMs = Math.floor(world.clock.wallMs());
  const manifest: Manifest = {
    journal: uuidV7(createdAtMs, world.random) as JournalId,
    seed: Buffer.from(world.random.bytes(4)).readUInt32LE(0),
    createdAtMs,
    firstSegment: 1,
    firstSequence: 1,
    lastSegment: 0,
    lastSegmentBytes: 0,
  };
  await writeManifest(files, directory, manifest);
  return manifest;
}

/** Half-made and trimmed files, and a prepared segment that the manifest does not name yet. */
async function removeLeftovers(files: Files, directory: string, manifest: Manifest): Promise<void> {
  const names = await files.list(directory);
  const leftovers = names.filter((name) => name === NEW_MANIFEST_NAME || name.endsWith(".preparing"));
  for (const number of segmentNumbers(names, directory)) {
    if (number < manifest.firstSegment) leftovers.push(segmentName(number));
    if (number <= manifest.lastSegment) continue;
    const { reading } = await readHeader(files, join(directory, segmentName(number)));
    if (number > manifest.lastSegment + 1 || reading.kind !== "zero") {
      throw new TidemarkError(
        "TM-JOURNAL-FOREIGN",
        `${join(directory, segmentName(number))} is not known to journal.json, whose newest segment is ${manifest.lastSegment}`,
      );
    }
    leftovers.push(segmentName(number));
  }
  for (const name of leftovers) await files.remove(join(directory, name));
  if (leftovers.length > 0) await files.syncDirectory(directory);
}

/** Fills a torn tail with zeros, durably. What stands before it in its first sector stays. */
async function cut(files: Files, directory: string, torn: { segment: number; offset: number; bytes: number }): Promise<void> {
  const file = await files.open(join(directory, segmentName(torn.segment)), "update");
  try {
    const sectorAt = torn.offset - (torn.offset % SECTOR_BYTES);
    const sector = Buffer.alloc(SECTOR_BYTES);
    await file.read(sector, SECTOR_BYTES, sectorAt);
    sector.fill(0, torn.offset - sectorAt);
    await file.writeDurably(sector, SECTOR_BYTES, sectorAt);
    await zeroRange(file, sectorAt + SECTOR_BYTES, toSector(torn.offset + torn.bytes));
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * What was read may be in memory only, and after a failed flush the operating system takes it for clean: the last group
 * and the header are written again and flushed before anything relies on them. Earlier groups were durable before it began.
 */
async function writeLastGroupAgain(files: Files, directory: string, chain: SegmentChain): Promise<void> {
  const last = chain.kept.at(-1);
  if (last === undefined) return;
  const file = await files.open(join(directory, segmentName(last.number)), "update");
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    await file.read(header, HEADER_BYTES, 0);
    const group = Buffer.alloc(chain.end - chain.lastGroupOffset);
    await file.read(group, group.length, chain.lastGroupOffset);
    await file.writeDurably(header, HEADER_BYTES, 0);
    await file.writeDurably(group, group.length, chain.lastGroupOffset);
    await file.sync();
  } finally {
    await file.close();
  }
}
