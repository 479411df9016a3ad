import type { Lsn } from "@tidemark/kernel/lsn";
import fc from "fast-check";
import { expect, it } from "vitest";
import { SMALL_SEGMENT_BYTES, WalBuilder } from "./testing/wal-builder.ts";
import type { BuiltRecord } from "./testing/wal-builder.ts";
import { TransactionRecord } from "./transaction-record.ts";
import { WAL_PAGE_BYTES } from "./wal-page.ts";
import { WalReader } from "./wal-reader.ts";

const MIB = SMALL_SEGMENT_BYTES;

type Step = { kind: "record" | "commit"; length: number } | { kind: "switch" } | { kind: "abandon"; length: number };

const length = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 20_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 3 * MIB }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ kind: fc.constantFrom("record" as const, "commit" as const), length }) },
  { weight: 1, arbitrary: fc.constant({ kind: "switch" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abandon" as const), length: fc.integer({ min: 17_000, max: 100_000 }) }) },
);
const story = fc.array(step, { minLength: 1, maxLength: 60 });

function build(steps: readonly Step[], major: 15 | 18 = 18): WalBuilder {
  const wal = new WalBuilder({ major, start: 0xffff_f000_0000n });
  let xid = 700;
  for (const next of steps) {
    if (next.kind === "switch") wal.switchSegment();
    else if (next.kind === "abandon") wal.abandon(next.length);
    else if (next.kind === "commit") wal.commit({ xid: ++xid, timeMs: 1_700_000_000_000 + xid, extra: next.length });
    // Content that looks like records: what is read from the wrong place would be believed.
    else wal.add({ rmid: 10, xid: ++xid, body: new Uint8Array(next.length).fill(24) });
  }
  return wal;
}

function read(bytes: Uint8Array, start: bigint, options: { cuts?: readonly number[]; checkCrc?: boolean; atRecord?: boolean } = {}) {
  const records: BuiltRecord[] = [];
  const times: number[] = [];
  const transaction = new TransactionRecord();
  const reader = new WalReader(
    { segmentBytes: MIB, start: start as Lsn, atRecord: options.atRecord ?? false, checkCrc: options.checkCrc ?? true },
    (record) => {
      const { lsn, end, rmid, info, xid, totalLength } = record;
      records.push({ lsn, end, rmid, info, xid, totalLength });
      if (transaction.read(record)) times.push(transaction.timeMs);
    },
  );
  let at = 0;
  for (let index = 0; at < bytes.length && reader.stop === undefined; index++) {
    const size = options.cuts === undefined ? bytes.length : (options.cuts[index % options.cuts.length] as number);
    const piece = bytes.slice(at, at + size);
    reader.push(piece);
    // The reader keeps nothing of what it was given.
    piece.fill(0xee);
    at += size;
  }
  return { records, times, reader };
}

it("reads the same records, however the bytes are cut, with and without the CRC", () => {
  const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 400_000 })), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(story, cuts, fc.boolean(), fc.constantFrom(15, 18), (steps, sizes, checkCrc, major) => {
      const wal = build(steps, major);
      // Cuts of a few bytes through megabytes would take all the time there is.
      const usable = wal.bytes().length > 200_000 ? sizes.map((size) => size * 101) : sizes;
      const { records, times, reader } = read(wal.bytes(), wal.start, { cuts: usable, checkCrc });
      expect(records).toEqual(wal.records);
      expect(times.length).toBe(steps.filter(({ kind }) => kind === "commit").length);
      expect(reader.stop).toBeUndefined();
      expect(reader.boundary).toBe(wal.position);
      expect(reader.position).toBe(wal.position);
    }),
    { numRuns: 150 },
  );
});

it("shows every record that begins on a page behind the one it begins with, from any page on", () => {
  fc.assert(
    fc.property(story, fc.nat(), (steps, pick) => {
      const wal = build(steps);
      const bytes = wal.bytes();
      const pages = Math.floor(bytes.length / WAL_PAGE_BYTES);
      const start = pages === 0 ? 0 : (pick % pages) * WAL_PAGE_BYTES;
      const { records, reader } = read(bytes.subarray(start), wal.start + BigInt(start));
      // A page that a switch left empty has no header: nothing can begin with it.
      if (reader.stop?.reason === "zero" && reader.stop.at === wal.start + BigInt(start)) return;
      expect(records).toEqual(wal.records.filter(({ lsn }) => lsn >= wal.start + BigInt(start)));
    }),
    { numRuns: 100 },
  );
});

it("never shows a record that was not written, whatever bits are flipped", () => {
  const record = (length: number): Step => ({ kind: "record", length });
  const flip = (bit: number): { at: number; bit: number } => ({ at: 0, bit });
  const flips = fc.array(fc.record({ at: fc.nat(), bit: fc.integer({ min: 0, max: 7 }) }), { minLength: 1, maxLength: 3 });
  const near = fc.integer({ min: 0, max: 60 });
  fc.assert(
    fc.property(story, flips, fc.boolean(), near, (steps, spots, atHeader, offset) => {
      const wal = build(steps);
      const bytes = Buffer.from(wal.bytes());
      for (const { at, bit } of spots) {
        // Headers of records and pages are few among the bytes and the most worth spoiling.
        const record = wal.records[at % wal.records.length] as BuiltRecord;
        const place = atHeader ? Number(record.lsn - wal.start) - 24 + offset : at;
        const index = ((place % bytes.length) + bytes.length) % bytes.length;
        bytes[index] = (bytes[index] as number) ^ (1 << bit);
      }
      const { records } = read(bytes, wal.start);
      // All of it or a beginning of it: never another record, never one left out between two.
      expect(records).toEqual(wal.records.slice(0, records.length));
    }),
    {
      numRuns: 400,
      examples: [
        // A length that reaches over the page where the next record was given up: this one passed for that one, and was left out.
        [[record(0), { kind: "abandon", length: 17_000 }], [flip(5), flip(0)], true, 25],
        [[record(0), record(0), { kind: "abandon", length: 17_000 }], [flip(5), flip(0)], true, 25],
      ],
    },
  );
});

it("takes any bytes at all: it stops or goes on, without an exception and without holding memory for what a header promises", () => {
  const before = process.memoryUsage().arrayBuffers;
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 30_000 }),
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom(0, 8, 24, 8192, 1_048_568),
      (noise, pages, atRecord, offset) => {
        const wal = new WalBuilder();
        wal.add({ rmid: 1, body: new Uint8Array(9_000) });
        const bytes = pages ? Buffer.concat([wal.bytes().subarray(0, 64), noise]) : noise;
        const { reader } = read(bytes, BigInt(MIB + (pages ? 0 : offset)), { atRecord: atRecord && !pages, checkCrc: false });
        const limit = BigInt(MIB + offset + bytes.length);
        expect(reader.position <= limit).toBe(true);
        expect(reader.stop === undefined || reader.stop.at <= limit).toBe(true);
      },
    ),
    { numRuns: 500 },
  );
  const longest = Buffer.alloc(8_192);
  const forged = new WalBuilder();
  forged.add({ rmid: 1, body: new Uint8Array(100) });
  forged.bytes().copy(longest);
  longest.writeUInt32LE(0x3fff_ffff, 40);
  read(longest, forged.start, { cuts: [16, 100] });
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200_000_000);
});

it("reads the content of a transaction's record only as far as it goes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.integer({ min: 0, max: 15 }), (body, kind) => {
      const wal = new WalBuilder();
      wal.add({ rmid: 1, info: kind << 4, body });
      const { records } = read(wal.bytes(), wal.start);
      expect(records).toEqual(wal.records);
    }),
    { numRuns: 500 },
  );
});
