import type { Lsn } from "@tidemark/kernel/lsn";
import { describe, expect, it } from "vitest";
import { SMALL_SEGMENT_BYTES, WalBuilder } from "./testing/wal-builder.ts";
import type { BuiltRecord } from "./testing/wal-builder.ts";
import { recordEnd, WAL_PAGE_BYTES } from "./wal-page.ts";
import type { WalReaderOptions } from "./wal-reader.ts";
import { COLLECTED_BYTES, WalReader } from "./wal-reader.ts";

const MIB = SMALL_SEGMENT_BYTES;

function read(bytes: Uint8Array, options: Partial<WalReaderOptions> & { chunk?: number } = {}) {
  const records: BuiltRecord[] = [];
  const reader = new WalReader(
    { segmentBytes: MIB, start: BigInt(MIB) as Lsn, atRecord: false, checkCrc: true, ...options },
    ({ lsn, end, rmid, info, xid, totalLength }) => records.push({ lsn, end, rmid, info, xid, totalLength }),
  );
  const chunk = options.chunk ?? bytes.length;
  for (let at = 0; at < bytes.length && reader.stop === undefined; at += chunk) reader.push(bytes, at, Math.min(bytes.length, at + chunk));
  return { records, reader };
}

/** Fills up to `left` bytes before the end of the page. */
function fillPage(wal: WalBuilder, left: number): void {
  wal.add();
  const free = WAL_PAGE_BYTES - (Number(wal.position) % WAL_PAGE_BYTES);
  wal.add({ body: new Uint8Array(free - left - 24) });
}

describe("the WAL reader", () => {
  it("reads a record that goes over pages and segments, whichever way the header is cut", () => {
    for (const left of [8, 16, 24, 32]) {
      const wal = new WalBuilder();
      fillPage(wal, left);
      wal.add({ xid: 77, body: new Uint8Array(3 * MIB).fill(7) });
      wal.add({ xid: 78 });
      const { records, reader } = read(wal.bytes());
      expect(records).toEqual(wal.records);
      expect(reader.boundary).toBe(wal.position);
      expect(reader.stop).toBeUndefined();
    }
  });

  it("begins behind the header when the page before is full", () => {
    const wal = new WalBuilder();
    fillPage(wal, 0);
    const next = wal.add();
    const { records } = read(wal.bytes());
    expect(Number(next.lsn) % WAL_PAGE_BYTES).toBe(24);
    expect(records).toEqual(wal.records);
    expect(records.at(-2)?.end).toBe(next.lsn - 24n);
  });

  it("goes on in the next segment behind a switch, wherever the switch stands", () => {
    for (const left of [undefined, 8, 16, 24, 32]) {
      const wal = new WalBuilder();
      if (left !== undefined) {
        // At the end of the segment: the record ends with it, or goes over into the next one, which then is left empty.
        while (Number(wal.position) % MIB < MIB - WAL_PAGE_BYTES) fillPage(wal, 0);
        fillPage(wal, left);
      }
      wal.switchSegment();
      wal.add({ xid: 9 });
      const { records, reader } = read(wal.bytes(true));
      expect(records).toEqual(wal.records);
      expect(reader.stop).toMatchObject({ reason: "zero", lsn: wal.position });
    }
  });

  it("leaves out a record whose end was lost in a crash, and reads those that were written over it", () => {
    const wal = new WalBuilder();
    wal.add();
    const lost = wal.abandon(20_000);
    wal.add({ xid: 3 });
    const { records, reader } = read(wal.bytes());
    expect(records).toEqual(wal.records);
    expect(records.map(({ lsn }) => lsn)).not.toContain(lost);
    expect(reader.stop).toBeUndefined();
  });

  it("stops where what was given up is not the record that the server says, however the bytes are cut", () => {
    const wal = new WalBuilder();
    // The first that is read: nothing says yet which record the next one follows.
    const lost = wal.add({ body: new Uint8Array(40) });
    wal.abandon(20_000);
    wal.add({ body: new Uint8Array(60) });
    const overwrite = wal.records[1] as BuiltRecord;
    const bytes = Buffer.from(wal.bytes());
    // It now seems to go over to the next page, as the one did that was given up behind it.
    bytes.writeUInt32LE(8_400, Number(lost.lsn) - MIB);
    for (const chunk of [bytes.length, 7]) {
      const { records, reader } = read(bytes, { chunk });
      expect(records).toEqual([]);
      expect(reader.stop).toEqual({ reason: "continuation", lsn: lost.lsn, at: overwrite.lsn });
      expect(reader.boundary).toBe(wal.start);
    }
  });

  it("finds the first record when it begins in the middle: of a record, of a page", () => {
    const wal = new WalBuilder();
    wal.add({ body: new Uint8Array(20_000) });
    const second = wal.add();
    for (let index = 0; index < 500; index++) wal.add({ body: new Uint8Array(50) });
    const from = (start: number) => read(wal.bytes().subarray(start), { start: BigInt(MIB + start) as Lsn }).records;
    expect(from(WAL_PAGE_BYTES)).toEqual(wal.records.slice(1));
    expect(from(2 * WAL_PAGE_BYTES)[0]).toEqual(second);
    const third = from(2 * WAL_PAGE_BYTES + 8);
    expect(third).toEqual(wal.records.filter(({ lsn }) => lsn >= BigInt(MIB + 3 * WAL_PAGE_BYTES)));
    expect(third.length).toBeGreaterThan(100);
  });

  it("goes on exactly at a record, and holds it to the one before", () => {
    const wal = new WalBuilder();
    wal.add();
    wal.add();
    const third = wal.add();
    const at = Number(third.lsn) - MIB;
    const options = { start: third.lsn, atRecord: true };
    expect(read(wal.bytes().subarray(at), { ...options, previous: wal.records[1]!.lsn }).records).toEqual([third]);
    expect(read(wal.bytes().subarray(at), options).records).toEqual([third]);
    expect(read(wal.bytes().subarray(at), { ...options, previous: wal.records[0]!.lsn }).reader.stop).toMatchObject({
      reason: "previous",
      lsn: third.lsn,
    });
  });

  it("says why it stops and where", () => {
    const wal = new WalBuilder();
    for (let index = 0; index < 400; index++) wal.add({ xid: index, body: new Uint8Array(100).fill(index) });
    const broken = wal.records[200] as BuiltRecord;
    const at = Number(broken.lsn) - MIB;
    const cases: [string, (bytes: Buffer) => void][] = [
      ["zero", (bytes) => bytes.writeUInt32LE(0, at)],
      ["length", (bytes) => bytes.writeUInt32LE(23, at)],
      ["length", (bytes) => bytes.writeUInt32LE(0xffff_ffff, at)],
      ["previous", (bytes) => bytes.writeUInt32LE(5, at + 8)],
      ["manager", (bytes) => bytes.writeUInt8(22, at + 17)],
      ["crc", (bytes) => bytes.writeUInt32LE(4711, at + 4)],
      ["crc", (bytes) => bytes.writeUInt8(1, at + 30)],
    ];
    for (const [reason, spoil] of cases) {
      const bytes = Buffer.from(wal.bytes());
      spoil(bytes);
      const { records, reader } = read(bytes);
      expect(reader.stop).toMatchObject({ reason, lsn: broken.lsn });
      expect(records).toEqual(wal.records.slice(0, 200));
      expect(reader.boundary).toBe(wal.records[199]!.end);
      expect(reader.push(bytes)).toBe(reader.stop);
    }
  });

  it("refuses a page of another place, another server, another size or a later timeline", () => {
    const wal = new WalBuilder({ timeline: 3 });
    for (let index = 0; index < 400; index++) wal.add({ body: new Uint8Array(100) });
    const page = WAL_PAGE_BYTES;
    const spoilt = (at: number, value: number): Buffer => {
      const bytes = Buffer.from(wal.bytes());
      bytes.writeUInt32LE(value, at);
      return bytes;
    };
    for (const bytes of [
      spoilt(page, 0xd118 | (0x10 << 16)),
      spoilt(page, 0xd117),
      spoilt(page, 0xd118 | (2 << 16)),
      spoilt(page + 4, 4),
      spoilt(page + 4, 2),
      spoilt(page + 8, MIB),
      spoilt(page + 12, 1),
    ])
      // prettier-ignore
      expect(read(bytes, { timeline: wal.timeline }).reader.stop).toMatchObject({ reason: "page", at: BigInt(MIB + page) });
    for (const bytes of [spoilt(24, 1), spoilt(32, 2 * MIB), spoilt(36, 4096), spoilt(0, 0xd118)])
      expect(read(bytes, { systemIdentifier: 7_123_456_789_012_345_678n }).reader.stop).toMatchObject({ reason: "page", at: BigInt(MIB) });
    expect(read(wal.bytes()).reader.systemIdentifier).toBe(7_123_456_789_012_345_678n);
  });

  it("stops where a page does not go on with the record", () => {
    const wal = new WalBuilder();
    const long = wal.add({ body: new Uint8Array(20_000) });
    for (const [at, value] of [
      [16, 5_000],
      [16, 15_000],
      [16, 0],
      [0, 0xd118],
    ] as const) {
      // prettier-ignore
      const bytes = Buffer.from(wal.bytes());
      bytes.writeUInt32LE(value, WAL_PAGE_BYTES + at);
      expect(read(bytes).reader.stop).toEqual({ reason: "continuation", lsn: long.lsn, at: BigInt(MIB + WAL_PAGE_BYTES) });
    }
    const other = new WalBuilder();
    fillPage(other, 0);
    other.add();
    const bytes = Buffer.from(other.bytes());
    bytes.writeUInt16LE(1, WAL_PAGE_BYTES + 2);
    expect(read(bytes).reader.stop).toMatchObject({ reason: "continuation" });
  });

  it("keeps no more of a record than its limit, and nothing of those that nobody asked for", () => {
    const wal = new WalBuilder();
    wal.add({ rmid: 1, body: new Uint8Array(2 * COLLECTED_BYTES) });
    wal.add({ rmid: 10, body: new Uint8Array(2 * COLLECTED_BYTES) });
    const kept: number[] = [];
    const reader = new WalReader({ segmentBytes: MIB, start: wal.start as Lsn, atRecord: false, checkCrc: true }, (record) =>
      kept.push(record.to - record.from),
    );
    reader.push(wal.bytes());
    expect(kept).toEqual([COLLECTED_BYTES, 0]);
  });

  it("computes where a record ends as the server lays it out", () => {
    const wal = new WalBuilder();
    for (const length of [0, 1, 7, 8_000, 8_100, 100_000, 3 * MIB]) wal.add({ body: new Uint8Array(length) });
    for (const { lsn, end, totalLength } of wal.records) {
      const offset = Number(lsn) % MIB;
      expect(Math.ceil(recordEnd(offset, totalLength, MIB) / 8) * 8).toBe(Number(end - lsn) + offset);
    }
  });

  it("takes no position that no record can have: that is a bug of the caller, not a fault of the WAL", () => {
    expect(() => read(new Uint8Array(8), { start: 4n as Lsn, atRecord: true })).toThrow("assertion failed");
    expect(() => read(new Uint8Array(8), { segmentBytes: 1000 })).toThrow("assertion failed");
  });
});
