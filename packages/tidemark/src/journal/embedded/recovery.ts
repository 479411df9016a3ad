import { join } from "node:path";
import type { JournalId } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError, type ErrorDetails } from "@tidemark/kernel/errors";
import { uuidV7, type Random } from "@tidemark/kernel/random";
import { HEADER_BYTES, decodeHeader, isZero, toSector, type HeaderReading, type SegmentHeader } from "../segment-format.ts";
import { badFrom, scanSegment, type SegmentScan } from "../segment-scan.ts";
import type { Files } from "./files.ts";
import { NEW_MANIFEST_NAME, readManifest, writeManifest, type Manifest } from "./manifest.ts";
import { segmentName, segmentNumbers, zeroRange } from "./segment-file.ts";

/**
 * Recovery: what the journal's folder holds, decided before anything is written, by the four rules of
 * docs/journal-format.md. A torn tail is cut durably; damage throws TM-JOURNAL-DAMAGED with the range and changes nothing.
 */

/** A segment that has begun. Sequences are plain numbers. */
export interface KeptSegment {
  readonly number: number;
  readonly bytes: number;
  readonly firstSequence: number;
  /** The first sequence of the next one, minus one. */
  lastSequence: number;
  readonly createdAtMs: number;
  /** Acceptance time of its first record; its beginning where that was not read. */
  firstAcceptedAtMs: number;
  /** Acceptance time of its newest record, or an upper bound of it. */
  newestAcceptedAtMs: number;
}

export interface TornTail {
  readonly segment: number;
  readonly offset: number;
  readonly bytes: number;
  /** The sequence that the torn group's first unreadable record had. */
  readonly sequence: number;
}

export interface Recovered {
  readonly manifest: Manifest;
  readonly kept: KeptSegment[];
  /** Prepared segments that have not begun, in order. */
  readonly ready: { readonly number: number; readonly bytes: number }[];
  readonly nextSequence: number;
  /** Where the next group goes in the last kept segment. */
  readonly end: number;
  readonly generation: number;
  /** Of the last generation; undefined in a new journal. */
  readonly partitions: number | undefined;
  readonly torn: TornTail | undefined;
}

/** The newest segments are checked record by record at opening, up to so many bytes; of older ones the header only. */
const CHECKED_AT_OPENING_BYTES = 1_073_741_824;

interface Found {
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
  readonly reading: HeaderReading;
}

/** Reads the folder, cuts a torn tail, and makes what it found durable. Makes a new journal in an empty folder. */
export async function recover(files: Files, directory: string, world: { clock: Clock; random: Random }): Promise<Recovered> {
  const manifest = (await readManifest(files, directory)) ?? (await makeManifest(files, directory, world));
  await removeLeftovers(files, directory, manifest);
  const found = await readHeaders(files, directory, manifest);
  const chain = await new ChainCheck(files, manifest, found).run();
  return { manifest, ...chain };
}

async function makeManifest(files: Files, directory: string, world: { clock: Clock; random: Random }): Promise<Manifest> {
  const numbers = segmentNumbers(await files.list(directory), directory);
  if (numbers.length > 0) throw new TidemarkError("TM-JOURNAL-DAMAGED", `${directory} has segments but no journal.json: the journal's identity is lost`);
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
    const reading = await readHeader(files, join(directory, segmentName(number)));
    if (number > manifest.lastSegment + 1 || reading.reading.kind !== "zero") {
      throw new TidemarkError("TM-JOURNAL-FOREIGN", `${join(directory, segmentName(number))} is not known to journal.json, whose newest segment is ${manifest.lastSegment}`);
    }
    leftovers.push(segmentName(number));
  }
  for (const name of leftovers) await files.remove(join(directory, name));
  if (leftovers.length > 0) await files.syncDirectory(directory);
}

async function readHeader(files: Files, path: string): Promise<{ bytes: number; reading: HeaderReading }> {
  const file = await files.open(path, "read");
  try {
    const sector = Buffer.alloc(HEADER_BYTES);
    const read = await file.read(sector, HEADER_BYTES, 0);
    return { bytes: await file.size(), reading: decodeHeader(sector.subarray(0, read)) };
  } finally {
    await file.close();
  }
}

async function readHeaders(files: Files, directory: string, manifest: Manifest): Promise<Map<number, Found>> {
  const found = new Map<number, Found>();
  for (const number of segmentNumbers(await files.list(directory), directory)) {
    const path = join(directory, segmentName(number));
    const { bytes, reading } = await readHeader(files, path);
    if (reading.kind === "unknown-version") throw new TidemarkError("TM-JOURNAL-VERSION", `${path} has format version ${reading.version}`, { details: { version: reading.version } });
    if (reading.kind === "header") checkIdentity(reading.header, { manifest, number, path });
    found.set(number, { number, path, bytes, reading });
  }
  return found;
}

function checkIdentity(header: SegmentHeader, at: { manifest: Manifest; number: number; path: string }): void {
  if (header.journal !== at.manifest.journal) {
    throw new TidemarkError("TM-JOURNAL-FOREIGN", `${at.path} belongs to journal ${header.journal}, this one is ${at.manifest.journal}`, { details: { journal: header.journal } });
  }
  if (header.segment !== at.number) throw new TidemarkError("TM-JOURNAL-FOREIGN", `${at.path} is a copy of segment ${header.segment} under another number`, { details: { segment: header.segment } });
}

/** Follows the segments in order; holds what it has learned so far. */
class ChainCheck {
  readonly #files: Files;
  readonly #manifest: Manifest;
  readonly #found: Map<number, Found>;
  readonly #kept: KeptSegment[] = [];
  readonly #ready: { number: number; bytes: number }[] = [];
  #scratch: Buffer = Buffer.alloc(0);
  #expected: number;
  #end = 0;
  #generation = 1;
  #partitions: number | undefined;
  #torn: TornTail | undefined;

  constructor(files: Files, manifest: Manifest, found: Map<number, Found>) {
    this.#files = files;
    this.#manifest = manifest;
    this.#found = found;
    this.#expected = manifest.firstSequence;
  }

  async run(): Promise<Omit<Recovered, "manifest">> {
    const { firstSegment, lastSegment } = this.#manifest;
    const checkFrom = this.#checkedFrom();
    for (let number = firstSegment; number <= lastSegment; number++) {
      const found = this.#found.get(number);
      const next = this.#nextBegun(number);
      if (found === undefined) throw this.#damage(`segment ${number} is missing`, { segment: number }, next);
      if (found.reading.kind !== "header") await this.#checkNotBegun(found, next);
      else await this.#checkBegun(found, { header: found.reading.header, next, whole: number >= checkFrom || number === firstSegment });
    }
    return {
      kept: this.#kept,
      ready: this.#ready,
      nextSequence: this.#expected,
      end: this.#end,
      generation: this.#generation,
      partitions: this.#partitions,
      torn: this.#torn,
    };
  }

  #checkedFrom(): number {
    let bytes = 0;
    let number = this.#manifest.lastSegment;
    while (number > this.#manifest.firstSegment && bytes < CHECKED_AT_OPENING_BYTES) bytes += this.#found.get(number--)?.bytes ?? 0;
    return number;
  }

  #nextBegun(after: number): SegmentHeader | undefined {
    for (let number = after + 1; number <= this.#manifest.lastSegment; number++) {
      const reading = this.#found.get(number)?.reading;
      if (reading?.kind === "header") return reading.header;
    }
    return undefined;
  }

  async #checkBegun(found: Found, at: { header: SegmentHeader; next: SegmentHeader | undefined; whole: boolean }): Promise<void> {
    const { header, next } = at;
    if (header.firstSequence !== this.#expected) throw this.#damage(`segment ${found.number} begins at ${header.firstSequence}, expected ${this.#expected}`, { segment: found.number }, header);
    if (header.segmentBytes !== found.bytes) throw this.#damage(`${found.path} has ${found.bytes} bytes, its header says ${header.segmentBytes}`, { segment: found.number }, next);
    this.#generation = header.generation;
    this.#partitions = header.partitions;
    const kept: KeptSegment = { number: found.number, bytes: found.bytes, firstSequence: header.firstSequence, lastSequence: 0, createdAtMs: header.createdAtMs, firstAcceptedAtMs: header.createdAtMs, newestAcceptedAtMs: header.createdAtMs };
    this.#kept.push(kept);
    if (next !== undefined && !at.whole) {
      this.#expected = next.firstSequence;
      kept.lastSequence = next.firstSequence - 1;
      kept.newestAcceptedAtMs = next.createdAtMs;
      return;
    }
    const bytes = await this.#load(found);
    const scan = scanSegment(bytes, { seed: header.seed, expected: header.firstSequence, generation: header.generation, partitions: header.partitions });
    this.#expected = scan.expected;
    this.#end = scan.end;
    this.#generation = scan.generation;
    this.#partitions = scan.partitions;
    kept.firstAcceptedAtMs = scan.firstAcceptedAtMs ?? header.createdAtMs;
    kept.lastSequence = scan.expected - 1;
    kept.newestAcceptedAtMs = scan.newestAcceptedAtMs ?? header.createdAtMs;
    if (scan.bad !== undefined && (scan.bad.proof !== undefined || next !== undefined)) {
      throw this.#damage(`${found.path} has bad bytes at offset ${scan.bad.offset}`, { segment: found.number, offset: scan.bad.offset }, { firstSequence: scan.bad.proof?.sequence ?? next?.firstSequence ?? this.#expected });
    }
    if (next === undefined) await this.#settle(found, bytes, scan);
  }

  /**
   * The last segment that has begun: cuts what is torn, and writes the last group again, because what was read may be in
   * memory only, even where the operating system takes it for clean (after a failed flush).
   */
  async #settle(found: Found, bytes: Buffer, scan: SegmentScan): Promise<void> {
    if (scan.bad !== undefined) await this.#checkNothingBehind(found.number);
    const file = await this.#files.open(found.path, "update");
    try {
      if (scan.bad !== undefined) {
        this.#torn = { segment: found.number, offset: scan.bad.offset, bytes: scan.bad.end - scan.bad.offset, sequence: this.#expected };
        bytes.fill(0, scan.bad.offset, toSector(scan.bad.end));
      }
      const from = scan.records === 0 ? 0 : scan.lastGroupOffset;
      const again = Buffer.from(bytes.subarray(from, scan.end));
      await file.writeDurably(again, again.length, from);
      if (from > 0) await file.writeDurably(Buffer.from(bytes.subarray(0, HEADER_BYTES)), HEADER_BYTES, 0);
      if (scan.bad !== undefined) await zeroRange(file, scan.end, toSector(scan.bad.end));
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Before a tail is cut: no segment after it may prove that it was durable. */
  async #checkNothingBehind(number: number): Promise<void> {
    for (let behind = number + 1; behind <= this.#manifest.lastSegment; behind++) {
      const found = this.#found.get(behind);
      if (found === undefined) throw this.#damage(`segment ${behind} is missing`, { segment: behind });
      const bytes = await this.#load(found, Buffer.alloc(found.bytes));
      const { proof } = badFrom(bytes, 0, { seed: this.#manifest.seed, expected: this.#expected, inPlace: false });
      if (proof !== undefined) throw this.#damage(`${found.path} has no header but records behind it`, { segment: behind, offset: 0 }, { firstSequence: proof.sequence });
    }
  }

  async #checkNotBegun(found: Found, next: SegmentHeader | undefined): Promise<void> {
    if (next !== undefined) throw this.#damage(`${found.path} has no header, and a later segment has begun`, { segment: found.number, offset: 0 }, next);
    if (found.number === this.#manifest.lastSegment && found.bytes !== this.#manifest.lastSegmentBytes) {
      throw this.#damage(`${found.path} has ${found.bytes} bytes, journal.json says ${this.#manifest.lastSegmentBytes}`, { segment: found.number });
    }
    const bytes = await this.#load(found);
    if (!isZero(bytes, 0, bytes.length)) {
      const bad = badFrom(bytes, 0, { seed: this.#manifest.seed, expected: this.#expected, inPlace: false });
      if (bad.proof !== undefined) throw this.#damage(`${found.path} has no header but records behind it`, { segment: found.number, offset: 0 }, { firstSequence: bad.proof.sequence });
      this.#torn ??= { segment: found.number, offset: 0, bytes: bad.end, sequence: this.#expected };
      const file = await this.#files.open(found.path, "update");
      try {
        await zeroRange(file, 0, toSector(bad.end));
      } finally {
        await file.close();
      }
    }
    this.#ready.push({ number: found.number, bytes: found.bytes });
  }

  async #load(found: Found, into?: Buffer): Promise<Buffer> {
    if (into === undefined && this.#scratch.length < found.bytes) this.#scratch = Buffer.allocUnsafeSlow(found.bytes);
    const buffer = into ?? this.#scratch;
    const file = await this.#files.open(found.path, "read");
    try {
      const read = await file.read(buffer, found.bytes, 0);
      return buffer.subarray(0, read);
    } finally {
      await file.close();
    }
  }

  #damage(what: string, where: ErrorDetails, next?: { readonly firstSequence: number }): TidemarkError {
    const upTo = next === undefined ? undefined : Math.max(this.#expected, next.firstSequence - 1);
    const range = upTo === undefined ? `records from ${this.#expected} on` : `records ${this.#expected} to ${upTo}`;
    return new TidemarkError("TM-JOURNAL-DAMAGED", `${what}; ${range} cannot be read`, { details: { ...where, from: this.#expected, ...(upTo === undefined ? {} : { upTo }) } });
  }
}
