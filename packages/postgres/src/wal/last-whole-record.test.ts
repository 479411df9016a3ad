import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Lsn } from "@tidemark/kernel/lsn";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { LastWholeRecord } from "./last-whole-record.ts";
import { findLastWholeRecord } from "./last-whole-record.ts";
import { SMALL_SEGMENT_BYTES, WalBuilder } from "./testing/wal-builder.ts";
import { recordEnd, WAL_PAGE_BYTES } from "./wal-page.ts";

const MIB = SMALL_SEGMENT_BYTES;
const folder = mkdtempSync(join(tmpdir(), "tidemark-last-record-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes the WAL as files of segments, and scans the last one. `received` cuts it off there, zeros follow. */
function scan(
  wal: WalBuilder,
  options: { received?: bigint; spoil?: (bytes: Buffer) => void; without?: readonly number[]; length?: number } = {},
): LastWholeRecord {
  const bytes = Buffer.from(wal.bytes(true));
  options.spoil?.(bytes);
  const received = options.received ?? wal.position;
  bytes.fill(0, Number(received - wal.start));
  const last = Math.max(0, Math.floor(Number(received - wal.start - 1n) / MIB));
  for (let index = 0; index <= last; index++) {
    const length = index === last ? (options.length ?? MIB) : MIB;
    writeFileSync(join(folder, String(index)), bytes.subarray(index * MIB, index * MIB + length));
  }
  return findLastWholeRecord({
    segment: (wal.start + BigInt(last * MIB)) as Lsn,
    segmentBytes: MIB,
    path: (segment) => {
      const index = Number(segment - wal.start) / MIB;
      return index < 0 || options.without?.includes(index) === true ? undefined : join(folder, String(index));
    },
  });
}

function sample(count = 400): WalBuilder {
  const wal = new WalBuilder();
  for (let index = 0; index < count; index++) wal.add({ xid: index, body: new Uint8Array(20 + (index % 90)).fill(1 + (index % 200)) });
  return wal;
}

/** The end of a record, not rounded up. */
function dataEnd(wal: WalBuilder, index: number): bigint {
  const { lsn, totalLength } = wal.records.at(index)!;
  return lsn - (lsn % BigInt(MIB)) + BigInt(recordEnd(Number(lsn) % MIB, totalLength, MIB));
}

describe("the end of the last whole record", () => {
  it("is where zeros follow, when everything that was received is whole", () => {
    const wal = sample();
    const found = scan(wal);
    expect(found).toEqual({ end: wal.position, lsn: wal.records.at(-1)!.lsn, records: 400, wholeChain: true, tail: { follows: "zeros" } });
  });

  it("is before a record that was received in part, and the tail says where it would end", () => {
    const wal = sample();
    const last = wal.records.at(-1)!;
    const found = scan(wal, { received: last.lsn + 30n });
    expect(found).toMatchObject({ end: last.lsn, tail: { follows: "torn-record", dataEnd: last.lsn + 30n, wouldEnd: dataEnd(wal, -1) } });
  });

  it("lies in an earlier segment when the record that goes over is not whole", () => {
    const wal = sample(100);
    const long = wal.add({ body: new Uint8Array(3 * MIB).fill(5) });
    for (const received of [BigInt(2 * MIB + 3), BigInt(2 * MIB + 50_000), BigInt(3 * MIB + 38), BigInt(4 * MIB + 5)]) {
      const found = scan(wal, { received });
      expect(found).toMatchObject({ end: long.lsn, wholeChain: true, tail: { follows: "torn-record", dataEnd: received, wouldEnd: dataEnd(wal, -1) } }); // prettier-ignore
    }
    expect(scan(wal, { received: BigInt(2 * MIB) })).toMatchObject({ end: long.lsn, tail: { follows: "continues" } });
    expect(scan(wal)).toMatchObject({ end: wal.position, tail: { follows: "zeros" } });
  });

  it("says when the beginning of a record was not there to check it", () => {
    const wal = sample(100);
    wal.add({ body: new Uint8Array(MIB).fill(5) });
    wal.add();
    expect(scan(wal)).toMatchObject({ end: wal.position, wholeChain: true });
    expect(scan(wal, { without: [0] })).toMatchObject({ end: wal.position, wholeChain: false, records: 1 });
  });

  it("is the segment's end behind a switch, and data in what a switch left empty is damage", () => {
    const wal = sample(100);
    wal.switchSegment();
    expect(scan(wal)).toMatchObject({ end: wal.position, tail: { follows: "nothing" } });
    const found = scan(wal, { spoil: (bytes) => (bytes[900_000] = 1) });
    expect(found.tail).toMatchObject({ follows: "damage", to: BigInt(MIB + 900_001) });
  });

  it("is found in a file that is shorter than its segment", () => {
    const wal = sample();
    const length = Number(wal.position - wal.start);
    expect(scan(wal, { length })).toMatchObject({ end: wal.position, tail: { follows: "nothing" } });
    expect(scan(wal, { length: length - 20 })).toMatchObject({ end: wal.records.at(-1)!.lsn, tail: { follows: "torn-record" } });
  });

  it("is the beginning of a segment of which nothing was received", () => {
    const wal = sample();
    expect(scan(wal, { received: wal.start })).toMatchObject({ end: wal.start, lsn: undefined, tail: { follows: "zeros" } });
  });

  it("counts a segment that is lost between two as what it is: the records before it are not joined to those behind", () => {
    const wal = sample(100);
    wal.add({ body: new Uint8Array(2 * MIB).fill(5) });
    wal.add();
    expect(scan(wal, { without: [1] })).toMatchObject({ wholeChain: false });
  });
});

describe("what follows the last whole record", () => {
  it("is damage when readable WAL comes later, with the range", () => {
    const wal = sample();
    const broken = wal.records[150]!;
    const at = Number(broken.lsn - wal.start);
    const page = BigInt(Math.ceil(at / WAL_PAGE_BYTES) * WAL_PAGE_BYTES);
    const again = wal.records.find(({ lsn }) => lsn > wal.start + page)!;
    const spoils: [string, (bytes: Buffer) => void][] = [
      ["crc", (bytes) => (bytes[at + 40]! ^= 1)],
      ["length", (bytes) => bytes.writeUInt32LE(0xffff_ffff, at)],
      ["zero", (bytes) => bytes.fill(0, at, at + 24)],
      ["zero", (bytes) => bytes.fill(0, at, Number(page))],
      ["previous", (bytes) => (bytes[at + 8]! ^= 1)],
    ];
    for (const [reason, spoil] of spoils)
      expect(scan(wal, { spoil })).toMatchObject({ end: broken.lsn, tail: { follows: "damage", from: broken.lsn, to: again.lsn, reason } });
  });

  it("is damage when a page in the middle is lost, though the record before it ends with the page", () => {
    const wal = sample();
    const found = scan(wal, { spoil: (bytes) => bytes.fill(0, WAL_PAGE_BYTES, 2 * WAL_PAGE_BYTES) });
    expect(found.tail).toMatchObject({ follows: "damage", reason: "zero" });
  });

  it("is damage when the last record is there to its last byte and yet wrong", () => {
    const wal = sample();
    const last = wal.records.at(-1)!;
    const found = scan(wal, { spoil: (bytes) => (bytes[Number(last.lsn - wal.start) + 30]! ^= 1) });
    expect(found).toMatchObject({ end: last.lsn, tail: { follows: "damage", from: last.lsn, to: dataEnd(wal, -1), reason: "crc" } });
  });

  it("is damage when an earlier segment cannot be read to its end", () => {
    const wal = sample(100);
    const long = wal.add({ body: new Uint8Array(MIB).fill(5) });
    wal.add();
    const found = scan(wal, { spoil: (bytes) => (bytes[Number(long.lsn - wal.start) + 500] = 0) });
    expect(found).toMatchObject({ end: long.lsn, tail: { follows: "damage", from: long.lsn } });
  });

  it("is never damage when receiving was cut off, at any byte", () => {
    const wal = new WalBuilder();
    for (let index = 0; index < 60; index++)
      wal.add({ rmid: 10, body: new Uint8Array(1 + ((index * 97) % 700)).fill(index % 5 === 0 ? 0 : 9) });
    wal.add({ body: new Uint8Array(20_000).fill(3) });
    wal.abandon(9_000);
    wal.add();
    const length = Number(wal.position - wal.start);
    for (let received = 1; received <= length; received += received < 400 || received > length - 300 ? 1 : 53) {
      const at = (wal.start + BigInt(received)) as Lsn;
      const { end, tail } = scan(wal, { received: at });
      const whole = wal.records.findLastIndex((_, index) => dataEnd(wal, index) <= at);
      // A record that ends in zeros is whole before all of it came.
      expect(end >= (wal.records[whole]?.end ?? wal.start)).toBe(true);
      expect(end <= (wal.records[whole + 1]?.end ?? wal.position)).toBe(true);
      expect(tail.follows).toMatch(/^(zeros|torn-record)$/);
    }
  });

  it("is damage wherever a bit flips with a whole record behind it on a later page, and no record is ever lost silently", () => {
    const wal = sample(600);
    const whole = scan(wal);
    const lastPage = Number(wal.position - wal.start) - (Number(wal.position) % WAL_PAGE_BYTES);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: lastPage - 1 }), fc.integer({ min: 0, max: 7 }), (at, bit) => {
        const found = scan(wal, { spoil: (bytes) => (bytes[at]! ^= 1 << bit) });
        if (found.end === whole.end) return;
        expect(found.end < whole.end).toBe(true);
        expect(found.tail.follows).toBe("damage");
      }),
      { numRuns: 150 },
    );
  });
});
