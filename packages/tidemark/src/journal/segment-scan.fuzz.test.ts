import { seededRandom } from "@tidemark/kernel/random";
import { describe, expect, it } from "vitest";
import { HEADER_BYTES, decodeHeader, toSector } from "./segment-format.ts";
import { badFrom, scanSegment, type SegmentScan } from "./segment-scan.ts";
import { TEST_SEED, segmentBytes } from "./testing/segment-bytes.ts";

const GROUPS = [["one", "two is a little longer"], ["three"], ["x".repeat(700), "five", "six"], ["seven"]];
const RECORDS = 7;
const START = { seed: TEST_SEED, expected: 1, generation: 1, partitions: 4 };
const scan = (bytes: Buffer): SegmentScan => scanSegment(bytes, START);

describe("a segment with wrong bytes", () => {
  it("is read to its end when nothing is wrong", () => {
    const { bytes, end } = segmentBytes(GROUPS, { mark: true });
    expect(scan(bytes)).toMatchObject({ records: RECORDS, expected: RECORDS + 1, end, firstAcceptedAtMs: 1_700_000_000_123 });
    expect(scan(bytes).bad).toBeUndefined();
  });

  it("shows every flip of every bit: as damage where something durable follows, never as fewer good records without a word", () => {
    const { bytes, end } = segmentBytes(GROUPS, { mark: true, bytes: 6_144 });
    const markAt = end - HEADER_BYTES;
    for (let at = HEADER_BYTES; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const broken = Buffer.from(bytes);
        broken[at] = (broken[at] as number) ^ (1 << bit);
        const { bad } = scan(broken);
        if (bad === undefined) throw new Error(`a flip of bit ${bit} at ${at} was not seen`);
        // All records lie before the mark: it proves that they were durable.
        if (at < markAt && bad.proof === undefined) throw new Error(`a flip of bit ${bit} at ${at} was taken for a torn tail`);
      }
    }
  }, 60_000);

  it("shows every flip in a header", () => {
    const { bytes } = segmentBytes(GROUPS);
    for (let at = 0; at < HEADER_BYTES; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const broken = Buffer.from(bytes);
        broken[at] = (broken[at] as number) ^ (1 << bit);
        expect(decodeHeader(broken).kind).toBe("bad");
      }
    }
  });

  it("never takes a torn group for damage: whatever sectors of it the power cut kept", () => {
    const random = seededRandom(7);
    const before = segmentBytes(GROUPS.slice(0, 2));
    for (let round = 0; round < 400; round++) {
      const last = Array.from({ length: 1 + Math.floor(random.fraction() * 6) }, () => "y".repeat(Math.floor(random.fraction() * 900)));
      const whole = segmentBytes([...GROUPS.slice(0, 2), last], { bytes: 16_384 }).bytes;
      const torn = Buffer.from(whole);
      for (let at = before.end; at < torn.length; at += 512) if (random.fraction() < 0.5) torn.fill(0, at, at + 512);
      const { bad, expected } = scan(torn);
      expect(bad?.proof).toBeUndefined();
      expect(expected).toBeGreaterThanOrEqual(4);
    }
  });

  it("never takes a torn beginning of a segment for damage, header or records lost", () => {
    const random = seededRandom(8);
    for (let round = 0; round < 400; round++) {
      const { bytes } = segmentBytes(
        [Array.from({ length: 1 + Math.floor(random.fraction() * 6) }, () => "y".repeat(Math.floor(random.fraction() * 900)))],
        { firstSequence: 40 },
      );
      bytes.fill(0, 0, HEADER_BYTES);
      for (let at = HEADER_BYTES; at < bytes.length; at += 512) if (random.fraction() < 0.5) bytes.fill(0, at, at + 512);
      expect(badFrom(bytes, 0, { seed: TEST_SEED, expected: 40, inPlace: false }).proof).toBeUndefined();
    }
  });

  it("takes a lost header for damage when a second group was begun", () => {
    const { bytes } = segmentBytes([["a"], ["b"]], { firstSequence: 40 });
    bytes.fill(0, 0, HEADER_BYTES);
    expect(badFrom(bytes, 0, { seed: TEST_SEED, expected: 40, inPlace: false }).proof).toMatchObject({ sequence: 41 });
  });

  it("names the range of what is lost, and reads on behind it", () => {
    const { bytes, offsets } = segmentBytes(GROUPS);
    bytes.fill(0xa5, offsets[2], toSector((offsets[2] ?? 0) + 1));
    const first = scan(bytes);
    expect(first).toMatchObject({ expected: 3, bad: { offset: offsets[2], proof: { sequence: 4, offset: offsets[3] } } });
    expect(scanSegment(bytes, { ...START, at: offsets[3] ?? 0, expected: 4 })).toMatchObject({ records: 4, expected: 8 });
  });

  it("does not take a whole record at a wrong place, as a misdirected write leaves it", () => {
    const { bytes, offsets } = segmentBytes([["a"], ["b"], ["c"], ["d"]]);
    bytes.copy(bytes, offsets[2], offsets[1], offsets[2]);
    expect(scan(bytes)).toMatchObject({ records: 2, expected: 3, bad: { offset: offsets[2], proof: { sequence: 4 } } });
  });

  it("never throws and never believes random bytes", () => {
    const random = seededRandom(9);
    for (let round = 0; round < 2_000; round++) {
      const bytes = Buffer.from(random.bytes(2_048));
      if (round % 2 === 0) bytes.writeUInt32LE(40 + Math.floor(random.fraction() * 1_500), HEADER_BYTES + 4);
      expect(scan(bytes).records).toBe(0);
      expect(decodeHeader(bytes).kind).toBe("bad");
    }
  });

  it("never throws on a segment cut at any byte, and loses no record before the cut", () => {
    const { bytes, offsets } = segmentBytes(GROUPS, { mark: true });
    for (let end = HEADER_BYTES; end < bytes.length; end++) {
      const whole = offsets.filter((_, i) => (offsets[i + 1] ?? bytes.length) <= end - 512).length;
      expect(scan(bytes.subarray(0, end)).records).toBeGreaterThanOrEqual(whole);
    }
  });
});
