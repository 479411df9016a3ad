import { describe, expect, it } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { seededRandom } from "@tidemark/kernel/random";
import { WalFolder } from "../wal-folder.ts";
import type { SegmentWriterOptions } from "./segment-writer.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { findKnownWal, knownWal } from "./testing/known-wal.ts";
import { PowerCutWalFiles } from "./testing/power-cut-wal-files.ts";

const SEGMENT_BYTES = 4_096;
const folder = new WalFolder("/vault", SEGMENT_BYTES);
const [FIRST, SECOND] = ["000000010000000000000000", "000000010000000000000001"];

function open(files: PowerCutWalFiles, start: number, options?: Partial<SegmentWriterOptions>): SegmentWriter {
  const lsn = BigInt(start) as Lsn;
  return SegmentWriter.open({ folder, files, timeline: 1 as Timeline, start: lsn, contiguousFrom: 0n as Lsn, ...options });
}

function write(writer: SegmentWriter, length: number, bytes = knownWal(Number(writer.position), length)): number {
  return writer.write(bytes, 0, bytes.length);
}

function newFiles(): PowerCutWalFiles {
  return new PowerCutWalFiles(seededRandom(7));
}

describe("the segment writer", () => {
  it("says a position is flushed only after the flush of its bytes and of the folder that names their file (trap 1)", () => {
    const files = newFiles();
    const writer = open(files, 0);
    write(writer, 100);
    expect(writer.flushed).toBe(0n);
    writer.flush();
    expect(writer.flushed).toBe(100n);
    expect(files.calls.slice(-2)).toEqual(["sync", "sync-folder"]);
    write(writer, 100);
    writer.flush();
    expect(files.calls.at(-1)).toBe("sync");
  });

  it("flushes a full segment before it renames it, and tells it as sealed after the flush of the folder", () => {
    const files = newFiles();
    const writer = open(files, 0);
    const sealed: bigint[] = [];
    writer.listen({ sealed: ({ start }) => sealed.push(start), free: () => undefined, failed: () => undefined });
    write(writer, SEGMENT_BYTES);
    expect(files.calls.slice(-2)).toEqual(["sync", "rename"]);
    expect([sealed, writer.flushed]).toEqual([[], 0n]);
    writer.flush();
    expect(files.calls.at(-1)).toBe("sync-folder");
    expect([sealed, writer.flushed]).toEqual([[0n], BigInt(SEGMENT_BYTES)]);
  });

  it("tries nothing again on a descriptor whose flush failed, and refuses every call after it (trap 2)", () => {
    const files = newFiles();
    const writer = open(files, 0);
    write(writer, 100);
    files.plan({ call: 1, what: { code: "EIO" } });
    const stop = expect.objectContaining({ code: "TM-VAULT-FAIL-STOP" });
    expect(() => writer.flush()).toThrow(stop);
    const calls = files.calls.length;
    expect(() => writer.flush()).toThrow(stop);
    expect(() => write(writer, 1)).toThrow(stop);
    expect([files.calls.length, writer.flushed]).toEqual([calls, 0n]);
  });

  it("takes a flush that says the disk is full for a failed flush: its bytes may be lost (trap 2)", () => {
    const files = newFiles();
    const writer = open(files, 0);
    write(writer, 100);
    files.plan({ call: 1, what: { code: "ENOSPC" } });
    expect(() => writer.flush()).toThrow(expect.objectContaining({ code: "TM-VAULT-FAIL-STOP" }));
  });

  it("refuses other bytes where it has some already, and overwrites nothing (traps 3, 10)", async () => {
    const files = newFiles();
    const first = open(files, 0);
    write(first, 300);
    first.flush();
    await first.close();
    const writer = open(files, 100, { held: { timeline: 1 as Timeline, to: 300n as Lsn } });
    write(writer, 50);
    const wrong = knownWal(150, 200);
    wrong[100] = 0;
    expect(() => write(writer, 200, wrong)).toThrow(
      expect.objectContaining({ code: "TM-VAULT-OTHER-BYTES", details: { timeline: 1, lsn: "0/FA", to: "0/12C" } }),
    );
    expect(files.content(`${FIRST}.partial`)?.subarray(0, 300)).toEqual(knownWal(0, 300));
  });

  it("compares the beginning of a new timeline's first segment with the old timeline's file", async () => {
    const files = newFiles();
    const old = open(files, 0);
    write(old, 300);
    old.flush();
    await old.close();
    const held = { timeline: 1 as Timeline, to: 300n as Lsn };
    const writer = open(files, 0, { timeline: 2 as Timeline, held });
    expect(write(writer, 200)).toBe(200);
    const wrong = Buffer.alloc(100, 1);
    expect(() => write(writer, 100, wrong)).toThrow(expect.objectContaining({ code: "TM-VAULT-OTHER-BYTES" }));
    expect(() => open(files, 0, { timeline: 3 as Timeline, held: { timeline: 9 as Timeline, to: 300n as Lsn } })).toThrow(
      expect.objectContaining({ code: "TM-VAULT-POSITION" }),
    );
  });

  it("refuses a position that would leave a hole, and one within what is sealed", () => {
    const files = newFiles();
    const refused = expect.objectContaining({ code: "TM-VAULT-POSITION" });
    expect(() => open(files, 100)).toThrow(refused);
    const writer = open(files, 0);
    write(writer, SEGMENT_BYTES + 10);
    writer.flush();
    for (const start of [0, 100]) expect(() => open(files, start)).toThrow(refused);
    expect(Number(open(files, SEGMENT_BYTES + 5).position)).toBe(SEGMENT_BYTES + 5);
  });

  it("leaves no bytes of an earlier life after the position that it goes on from", async () => {
    const files = newFiles();
    const first = open(files, 0);
    write(first, 300);
    first.flush();
    await first.close();
    open(files, 120);
    const content = files.content(`${FIRST}.partial`);
    expect(content?.subarray(0, 120)).toEqual(knownWal(0, 120));
    expect(content?.subarray(120).every((byte) => byte === 0)).toBe(true);
  });

  it("makes durable what a killed process had written before it counts it as received", () => {
    for (let seed = 1; seed < 20; seed++) {
      const files = new PowerCutWalFiles(seededRandom(seed));
      write(open(files, 0), 300);
      files.killProcess();
      expect(open(files, 300).flushed).toBe(300n);
      files.powerOn();
      expect(files.content(`${FIRST}.partial`)?.subarray(0, 300)).toEqual(knownWal(0, 300));
    }
  });

  it("writes again what a failed flush left in memory only, though the system calls it clean (trap 2)", () => {
    for (let seed = 1; seed < 40; seed++) {
      for (const length of [3_000, SEGMENT_BYTES]) {
        const files = new PowerCutWalFiles(seededRandom(seed));
        const writer = open(files, 0);
        write(writer, 200);
        writer.flush();
        files.plan({ call: 1, only: "sync", what: { code: "EIO" } });
        expect(() => {
          write(writer, 100);
          write(writer, length - 300);
          writer.flush();
        }).toThrow();
        files.killProcess();
        const found = findKnownWal(files, { timeline: 1 as Timeline, from: 0, segmentBytes: SEGMENT_BYTES });
        expect(Number(open(files, found.end).flushed)).toBe(found.end);
        files.powerOn();
        expect(findKnownWal(files, { timeline: 1 as Timeline, from: 0, segmentBytes: SEGMENT_BYTES }).end).toBe(found.end);
      }
    }
  });

  it("leaves an earlier run's last partial file alone, also right before the segment where a new run begins", () => {
    const files = newFiles();
    const first = open(files, 0);
    write(first, 300);
    first.flush();
    open(files, SEGMENT_BYTES, { contiguousFrom: BigInt(SEGMENT_BYTES) as Lsn });
    expect(files.list()).toEqual([`${FIRST}.partial`]);
  });

  it("receives one segment while another is sealed beside it, not two", async () => {
    const files = newFiles();
    const writer = open(files, 0);
    let free = 0;
    const sealed: bigint[] = [];
    writer.listen({ sealed: ({ start }) => sealed.push(start), free: () => (free += 1), failed: () => undefined });
    writer.catchingUp = true;
    expect(write(writer, 2 * SEGMENT_BYTES)).toBe(2 * SEGMENT_BYTES);
    expect(write(writer, 10)).toBe(0);
    expect([writer.obstacle, writer.flush(), writer.flushed]).toEqual(["sealing", false, 0n]);
    await writer.settled();
    expect([free, sealed, writer.flushed]).toEqual([1, [0n], BigInt(SEGMENT_BYTES)]);
    expect(write(writer, 10)).toBe(10);
    await writer.settled();
    writer.flush();
    expect([sealed, files.list().sort()]).toEqual([
      [0n, BigInt(SEGMENT_BYTES)],
      [FIRST, SECOND, "000000010000000000000002.partial"],
    ]);
  });
});
