import { join } from "node:path";
import type { JournalId, Sequence } from "@tidemark/kernel/brands";
import { TidemarkError, hasCode } from "@tidemark/kernel/errors";
import type { JournalReader, JournalRecord } from "../journal.ts";
import {
  CUT_RECORD,
  HEADER_BYTES,
  MAX_RECORD_BYTES,
  NO_RECORD,
  decodeHeader,
  decodeRecord,
  isZero,
  measureRecord,
  recordFields,
  toSector,
  type SegmentHeader,
} from "../segment-format.ts";
import { badFrom } from "../segment-scan.ts";
import { systemCode, type Files, type JournalFile } from "./files.ts";
import { readManifest, type Manifest } from "./manifest.ts";
import { segmentName } from "./segment-file.ts";

/** Bytes read at a time: a page or two for a reader at the end of the journal, up to this for one that catches up. */
const MOST_CHUNK_BYTES = 4 * 1_048_576;
const LEAST_CHUNK_BYTES = 16_384;
/** Every so many bytes the reader remembers where a record begins, so that a jump back does not read the whole segment. */
const INDEX_EVERY_BYTES = 262_144;
/** Segments held open; the one used longest ago is closed. */
const OPEN_SEGMENTS = 4;

interface Place {
  readonly sequence: number;
  readonly segment: number;
  readonly offset: number;
}

interface OpenSegment {
  readonly number: number;
  readonly file: JournalFile;
  readonly header: SegmentHeader;
  /** Ascending. */
  readonly index: { sequence: number; offset: number }[];
}

/**
 * Reads records from the segment files, in the writing process or in another. Nothing is kept of bytes beyond what was
 * asked for: behind `upTo` a group may be half written. It remembers where it stopped, so reading on is one file read; a
 * segment that is trimmed while it is open is read to its end. Calls are taken one at a time.
 */
export class FilesReader implements JournalReader {
  readonly id: JournalId;
  readonly #files: Files;
  readonly #directory: string;
  readonly #seed: number;
  #manifest: Manifest;
  #open: OpenSegment[] = [];
  #place: Place | undefined;
  #recordBytes = 512;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(files: Files, directory: string, manifest: Manifest) {
    this.#files = files;
    this.#directory = directory;
    this.#manifest = manifest;
    this.id = manifest.journal;
    this.#seed = manifest.seed;
  }

  read(from: Sequence, upTo: Sequence, limits: { records: number; bytes: number }): Promise<JournalRecord[]> {
    const run = this.#turn.then(() => this.#read(Number(from), Number(upTo), limits));
    this.#turn = run.catch(() => undefined); // The caller has it; the next call stands for itself.
    return run;
  }

  async close(): Promise<void> {
    await this.#turn;
    for (const segment of this.#open.splice(0)) await segment.file.close();
  }

  async #read(from: number, upTo: number, limits: { records: number; bytes: number }): Promise<JournalRecord[]> {
    if (from > upTo) return [];
    const records: JournalRecord[] = [];
    const most = Math.max(1, Math.min(limits.records, upTo - from + 1));
    let place = this.#place?.sequence === from ? this.#place : await this.#locate(from);
    let room = limits.bytes;
    while (records.length < most && room > 0) {
      const taken = await this.#take(place, {
        upTo,
        records: most - records.length,
        bytes: room,
        first: records.length === 0,
        into: records,
      });
      place = taken.place;
      room = taken.room;
      this.#place = place;
      if (taken.problem === undefined) continue;
      if (records.length > 0) break; // What is whole is handed out; the next call meets the problem again.
      throw taken.problem;
    }
    return records;
  }

  /** Decodes what one file read gives. `room` is what is left of the bytes; 0 ends the call. */
  async #take(
    place: Place,
    want: { upTo: number; records: number; bytes: number; first: boolean; into: JournalRecord[] },
  ): Promise<{ place: Place; room: number; problem?: TidemarkError }> {
    const segment = await this.#segment(place.segment, place.sequence);
    const length = Math.min(this.#chunkBytes(want), segment.header.segmentBytes - place.offset);
    const bytes = Buffer.allocUnsafeSlow(length);
    const end = await segment.file.read(bytes, length, place.offset);
    let { sequence } = place;
    let at = 0;
    let { bytes: room } = want;
    let count = 0;
    const here = (): Place => ({ sequence, segment: place.segment, offset: place.offset + at });
    while (count < want.records && sequence <= want.upTo) {
      const size = measureRecord(bytes, at, end, this.#seed);
      if (size === NO_RECORD) {
        const sector = toSector(place.offset + at) - place.offset;
        // The chunk ends within the zeros behind a group: the next one begins here and holds them whole.
        if (sector > end && at > 0 && place.offset + end < segment.header.segmentBytes) break;
        if (sector > end || !isZero(bytes, at, sector)) return { place: here(), room, problem: await this.#damage(here(), want.upTo) };
        if (sector === at) return await this.#nextSegment(here(), room, want.upTo);
        at = sector;
        continue;
      }
      if (size === CUT_RECORD) {
        if (place.offset + end >= segment.header.segmentBytes && end - at < HEADER_BYTES)
          return await this.#nextSegment(here(), room, want.upTo);
        if (at > 0) break;
        if (length >= Math.min(MAX_RECORD_BYTES, segment.header.segmentBytes - place.offset))
          return { place: here(), room, problem: await this.#damage(here(), want.upTo) };
        this.#recordBytes = MAX_RECORD_BYTES; // The next chunk takes the largest record.
        break;
      }
      if (size < 0 || recordFields.sequence(bytes, at) !== sequence)
        return { place: here(), room, problem: await this.#damage(here(), want.upTo) };
      if (!recordFields.isMark(bytes, at)) {
        const record = decodeRecord(bytes, at);
        if (record.payload.length > room && !(want.first && count === 0)) return { place: here(), room: 0 };
        want.into.push(record);
        room = Math.max(0, room - record.payload.length);
        count++;
        sequence++;
        this.#recordBytes += (size - this.#recordBytes) / 64;
      }
      at += size;
      this.#remember(segment, sequence, place.offset + at);
    }
    return { place: here(), room };
  }

  #chunkBytes(want: { upTo: number; records: number; bytes: number }): number {
    const expected = Math.min(want.records * this.#recordBytes, want.bytes + RECORD_OVERHEAD_BYTES) * 1.2;
    return Math.min(
      MOST_CHUNK_BYTES,
      Math.max(LEAST_CHUNK_BYTES, toSector(expected), this.#recordBytes >= MAX_RECORD_BYTES ? toSector(MAX_RECORD_BYTES) : 0),
    );
  }

  #remember(segment: OpenSegment, sequence: number, offset: number): void {
    const last = segment.index.at(-1);
    if (last === undefined || offset >= last.offset + INDEX_EVERY_BYTES) segment.index.push({ sequence, offset });
  }

  /** The segment's records have ended before `upTo`: the next one must begin with the sequence that is expected. */
  async #nextSegment(place: Place, room: number, upTo: number): Promise<{ place: Place; room: number; problem?: TidemarkError }> {
    const number = place.segment + 1;
    try {
      const next = await this.#segment(number, place.sequence);
      if (next.header.firstSequence === place.sequence)
        return { place: { sequence: place.sequence, segment: number, offset: HEADER_BYTES }, room };
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      return { place, room, problem: error.code === "TM-JOURNAL-TRIMMED" ? error : await this.#damage(place, upTo) };
    }
    return { place, room, problem: await this.#damage(place, upTo) };
  }

  /** Where the record `from` stands. Begins again when segments before it are trimmed meanwhile. */
  async #locate(from: number): Promise<Place> {
    for (;;) {
      this.#manifest = (await readManifest(this.#files, this.#directory)) ?? this.#manifest;
      if (from < this.#manifest.firstSequence) throw this.#trimmed(from);
      try {
        return await this.#search(from);
      } catch (error) {
        if (!hasCode(error, "TM-JOURNAL-TRIMMED")) throw error;
      }
    }
  }

  async #search(from: number): Promise<Place> {
    let low = this.#manifest.firstSegment;
    let high = this.#manifest.lastSegment;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const first = await this.#firstSequenceOf(middle, from);
      if (first !== undefined && first <= from) low = middle;
      else high = middle - 1;
    }
    const segment = await this.#segment(low, from);
    const start = segment.index.findLast((entry) => entry.sequence <= from) ?? {
      sequence: segment.header.firstSequence,
      offset: HEADER_BYTES,
    };
    let place: Place = { sequence: start.sequence, segment: low, offset: start.offset };
    while (place.sequence < from) {
      const skipped: JournalRecord[] = [];
      const taken = await this.#take(place, {
        upTo: from - 1,
        records: from - place.sequence,
        bytes: MOST_CHUNK_BYTES,
        first: true,
        into: skipped,
      });
      if (taken.problem !== undefined) throw taken.problem;
      place = taken.place;
    }
    return place;
  }

  /** Undefined where the segment has not begun. */
  async #firstSequenceOf(number: number, needed: number): Promise<number | undefined> {
    try {
      return (await this.#segment(number, needed)).header.firstSequence;
    } catch (error) {
      if (hasCode(error, "TM-JOURNAL-DAMAGED")) return undefined;
      throw error;
    }
  }

  /** The open segment. Rejects with TM-JOURNAL-TRIMMED when it is gone for good, TM-JOURNAL-DAMAGED when it is missing or has no header. */
  async #segment(number: number, needed: number): Promise<OpenSegment> {
    const open = this.#open.find((segment) => segment.number === number);
    if (open !== undefined) return open;
    const path = join(this.#directory, segmentName(number));
    let file: JournalFile;
    try {
      file = await this.#files.open(path, "read");
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
      this.#manifest = (await readManifest(this.#files, this.#directory)) ?? this.#manifest;
      if (number < this.#manifest.firstSegment) throw this.#trimmed(needed);
      throw new TidemarkError("TM-JOURNAL-DAMAGED", `${path} is missing; records from ${needed} on cannot be read`, {
        cause: error,
        details: { segment: number, from: needed },
      });
    }
    const sector = Buffer.alloc(HEADER_BYTES);
    const reading = decodeHeader(sector.subarray(0, await file.read(sector, HEADER_BYTES, 0)));
    if (reading.kind !== "header" || reading.header.journal !== this.id || reading.header.segment !== number) {
      await file.close();
      if (reading.kind === "unknown-version")
        throw new TidemarkError("TM-JOURNAL-VERSION", `${path} has format version ${reading.version}`);
      throw new TidemarkError("TM-JOURNAL-DAMAGED", `${path} has no header of this journal; records from ${needed} on cannot be read`, {
        details: { segment: number, from: needed },
      });
    }
    const segment: OpenSegment = { number, file, header: reading.header, index: [] };
    this.#open.push(segment);
    if (this.#open.length > OPEN_SEGMENTS) await this.#open.shift()?.file.close();
    return segment;
  }

  async #damage(place: Place, upTo: number): Promise<TidemarkError> {
    const segment = await this.#segment(place.segment, place.sequence);
    const rest = Buffer.alloc(Math.max(0, segment.header.segmentBytes - place.offset));
    const read = await segment.file.read(rest, rest.length, place.offset);
    const { resume } = badFrom(rest.subarray(0, read), 0, { seed: this.#seed, expected: place.sequence, inPlace: true });
    const last = resume === undefined ? upTo : Math.min(upTo, Math.max(place.sequence, resume.sequence - 1));
    return new TidemarkError(
      "TM-JOURNAL-DAMAGED",
      `${segmentName(place.segment)} has bad bytes at offset ${place.offset}; records ${place.sequence} to ${last} cannot be read`,
      {
        details: { segment: place.segment, offset: place.offset, from: place.sequence, upTo: last },
      },
    );
  }

  #trimmed(from: number): TidemarkError {
    const oldest = this.#manifest.firstSequence;
    return new TidemarkError(
      "TM-JOURNAL-TRIMMED",
      `records ${from} to ${oldest - 1} are needed and were forgotten; the oldest kept is ${oldest}`,
      { details: { from, upTo: oldest - 1, oldest } },
    );
  }
}

const RECORD_OVERHEAD_BYTES = 4_096;
