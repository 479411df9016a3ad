import { join } from "node:path";
import { TidemarkError, type ErrorDetails } from "@tidemark/kernel/errors";
import {
  HEADER_BYTES,
  LEAST_SEGMENT_BYTES,
  decodeHeader,
  isZero,
  toSector,
  type HeaderReading,
  type SegmentHeader,
} from "../segment-format.ts";
import { badFrom, scanSegment, type SegmentScan } from "../segment-scan.ts";
import type { Files } from "./files.ts";
import type { Manifest } from "./manifest.ts";
import { segmentName, segmentNumbers } from "./segment-file.ts";

/**
 * Follows the segments of a folder in order and decides, by the four rules of docs/journal-format.md, what is whole, what
 * is torn and what is damaged. Writes nothing: recovery and `tidemark journal verify` share it.
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

export interface SegmentChain {
  readonly kept: KeptSegment[];
  /** Prepared segments that have not begun, in order. */
  readonly ready: { readonly number: number; readonly bytes: number }[];
  readonly nextSequence: number;
  /** Where the next group goes in the last kept segment. */
  readonly end: number;
  /** Where its last group begins. */
  readonly lastGroupOffset: number;
  readonly generation: number;
  /** Of the last generation; undefined in a new journal. */
  readonly partitions: number | undefined;
  readonly torn: readonly TornTail[];
  /** Records that were read and checked; those of older segments are not, unless all are. */
  readonly checkedRecords: number;
}

export interface ChainOptions {
  /** Of the newest segments so many bytes are checked record by record, of older ones the header only. */
  readonly checkedBytes: number;
  /** Told of damage (TM-JOURNAL-DAMAGED). When it returns, what lies behind the damage is looked at. */
  readonly onDamage: (damage: TidemarkError) => void;
}

interface Found {
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
  readonly reading: HeaderReading;
}

/** Rejects with TM-JOURNAL-FOREIGN or TM-JOURNAL-VERSION; damage goes to `onDamage`. */
export async function followSegments(files: Files, directory: string, manifest: Manifest, options: ChainOptions): Promise<SegmentChain> {
  const found = new Map<number, Found>();
  for (const number of segmentNumbers(await files.list(directory), directory)) {
    if (number < manifest.firstSegment || number > manifest.lastSegment) continue;
    const path = join(directory, segmentName(number));
    const { bytes, reading } = await readHeader(files, path);
    if (reading.kind === "unknown-version")
      throw new TidemarkError("TM-JOURNAL-VERSION", `${path} has format version ${reading.version}`, {
        details: { version: reading.version },
      });
    if (reading.kind === "header") checkIdentity(reading.header, { manifest, number, path });
    found.set(number, { number, path, bytes, reading });
  }
  return await new Chain(files, { manifest, found, options }).follow();
}

/** What stands in a segment's first sector, and the size of the file. */
export async function readHeader(files: Files, path: string): Promise<{ bytes: number; reading: HeaderReading }> {
  const file = await files.open(path, "read");
  try {
    const sector = Buffer.alloc(HEADER_BYTES);
    const read = await file.read(sector, HEADER_BYTES, 0);
    return { bytes: await file.size(), reading: decodeHeader(sector.subarray(0, read)) };
  } finally {
    await file.close();
  }
}

function checkIdentity(header: SegmentHeader, at: { manifest: Manifest; number: number; path: string }): void {
  if (header.journal !== at.manifest.journal) {
    throw new TidemarkError("TM-JOURNAL-FOREIGN", `${at.path} belongs to journal ${header.journal}, this one is ${at.manifest.journal}`, {
      details: { journal: header.journal },
    });
  }
  if (header.segment !== at.number)
    throw new TidemarkError("TM-JOURNAL-FOREIGN", `${at.path} is a copy of segment ${header.segment} under another number`, {
      details: { segment: header.segment },
    });
}

class Chain {
  readonly #files: Files;
  readonly #manifest: Manifest;
  readonly #found: ReadonlyMap<number, Found>;
  readonly #options: ChainOptions;
  readonly #kept: KeptSegment[] = [];
  readonly #ready: { number: number; bytes: number }[] = [];
  readonly #torn: TornTail[] = [];
  #scratch: Buffer = Buffer.alloc(0);
  #expected: number;
  #end = 0;
  #lastGroupOffset = 0;
  #generation = 1;
  #partitions: number | undefined;
  #checkedRecords = 0;

  constructor(files: Files, from: { manifest: Manifest; found: ReadonlyMap<number, Found>; options: ChainOptions }) {
    this.#files = files;
    this.#manifest = from.manifest;
    this.#found = from.found;
    this.#options = from.options;
    this.#expected = from.manifest.firstSequence;
  }

  async follow(): Promise<SegmentChain> {
    const { firstSegment, lastSegment } = this.#manifest;
    const checkedFrom = this.#checkedFrom();
    for (let number = firstSegment; number <= lastSegment; number++) {
      const found = this.#found.get(number);
      const next = this.#nextBegun(number);
      if (found === undefined) this.#damage(`segment ${number} is missing`, { segment: number }, next?.firstSequence);
      else if (found.reading.kind === "header")
        await this.#begun(found, { header: found.reading.header, next, whole: number >= checkedFrom || number === firstSegment });
      else await this.#notBegun(found, next);
    }
    return {
      kept: this.#kept,
      ready: this.#ready,
      nextSequence: this.#expected,
      end: this.#end,
      lastGroupOffset: this.#lastGroupOffset,
      generation: this.#generation,
      partitions: this.#partitions,
      torn: this.#torn,
      checkedRecords: this.#checkedRecords,
    };
  }

  #checkedFrom(): number {
    let bytes = 0;
    let number = this.#manifest.lastSegment;
    while (number > this.#manifest.firstSegment && bytes < this.#options.checkedBytes) bytes += this.#found.get(number--)?.bytes ?? 0;
    return number;
  }

  #nextBegun(after: number): SegmentHeader | undefined {
    for (let number = after + 1; number <= this.#manifest.lastSegment; number++) {
      const reading = this.#found.get(number)?.reading;
      if (reading?.kind === "header") return reading.header;
    }
    return undefined;
  }

  async #begun(found: Found, at: { header: SegmentHeader; next: SegmentHeader | undefined; whole: boolean }): Promise<void> {
    const { header, next } = at;
    if (header.firstSequence !== this.#expected) {
      this.#damage(
        `segment ${found.number} begins at ${header.firstSequence}, expected ${this.#expected}`,
        { segment: found.number, offset: 0 },
        header.firstSequence,
      );
    }
    this.#expected = header.firstSequence;
    this.#generation = header.generation;
    this.#partitions = header.partitions;
    const { number, bytes: size } = found;
    const { firstSequence, createdAtMs } = header;
    const kept: KeptSegment = {
      number,
      bytes: size,
      firstSequence,
      lastSequence: firstSequence - 1,
      createdAtMs,
      firstAcceptedAtMs: createdAtMs,
      newestAcceptedAtMs: createdAtMs,
    };
    this.#kept.push(kept);
    if (at.whole || next === undefined) await this.#scan(found, { header, next, kept });
    else {
      kept.newestAcceptedAtMs = next.createdAtMs;
      this.#expected = next.firstSequence;
    }
    kept.lastSequence = this.#expected - 1;
    if (header.segmentBytes !== size) {
      this.#damage(
        `${found.path} has ${size} bytes, its header says ${header.segmentBytes}`,
        { segment: number, offset: size },
        next?.firstSequence,
      );
    } else if (next !== undefined && next.segment === number + 1 && next.firstSequence !== this.#expected) {
      this.#damage(`${found.path} ends before segment ${next.segment} begins`, { segment: number, offset: this.#end }, next.firstSequence);
    }
  }

  async #scan(found: Found, at: { header: SegmentHeader; next: SegmentHeader | undefined; kept: KeptSegment }): Promise<void> {
    const bytes = await this.#load(found);
    let from: { at?: number } = {};
    for (;;) {
      const scan: SegmentScan = scanSegment(bytes, {
        seed: at.header.seed,
        expected: this.#expected,
        generation: this.#generation,
        partitions: this.#partitions ?? 1,
        ...from,
      });
      this.#expected = scan.expected;
      this.#end = scan.end;
      this.#lastGroupOffset = scan.lastGroupOffset;
      this.#generation = scan.generation;
      this.#partitions = scan.partitions;
      this.#checkedRecords += scan.records;
      if (from.at === undefined && scan.firstAcceptedAtMs !== undefined) at.kept.firstAcceptedAtMs = scan.firstAcceptedAtMs;
      at.kept.newestAcceptedAtMs = Math.max(
        from.at === undefined ? 0 : at.kept.newestAcceptedAtMs,
        scan.newestAcceptedAtMs ?? at.header.createdAtMs,
      );
      const { bad } = scan;
      if (bad === undefined) return;
      const where = { segment: found.number, offset: bad.offset };
      if (bad.proof === undefined && at.next === undefined && at.header.segmentBytes === found.bytes) {
        this.#torn.push({ ...where, bytes: bad.end - bad.offset, sequence: this.#expected });
        return;
      }
      this.#damage(`${found.path} has bad bytes at offset ${bad.offset}`, where, bad.resume?.sequence ?? at.next?.firstSequence);
      if (bad.resume === undefined) return;
      this.#expected = bad.resume.sequence;
      from = { at: bad.resume.offset };
    }
  }

  async #notBegun(found: Found, next: SegmentHeader | undefined): Promise<void> {
    const where = { segment: found.number, offset: 0 };
    if (next !== undefined) return this.#damage(`${found.path} has no header, and a later segment has begun`, where, next.firstSequence);
    const demanded =
      found.number === this.#manifest.lastSegment ? this.#manifest.lastSegmentBytes : Math.max(LEAST_SEGMENT_BYTES, toSector(found.bytes));
    if (found.bytes !== demanded) return this.#damage(`${found.path} was cut off: it has ${found.bytes} bytes, not ${demanded}`, where);
    const bytes = await this.#load(found);
    if (!isZero(bytes, 0, bytes.length)) {
      const bad = badFrom(bytes, 0, { seed: this.#manifest.seed, expected: this.#expected, inPlace: false });
      if (bad.proof !== undefined) return this.#damage(`${found.path} has no header but records behind it`, where, bad.resume?.sequence);
      this.#torn.push({ ...where, bytes: bad.end, sequence: this.#expected });
    }
    this.#ready.push({ number: found.number, bytes: found.bytes });
  }

  async #load(found: Found): Promise<Buffer> {
    if (this.#scratch.length < found.bytes) this.#scratch = Buffer.allocUnsafeSlow(found.bytes);
    const file = await this.#files.open(found.path, "read");
    try {
      return this.#scratch.subarray(0, await file.read(this.#scratch, found.bytes, 0));
    } finally {
      await file.close();
    }
  }

  /** Records from the one expected to the one before `next` cannot be read. */
  #damage(what: string, where: ErrorDetails, next?: number): void {
    const upTo = next === undefined ? undefined : next - 1;
    const range =
      upTo === undefined
        ? `records from ${this.#expected} on cannot be read`
        : upTo < this.#expected
          ? "no record is lost by it"
          : `records ${this.#expected} to ${upTo} cannot be read`;
    this.#options.onDamage(
      new TidemarkError("TM-JOURNAL-DAMAGED", `${what}; ${range}`, {
        details: { ...where, from: this.#expected, ...(upTo === undefined ? {} : { upTo }) },
      }),
    );
    if (next !== undefined) this.#expected = Math.max(this.#expected, next);
  }
}
