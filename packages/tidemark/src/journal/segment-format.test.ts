import { describe, expect, it } from "vitest";
import {
  BAD_RECORD,
  CUT_RECORD,
  HEADER_BYTES,
  NO_RECORD,
  decodeHeader,
  decodeRecord,
  encodeHeader,
  isZero,
  measureRecord,
  toSector,
} from "./segment-format.ts";
import { crc32c } from "@tidemark/kernel/crc32c";
import { TEST_JOURNAL, TEST_SEED, segmentBytes, sizeOf } from "./testing/segment-bytes.ts";

describe("segment format", () => {
  it("puts the fields of a record where the specification says", () => {
    const { bytes } = segmentBytes([["before"], ["payload"]]);
    const at = 1_024;
    expect(bytes.readUInt32LE(at)).toBe(crc32c(bytes, at + 4, at + 48, TEST_SEED));
    expect(bytes.readUInt32LE(at + 4)).toBe(40 + 1 + 7);
    expect(bytes.readBigUInt64LE(at + 8)).toBe(2n);
    expect(bytes.readUInt32LE(at + 16)).toBe(0);
    expect([...bytes.subarray(at + 20, at + 24)]).toEqual([1, 0, 1, 0]);
    expect(bytes.readBigUInt64LE(at + 24)).toBe(1_700_000_000_123n);
    expect(bytes.readUInt32LE(at + 32)).toBe(1);
    expect(bytes.readUInt32LE(at + 36)).toBe(2);
    expect(bytes.subarray(at + 40, at + 48).toString()).toBe("kpayload");
  });

  it("puts the fields of a header where the specification says", () => {
    const { bytes } = segmentBytes([], { firstSequence: 2 ** 40 + 5 });
    expect(bytes.subarray(0, 8).toString()).toBe("TMJOURNL");
    expect([8, 12, 56, 60, 508].map((at) => bytes.readUInt32LE(at))).toEqual([1, TEST_SEED, 1, 4, crc32c(bytes, 0, 508)]);
    expect(bytes.subarray(16, 32).toString("hex")).toBe(TEST_JOURNAL.replaceAll("-", ""));
    expect([32, 40, 48, 64].map((at) => bytes.readBigUInt64LE(at))).toEqual([1n, 1_099_511_627_781n, 1_700_000_000_000n, 8_192n]);
    expect(isZero(bytes, 72, 508)).toBe(true);
  });

  it("keeps sequences beyond 32 bits", () => {
    const { bytes } = segmentBytes([["a"]], { firstSequence: 2 ** 52 });
    expect(decodeRecord(bytes, HEADER_BYTES).sequence).toBe(2n ** 52n);
  });

  it("tells the end of a group, a record that is cut, and a bad one apart", () => {
    const { bytes, offsets } = segmentBytes([["payload"]]);
    const at = offsets[0] ?? 0;
    expect(measureRecord(bytes, at, bytes.length, TEST_SEED)).toBe(sizeOf(7));
    expect(measureRecord(bytes, at + sizeOf(7), bytes.length, TEST_SEED)).toBe(NO_RECORD);
    for (let end = at; end < at + sizeOf(7); end++) expect(measureRecord(bytes, at, end, TEST_SEED)).toBe(CUT_RECORD);
    expect(measureRecord(bytes, at, bytes.length, TEST_SEED + 1)).toBe(BAD_RECORD);
  });

  it("refuses an unknown version only when the header is whole", () => {
    const header = {
      version: 2,
      seed: 1,
      journal: TEST_JOURNAL,
      segment: 1,
      firstSequence: 1,
      createdAtMs: 1,
      generation: 1,
      partitions: 1,
      segmentBytes: 8_192,
    };
    const bytes = Buffer.alloc(HEADER_BYTES);
    encodeHeader(header, bytes, 0);
    expect(decodeHeader(bytes)).toEqual({ kind: "unknown-version", version: 2 });
    bytes[100] = 1;
    expect(decodeHeader(bytes)).toEqual({ kind: "bad" });
    expect(decodeHeader(Buffer.alloc(HEADER_BYTES))).toEqual({ kind: "zero" });
    expect(decodeHeader(Buffer.alloc(10))).toEqual({ kind: "bad" });
  });

  it("rounds up to sectors", () => {
    expect([0, 1, 511, 512, 513].map(toSector)).toEqual([0, 512, 512, 512, 1_024]);
  });
});
