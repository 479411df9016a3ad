import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { BUILT_SYSTEM_IDENTIFIER, SMALL_SEGMENT_BYTES, WalBuilder } from "@tidemark/postgres/wal/testing/wal-builder";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WalFolder } from "../wal-folder.ts";
import type { ArchivedWal } from "./receiver-port.ts";
import type { RecallOrder } from "./recalled-wal.ts";
import { recallSegment, recallWal } from "./recalled-wal.ts";

const MIB = BigInt(SMALL_SEGMENT_BYTES);
const one = 1 as Timeline;
const wal = new WalBuilder();
for (let xid = 700; wal.position < wal.start + 3n * MIB; xid++)
  wal.commit({ xid, timeMs: 1_700_000_000_000 + xid, extra: (xid * 7919) % 9_000 });
const ALL = Buffer.from(wal.bytes(true));
const bytesOf = (index: number, length = SMALL_SEGMENT_BYTES): Buffer =>
  Buffer.from(ALL.subarray(index * SMALL_SEGMENT_BYTES, index * SMALL_SEGMENT_BYTES + length));
const at = (offset: bigint): Lsn => (wal.start + offset) as Lsn;
const endBefore = (lsn: bigint): Lsn => wal.records.findLast(({ end }) => end <= lsn)?.end as Lsn;

let folder: WalFolder;
beforeEach(() => {
  folder = new WalFolder(mkdtempSync(join(tmpdir(), "tidemark-recall-")), SMALL_SEGMENT_BYTES);
  mkdirSync(folder.wal);
});
afterEach(() => rmSync(folder.directory, { recursive: true, force: true }));

const order = (from: Lsn, bytes: Uint8Array, more: Partial<RecallOrder> = {}): RecallOrder => ({
  folder,
  systemIdentifier: String(BUILT_SYSTEM_IDENTIFIER) as SystemIdentifier,
  from: { timeline: one, lsn: from },
  bytes,
  ...more,
});
const partial = (lsn: Lsn): string => folder.segment({ timeline: one, lsn }, false);
const sealed = (lsn: Lsn): string => folder.segment({ timeline: one, lsn }, true);

describe("WAL that comes from the archive", () => {
  it("is sealed when it is a whole segment, and has one name", async () => {
    expect(await recallSegment(order(at(0n), bytesOf(0)))).toEqual({ kind: "recalled", to: { timeline: one, lsn: at(MIB) } });
    expect(readdirSync(folder.wal)).toEqual([sealed(at(0n)).split("/").at(-1)]);
    expect(readFileSync(sealed(at(0n))).equals(bytesOf(0))).toBe(true);
  });

  it("ends behind its last whole record when it is a part of a segment, with zeros after it", async () => {
    const length = 300_001;
    const end = endBefore(wal.start + BigInt(length));
    expect(await recallSegment(order(at(0n), bytesOf(0, length)))).toEqual({ kind: "recalled", to: { timeline: one, lsn: end } });
    const here = readFileSync(partial(at(0n)));
    expect(here).toHaveLength(SMALL_SEGMENT_BYTES);
    expect(here.subarray(0, Number(end - wal.start)).equals(bytesOf(0, Number(end - wal.start)))).toBe(true);
    expect(here.subarray(Number(end - wal.start)).every((byte) => byte === 0)).toBe(true);
  });

  it("goes on from what is here and whole", async () => {
    const from = endBefore(wal.start + 200_000n);
    writeFileSync(partial(at(0n)), Buffer.concat([bytesOf(0, Number(from - wal.start)), Buffer.alloc(SMALL_SEGMENT_BYTES)]).subarray(0, SMALL_SEGMENT_BYTES)); // prettier-ignore
    expect(await recallSegment(order(from, bytesOf(0)))).toMatchObject({ kind: "recalled", to: { lsn: at(MIB) } });
    expect(existsSync(partial(at(0n)))).toBe(false);
    expect(readFileSync(sealed(at(0n))).equals(bytesOf(0))).toBe(true);
  });

  it("changes nothing when it reaches no further than what is here", async () => {
    const from = endBefore(wal.start + 200_000n);
    writeFileSync(partial(at(0n)), "as it is");
    expect(await recallSegment(order(from, bytesOf(0, 150_000)))).toEqual({ kind: "recalled", to: { timeline: one, lsn: from } });
    expect(readFileSync(partial(at(0n)), "utf8")).toBe("as it is");
  });

  const flipped = bytesOf(0);
  flipped[500_000]! ^= 0x10;
  it.each<[string, () => RecallOrder]>([
    ["has a flipped bit", () => order(at(0n), flipped)],
    ["is another segment", () => order(at(0n), bytesOf(1))],
    ["is of another cluster", () => order(at(0n), bytesOf(0), { systemIdentifier: "7" as SystemIdentifier })],
    ["is of a later timeline", () => order(at(0n), otherTimeline())],
    ["is larger than a segment", () => order(at(0n), Buffer.concat([bytesOf(0), bytesOf(1)]))],
    ["is zeros", () => order(at(0n), Buffer.alloc(SMALL_SEGMENT_BYTES))],
    ["has other bytes than what is here and whole", differing],
  ])("is refused when it %s, and no file changes", async (_what, make) => {
    const wanted = make();
    const before = readdirSync(folder.wal).map((name) => [name, readFileSync(join(folder.wal, name)).toString("base64")]);
    expect(await recallSegment(wanted)).toMatchObject({ kind: "refused" });
    expect(readdirSync(folder.wal).map((name) => [name, readFileSync(join(folder.wal, name)).toString("base64")])).toEqual(before);
  });

  function otherTimeline(): Buffer {
    const bytes = bytesOf(0);
    // xlp_tli of each page.
    for (let page = 0; page < bytes.length; page += 8_192) bytes.writeUInt32LE(9, page + 4);
    return bytes;
  }

  function differing(): RecallOrder {
    const from = endBefore(wal.start + 200_000n);
    const here = Buffer.concat([bytesOf(0, Number(from - wal.start)), Buffer.alloc(SMALL_SEGMENT_BYTES)]).subarray(0, SMALL_SEGMENT_BYTES);
    here[100_000]! ^= 1;
    writeFileSync(partial(at(0n)), here);
    return order(from, bytesOf(0));
  }

  it("is taken segment after segment until there is no more; what is not known is said with how far it came", async () => {
    const answers: ArchivedWal[] = [
      { kind: "bytes", bytes: bytesOf(0) },
      { kind: "bytes", bytes: bytesOf(1) },
      { kind: "unknown", why: "the store is away" },
    ];
    const { bytes: _bytes, ...run } = order(at(0n), Buffer.alloc(0));
    const asked: Lsn[] = [];
    const ask = ({ lsn }: { lsn: Lsn }): Promise<ArchivedWal> => {
      asked.push(lsn);
      return Promise.resolve(answers.shift() ?? { kind: "none" });
    };
    const more = { ask, signal: new AbortController().signal, logger: silentLogger };
    expect(await recallWal({ ...run, ...more })).toEqual({ to: { timeline: one, lsn: at(2n * MIB) }, why: "the store is away" });
    expect(asked).toEqual([at(0n), at(MIB), at(2n * MIB)]);
    expect(await recallWal({ ...run, from: { timeline: one, lsn: at(2n * MIB) }, ...more })).toEqual({
      to: { timeline: one, lsn: at(2n * MIB) },
    });
  });

  it("is not waited for once it was told to halt (R3)", async () => {
    const halt = new AbortController();
    const { bytes: _bytes, ...run } = order(at(0n), Buffer.alloc(0));
    const ask = (): Promise<ArchivedWal> => {
      halt.abort();
      return new Promise(() => undefined);
    };
    expect(await recallWal({ ...run, ask, signal: halt.signal, logger: silentLogger })).toMatchObject({ why: "it was told to halt" });
    expect(await recallWal({ ...run, ask, signal: halt.signal, logger: silentLogger })).toMatchObject({ why: "it was told to halt" });
  });
});
