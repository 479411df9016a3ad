import type { Partition, Sequence } from "@tidemark/kernel/brands";
import { afterEach, describe, expect, it } from "vitest";
import { MAX_PAYLOAD_BYTES, type Journal, type JournalEntry, type JournalReader, type JournalRecord } from "../journal.ts";
import { partitionOfKey } from "../partition-of-key.ts";

/** What the suite needs of an adapter. */
export interface JournalSubject {
  readonly journal: Journal;
  /** Closes it and opens the same journal again; absent where nothing outlives the process. */
  readonly reopen?: () => Promise<Journal>;
  /** A reader as another process would have it; absent where there is none. */
  readonly reader?: () => Promise<JournalReader>;
  /** Appends until acceptance stops with TM-JOURNAL-FULL; absent where that cannot be made in a test. */
  readonly fill?: () => Promise<void>;
  /** Makes the next write of the disk fail. */
  readonly breakDisk?: () => void;
  readonly remove: () => Promise<void>;
}

const encoder = new TextEncoder();
const WIDE = { records: 10_000, bytes: 64 * 1024 * 1024 };

/** An entry of kind `write` whose payload is `text`. */
export function entry(key: string, text: string, acceptedAtMs = 1_700_000_000_000): JournalEntry {
  return { kind: "write", key, acceptedAtMs, payload: encoder.encode(text) };
}

/** The contract of the journal's port: every adapter passes it. `open` makes a new, empty journal with 4 partitions. */
export function journalContract(name: string, open: () => Promise<JournalSubject>): void {
  describe(`journal contract: ${name}`, () => {
    const subjects: JournalSubject[] = [];
    const make = async (): Promise<JournalSubject> => {
      const subject = await open();
      subjects.push(subject);
      return subject;
    };
    afterEach(async () => {
      for (const subject of subjects.splice(0)) await subject.remove();
    });

    it("begins empty: durable is 0 and oldest 1", async () => {
      const { journal } = await make();
      expect(journal.extent()).toEqual({ oldest: 1n, durable: 0n });
      expect(await journal.read(1n as Sequence, 0n as Sequence, WIDE)).toEqual([]);
      expect(journal.status()).toMatchObject({ state: "open", generation: 1, partitions: 4, trimSafe: 0n });
      expect(journal.domains.length).toBeGreaterThan(0);
    });

    it("gives consecutive sequences in the order of the calls and resolves when they are durable", async () => {
      const { journal } = await make();
      const calls = Array.from({ length: 50 }, (_, call) =>
        journal.append(Array.from({ length: (call % 5) + 1 }, (__, i) => entry(`k${i}`, `${call}.${i}`))),
      );
      let expected = 1n;
      for (const call of calls) for (const appended of await call) expect(appended.sequence).toBe(expected++);
      expect(journal.extent().durable).toBe(expected - 1n);
      const records = await readAll(journal);
      expect(records.map((record) => Buffer.from(record.payload).toString())).toEqual(
        Array.from({ length: 50 }, (_, call) => Array.from({ length: (call % 5) + 1 }, (__, i) => `${call}.${i}`)).flat(),
      );
    });

    it("takes an append of nothing", async () => {
      const { journal } = await make();
      expect(await journal.append([])).toEqual([]);
      expect(journal.extent().durable).toBe(0n);
    });

    it("gives back what was handed in: kind, key, time, payload, partition of the key", async () => {
      const { journal } = await make();
      const entries: JournalEntry[] = [
        entry("", ""),
        entry("a", "x".repeat(1_000)),
        entry("ключ ✓ 𝄞", "payload ✓", 1_699_999_999_999),
        { ...entry("v", '{"v":1}'), kind: "verdict", partition: 3 as Partition },
        { ...entry("big", ""), payload: new Uint8Array(200_000).fill(7) },
      ];
      const appended = await journal.append(entries);
      const records = await readAll(journal);
      expect(records).toHaveLength(entries.length);
      for (const [i, record] of records.entries()) {
        const given = entries[i] as JournalEntry;
        expect(record).toMatchObject({ ...appended[i], kind: given.kind, key: given.key, acceptedAtMs: given.acceptedAtMs });
        expect(record.partition).toBe(given.partition ?? partitionOfKey(given.key, 4));
        expect(Buffer.compare(record.payload, given.payload)).toBe(0);
      }
    });

    it("reads from any place, within the limits, at least one record", async () => {
      const { journal } = await make();
      await journal.append(Array.from({ length: 100 }, (_, i) => entry(`k${i}`, `${i + 1}`.padStart(100))));
      const texts = async (from: number, upTo: number, limits: { records: number; bytes: number }): Promise<number[]> =>
        (await journal.read(BigInt(from) as Sequence, BigInt(upTo) as Sequence, limits)).map((record) => Number(record.sequence));
      expect(await texts(40, 42, WIDE)).toEqual([40, 41, 42]);
      expect(await texts(99, 1_000, WIDE)).toEqual([99, 100]);
      expect(await texts(7, 100, { records: 3, bytes: 1_000_000 })).toEqual([7, 8, 9]);
      expect(await texts(7, 100, { records: 50, bytes: 1 })).toEqual([7]);
      expect(await texts(101, 200, WIDE)).toEqual([]);
      expect(await texts(5, 4, WIDE)).toEqual([]);
      const some = await texts(1, 100, { records: 50, bytes: 1_000 });
      expect(some.length).toBeGreaterThan(1);
      expect(some.length).toBeLessThanOrEqual(10);
    });

    it("tells every advance of durable, before or when append resolves", async () => {
      const { journal } = await make();
      const seen: bigint[] = [];
      const unsubscribe = journal.onDurable((durable) => seen.push(durable));
      await journal.append([entry("a", "1"), entry("a", "2")]);
      expect(seen.at(-1)).toBe(2n);
      unsubscribe();
      await journal.append([entry("a", "3")]);
      expect(seen.at(-1)).toBe(2n);
    });

    it("refuses a payload beyond the limit with nothing written", async () => {
      const { journal } = await make();
      const large = { ...entry("a", ""), payload: new Uint8Array(MAX_PAYLOAD_BYTES + 1) };
      await expect(journal.append([entry("a", "1"), large])).rejects.toMatchObject({ code: "TM-JOURNAL-TOO-LARGE" });
      expect((await journal.append([entry("a", "2")]))[0]?.sequence).toBe(1n);
    });

    it("does not forget by markTrimSafe alone, bounds it by durable, and never takes it back", async () => {
      const { journal } = await make();
      await journal.append([entry("a", "1"), entry("a", "2")]);
      journal.markTrimSafe(99n as Sequence);
      expect(journal.status().trimSafe).toBe(2n);
      journal.markTrimSafe(1n as Sequence);
      expect(journal.status().trimSafe).toBe(2n);
      expect(await readAll(journal)).toHaveLength(2);
    });

    it("refuses appends after close", async () => {
      const { journal } = await make();
      await journal.append([entry("a", "1")]);
      await journal.close();
      await expect(journal.append([entry("a", "2")])).rejects.toMatchObject({ code: "TM-JOURNAL-STOPPED" });
    });

    it("makes what was appended before close durable", async () => {
      const { journal } = await make();
      const pending = journal.append([entry("a", "1")]);
      await journal.close();
      expect((await pending)[0]?.sequence).toBe(1n);
    });

    it("keeps everything over close and open, and goes on with the next sequence", async () => {
      const subject = await make();
      if (subject.reopen === undefined) return;
      await subject.journal.append([entry("a", "1"), entry("b", "2")]);
      const again = await subject.reopen();
      expect(again.id).toBe(subject.journal.id);
      expect(again.extent()).toEqual({ oldest: 1n, durable: 2n });
      expect((await again.append([entry("a", "3")]))[0]?.sequence).toBe(3n);
      expect(await readAll(again)).toHaveLength(3);
    });

    it("lets a reader of another process read the same up to what it is told", async () => {
      const subject = await make();
      if (subject.reader === undefined) return;
      await subject.journal.append([entry("a", "1"), entry("b", "2")]);
      const reader = await subject.reader();
      expect(reader.id).toBe(subject.journal.id);
      expect(await reader.read(1n as Sequence, 1n as Sequence, WIDE)).toHaveLength(1);
      await subject.journal.append([entry("c", "3")]);
      expect(await reader.read(2n as Sequence, 3n as Sequence, WIDE)).toEqual(
        await subject.journal.read(2n as Sequence, 3n as Sequence, WIDE),
      );
      await reader.close();
    });

    it("stops acceptance when full, with nothing written, and says so", async () => {
      const subject = await make();
      if (subject.fill === undefined) return;
      await subject.fill();
      const before = subject.journal.extent().durable;
      await expect(subject.journal.append([{ ...entry("a", ""), payload: new Uint8Array(MAX_PAYLOAD_BYTES) }])).rejects.toMatchObject({
        code: "TM-JOURNAL-FULL",
      });
      expect(subject.journal.extent().durable).toBe(before);
    });

    it("rejects with unknown when the disk fails, and takes nothing after it (FAIL-STOP)", async () => {
      const subject = await make();
      if (subject.breakDisk === undefined) return;
      await subject.journal.append([entry("a", "1")]);
      subject.breakDisk();
      const first = subject.journal.append([entry("a", "2")]);
      await expect(first).rejects.toMatchObject({ code: "TM-JOURNAL-UNKNOWN" });
      await expect(subject.journal.append([entry("a", "3")])).rejects.toMatchObject({ code: "TM-JOURNAL-STOPPED" });
      expect(subject.journal.extent().durable).toBe(1n);
      expect(subject.journal.status().state).toBe("stopped");
    });
  });
}

async function readAll(journal: JournalReader & { extent(): { oldest: Sequence; durable: Sequence } }): Promise<JournalRecord[]> {
  const { oldest, durable } = journal.extent();
  const records: JournalRecord[] = [];
  while (BigInt(records.length) < durable - oldest + 1n)
    records.push(...(await journal.read((oldest + BigInt(records.length)) as Sequence, durable, WIDE)));
  return records;
}
