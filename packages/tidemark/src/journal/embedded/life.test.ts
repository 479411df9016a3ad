import type { Sequence } from "@tidemark/kernel/brands";
import { hasCode } from "@tidemark/kernel/errors";
import { describe, expect, it } from "vitest";
import type { Journal } from "../journal.ts";
import { DIRECTORY, SimulatedDisk, everything } from "../testing/simulated-disk.ts";
import { dumpJournal } from "./dump-journal.ts";
import { openJournalReader } from "./open-journal.ts";
import { trimmableSegments } from "./trim-policy.ts";
import { verifyJournal } from "./verify-journal.ts";

const HOUR_MS = 3_600_000;
const WIDE = { records: 1_000, bytes: 1_000_000 };

/** Appends until TM-JOURNAL-FULL; answers how many got in. */
async function fill(disk: SimulatedDisk, journal: Journal, payloadBytes = 900): Promise<number> {
  for (let count = 0; ; count++) {
    try {
      await journal.append([disk.entry(payloadBytes)]);
    } catch (error) {
      if (hasCode(error, "TM-JOURNAL-FULL")) return count;
      throw error;
    }
  }
}

/** Lets the background work of a journal on files in memory come to its end. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("the quota", () => {
  it("stops acceptance before anything is written, and never takes more than it says", async () => {
    const disk = new SimulatedDisk();
    const journal = await disk.open();
    const count = await fill(disk, journal);
    expect(count).toBeGreaterThan(16 * 2);
    const status = journal.status();
    expect(status).toMatchObject({ state: "full", durable: BigInt(count), reason: { code: "TM-JOURNAL-FULL" } });
    expect(status.bytes).toBeLessThanOrEqual(disk.config.quotaBytes);
    await journal.close();
    const again = await disk.open();
    expect(await everything(again)).toHaveLength(count);
  });

  it("forgets safe writes first, before the window has passed, and shows the shorter horizon (R18)", async () => {
    const disk = new SimulatedDisk();
    const journal = await disk.open();
    await disk.clock.advance(1_000);
    await fill(disk, journal);
    const before = journal.status();
    await disk.clock.advance(1_000);
    journal.markTrimSafe(20n as Sequence);
    expect(journal.extent().oldest).toBe(1n); // The window has not passed and nobody needs the room.
    await journal.append([disk.entry(900)]);
    await fill(disk, journal);
    const after = journal.status();
    expect(after.oldest).toBeGreaterThan(1n);
    expect(after.oldest).toBeLessThanOrEqual(21n); // What is not safe stays, whatever the quota (TRIM-SAFE).
    expect(after.oldestAcceptedAtMs).toBeGreaterThanOrEqual(before.oldestAcceptedAtMs ?? Infinity);
    expect(after.bytes).toBeLessThanOrEqual(disk.config.quotaBytes);
    await expect(journal.read(1n as Sequence, 5n as Sequence, WIDE)).rejects.toMatchObject({
      code: "TM-JOURNAL-TRIMMED",
      details: { from: 1 },
    });
  });

  it("stops acceptance instead, where the window must not be shortened", async () => {
    const disk = new SimulatedDisk({ healing: { windowMs: HOUR_MS, atQuota: "refuse" } });
    const journal = await disk.open();
    const count = await fill(disk, journal);
    journal.markTrimSafe(BigInt(count) as Sequence);
    expect(await fill(disk, journal)).toBe(0);
    expect(journal.extent().oldest).toBe(1n);
    await disk.clock.advance(HOUR_MS + 2_000);
    await settle();
    expect(journal.extent().oldest).toBeGreaterThan(1n);
    expect(journal.status().state).toBe("open");
    expect(await fill(disk, journal)).toBeGreaterThan(10);
  });

  it("counts an append of many records whole: all or nothing", async () => {
    const disk = new SimulatedDisk();
    const journal = await disk.open();
    const many = Array.from({ length: 200 }, () => disk.entry(900));
    await expect(journal.append(many)).rejects.toMatchObject({ code: "TM-JOURNAL-FULL" });
    expect(journal.extent().durable).toBe(0n);
    expect(await journal.append(many.slice(0, 40))).toHaveLength(40);
  });
});

describe("what is admitted", () => {
  it("always fits: appends of any sizes become durable and the files never outgrow the quota", async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const disk = new SimulatedDisk({ segmentBytes: 8_192, quotaBytes: 8_192 * 7 }, seed);
      const journal = await disk.open();
      const draw = (most: number): number => Math.floor(disk.random.fraction() * most);
      let refusals = 0;
      let sent = 0n;
      while (refusals < 3) {
        const waves = Array.from({ length: 1 + draw(4) }, async () => {
          const entries = Array.from({ length: 1 + draw(12) }, () => disk.entry(draw(draw(2) === 0 ? 100 : 5_000), "k".repeat(draw(30))));
          try {
            const appended = await journal.append(entries);
            sent += BigInt(appended.length);
          } catch (error) {
            if (!hasCode(error, "TM-JOURNAL-FULL")) throw error;
            refusals++;
          }
        });
        await Promise.all(waves);
        expect(journal.status().bytes).toBeLessThanOrEqual(disk.config.quotaBytes);
      }
      expect(journal.extent().durable).toBe(sent);
      expect(sent).toBeGreaterThan(5n);
      await journal.close();
      expect(await everything(await disk.open())).toHaveLength(Number(sent));
    }
  });
});

describe("the free space of the disk", () => {
  it("stops acceptance below the minimum and lets it go on when there is space again", async () => {
    const disk = new SimulatedDisk({ minimumFreeBytes: 1_000_000 });
    const journal = await disk.open();
    await journal.append([disk.entry(10)]);
    disk.files.free = 999_999;
    await disk.clock.advance(1_000);
    await settle();
    await expect(journal.append([disk.entry(10)])).rejects.toMatchObject({ code: "TM-JOURNAL-FULL" });
    expect(journal.status()).toMatchObject({ state: "full", durable: 1n });
    disk.files.free = 10_000_000;
    await disk.clock.advance(1_000);
    await settle();
    expect(await journal.append([disk.entry(10)])).toHaveLength(1);
    expect(journal.status().state).toBe("open");
  });
});

describe("the healing window", () => {
  it("keeps whole segments until all of them is safe and old enough", () => {
    const segments = [1, 2, 3, 4].map((n) => ({ lastSequence: n * 10, newestAcceptedAtMs: n * 1_000 }));
    const count = (trimSafe: number, nowMs: number, windowMs = 500): number => trimmableSegments(segments, { trimSafe, nowMs, windowMs });
    expect(count(9, 99_999)).toBe(0);
    expect(count(10, 99_999)).toBe(1);
    expect(count(99, 1_499)).toBe(0);
    expect(count(99, 1_500)).toBe(1);
    expect(count(99, 2_600)).toBe(2);
    expect(count(25, 99_999, 0)).toBe(2);
    expect(count(99, 99_999)).toBe(3); // The newest is being written.
  });

  it("keeps the rest readable by a reader that is behind while segments go", async () => {
    const disk = new SimulatedDisk({ healing: { windowMs: 1_000, atQuota: "shorten" } });
    const journal = await disk.open();
    for (let i = 0; i < 30; i++) await journal.append([disk.entry(500)]);
    const reader = await openJournalReader({ directory: DIRECTORY, files: disk.files });
    expect(await reader.read(1n as Sequence, 2n as Sequence, WIDE)).toHaveLength(2);
    journal.markTrimSafe(20n as Sequence);
    await disk.clock.advance(5_000);
    await settle();
    const { oldest } = journal.extent();
    expect(oldest).toBeGreaterThan(10n);
    expect(await reader.read(3n as Sequence, 4n as Sequence, WIDE)).toHaveLength(2); // Its segment is open, though gone.
    await expect(reader.read(8n as Sequence, 30n as Sequence, WIDE)).rejects.toMatchObject({
      code: "TM-JOURNAL-TRIMMED",
      details: { from: 8, upTo: Number(oldest) - 1 },
    });
    expect((await reader.read(oldest, 30n as Sequence, WIDE))[0]?.sequence).toBe(oldest);
    await reader.close();
    await journal.close();
    expect((await verifyJournal({ directory: DIRECTORY, files: disk.files })).whole).toBe(true);
  });
});

describe("another number of partitions", () => {
  it("begins a new generation with a barrier record, once (R12)", async () => {
    const disk = new SimulatedDisk();
    const first = await disk.open();
    await first.append([disk.entry(10)]);
    await first.close();
    const second = await disk.open({ partitions: 8 });
    expect(second.status()).toMatchObject({ generation: 2, partitions: 8, durable: 2n });
    await second.append([disk.entry(10)]);
    const records = await everything(second);
    expect(records.map(({ kind, generation }) => [kind, generation])).toEqual([
      ["write", 1],
      ["generation", 2],
      ["write", 2],
    ]);
    expect(JSON.parse(Buffer.from(records[1]?.payload ?? []).toString())).toEqual({ v: 1, partitions: 8, before: 4 });
    await second.close();
    const third = await disk.open({ partitions: 8 });
    expect(third.status()).toMatchObject({ generation: 2, durable: 3n });
    await third.close();
    expect((await disk.open({ partitions: 4 })).status().generation).toBe(3);
  });
});

describe("a mark", () => {
  it("is written when the journal is idle, so that a flip in the last group is damage and not a torn tail", async () => {
    const disk = new SimulatedDisk();
    const journal = await disk.open();
    await journal.append([disk.entry(50)]);
    const before = await verifyJournal({ directory: DIRECTORY, files: disk.files });
    expect(before).toMatchObject({ whole: true, open: true, records: 1 });
    await disk.clock.advance(200);
    await settle();
    disk.files.killProcess();
    disk.files.tamper(`${DIRECTORY}/000000000001.segment`, (bytes) => void (bytes[560] = (bytes[560] as number) ^ 1));
    await expect(disk.open()).rejects.toMatchObject({ code: "TM-JOURNAL-DAMAGED", details: { from: 1, upTo: 1 } });
  });

  it("is not written again and again while nothing happens", async () => {
    const disk = new SimulatedDisk();
    const journal = await disk.open();
    await journal.append([disk.entry(50)]);
    await disk.clock.advance(500);
    await settle();
    const { calls } = disk.files;
    await disk.clock.advance(60_000);
    await settle();
    expect(disk.files.calls).toBe(calls);
  });
});

describe("the limits", () => {
  it("are refused when they contradict each other", async () => {
    for (const changes of [{ segmentBytes: 2_048 }, { segmentBytes: 5_000 }, { quotaBytes: 4_096 }]) {
      await expect(new SimulatedDisk(changes).open()).rejects.toMatchObject({ code: "TM-JOURNAL-LIMITS" });
    }
  });

  it("refuse what does not fit into a segment, and a key that is too long", async () => {
    const disk = new SimulatedDisk();
    const journal = await disk.open();
    await expect(journal.append([disk.entry(3_100)])).rejects.toMatchObject({ code: "TM-JOURNAL-TOO-LARGE" });
    await expect(journal.append([disk.entry(1, "x".repeat(1_025))])).rejects.toMatchObject({ code: "TM-JOURNAL-TOO-LARGE" });
    expect(await journal.append([disk.entry(1, "ü".repeat(512)), disk.entry(3_000)])).toHaveLength(2);
    await journal.close();
    expect(await everything(await disk.open())).toHaveLength(2);
  });

  it("refuse more than what may wait for the disk, and take it when the disk has caught up", async () => {
    const disk = new SimulatedDisk({ segmentBytes: 4 * 1_048_576, quotaBytes: 128 * 1_048_576 });
    const journal = await disk.open();
    const megabyte = disk.entry(1_048_576);
    const waiting = Array.from({ length: 8 }, () => journal.append(Array.from({ length: 7 }, () => megabyte)));
    await expect(journal.append(Array.from({ length: 9 }, () => megabyte))).rejects.toMatchObject({ code: "TM-JOURNAL-BUSY" });
    await Promise.all(waiting);
    expect(await journal.append(Array.from({ length: 9 }, () => megabyte))).toHaveLength(9);
    await expect(journal.append(Array.from({ length: 64 }, () => megabyte))).rejects.toMatchObject({ code: "TM-JOURNAL-TOO-LARGE" });
  });
});

describe("another size of segments", () => {
  it("is used from the next segment on, at whatever call the power goes while it changes", async () => {
    for (let call = 1, came = true; came; call++) {
      const disk = new SimulatedDisk({}, call);
      const first = await disk.open();
      await first.append([disk.entry(100)]);
      await first.close();
      disk.files.plan({ call, kind: "power-cut" });
      const larger = { segmentBytes: 16_384, quotaBytes: 16_384 * 8 };
      await disk.open(larger).catch((error: unknown) => {
        if (!disk.files.isOff) throw error;
      });
      came = disk.files.isOff;
      disk.files.powerOn();
      const again = await disk.open(larger);
      expect(await again.append(Array.from({ length: 3 }, () => disk.entry(10_000)))).toHaveLength(3);
      await again.close();
      expect(await verifyJournal({ directory: DIRECTORY, files: disk.files })).toMatchObject({ whole: true, records: 4 });
    }
  });
});

describe("one writer", () => {
  it("locks the second out, while it can be verified and dumped", async () => {
    const disk = new SimulatedDisk();
    const journal = await disk.open();
    await journal.append([disk.entry(5, "a"), disk.entry(5, "b"), disk.entry(5, "c")]);
    await expect(disk.open()).rejects.toMatchObject({ code: "TM-JOURNAL-LOCKED" });
    expect(await verifyJournal({ directory: DIRECTORY, files: disk.files })).toMatchObject({
      whole: true,
      open: true,
      records: 3,
      oldest: "1",
      newest: "3",
    });
    const seen: string[] = [];
    for await (const record of dumpJournal({ directory: DIRECTORY, files: disk.files, from: 2n })) seen.push(record.key);
    expect(seen).toEqual(["b", "c"]);
    await journal.close();
    await (await disk.open()).close();
  });
});
