import { join } from "node:path";
import type { Sequence } from "@tidemark/kernel/brands";
import { describe, expect, it } from "vitest";
import type { Journal } from "../journal.ts";
import { DIRECTORY, SimulatedDisk, everything } from "../testing/simulated-disk.ts";
import { openJournalReader } from "./open-journal.ts";
import { dumpJournal } from "./dump-journal.ts";
import { segmentName } from "./segment-file.ts";
import { verifyJournal } from "./verify-journal.ts";

const path = (segment: number): string => join(DIRECTORY, segmentName(segment));

/** A journal of several segments, closed, with `RECORDS` records of 300 bytes. */
const RECORDS = 30;
async function filled(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  const journal = await disk.open();
  for (let i = 0; i < RECORDS; i += 3) await journal.append([disk.entry(300), disk.entry(300), disk.entry(300)]);
  await journal.close();
  return disk;
}

async function refusal(opening: Promise<Journal>): Promise<{ code: string; message: string; details: Record<string, unknown> }> {
  const outcome = await opening.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome === undefined) throw new Error("the journal was opened");
  return outcome as { code: string; message: string; details: Record<string, unknown> };
}

describe("a damaged journal", () => {
  it("is refused for a flip of any byte, or gives back every record (FAIL-STOP)", async () => {
    const disk = await filled();
    const verdicts = { damaged: 0, whole: 0 };
    for (const name of disk.files.paths()) {
      const bytes = await wholeFile(disk, name);
      for (let at = 0; at < bytes.length; at += 7) {
        disk.files.tamper(name, (content) => void (content[at] = (content[at] as number) ^ 0x10));
        const opened = await disk.open().catch((error: unknown) => error as { code: string });
        if ("code" in opened) {
          if (!["TM-JOURNAL-DAMAGED", "TM-JOURNAL-FOREIGN", "TM-JOURNAL-VERSION"].includes(opened.code)) throw opened;
          verdicts.damaged++;
        } else {
          expect(await everything(opened)).toHaveLength(RECORDS);
          verdicts.whole++;
        }
        disk.files.killProcess();
        disk.files.tamper(name, () => bytes);
      }
    }
    expect(verdicts.damaged).toBeGreaterThan(1_000);
    expect(verdicts.whole).toBeGreaterThan(50); // The zeros behind the last mark.
  }, 60_000);

  it("names the range of sequences, loses nothing behind it, and changes no byte", async () => {
    const disk = await filled();
    const before = await wholeFile(disk, path(1));
    disk.files.tamper(path(1), (bytes) => void bytes.fill(0x77, 600, 700));
    const error = await refusal(disk.open());
    expect(error).toMatchObject({ code: "TM-JOURNAL-DAMAGED", details: { segment: 1, offset: 512, from: 1 } });
    const changed = await wholeFile(disk, path(1));
    expect(changed.subarray(700).equals(before.subarray(700))).toBe(true);
    const report = await verifyJournal({ directory: DIRECTORY, files: disk.files });
    expect(report).toMatchObject({
      whole: false,
      records: RECORDS - 1,
      newest: String(RECORDS),
      damage: [{ segment: 1, from: "1", upTo: "1" }],
    });
  });

  it("is refused when a segment in the middle is missing, with the range (NO-HOLE)", async () => {
    const disk = await filled();
    await disk.files.remove(path(2));
    const error = await refusal(disk.open());
    expect(error).toMatchObject({ code: "TM-JOURNAL-DAMAGED", details: { segment: 2, from: 7 } });
    expect(error.details["upTo"]).toBeGreaterThan(7);
  });

  it("is refused when the oldest, the newest or the prepared segment is missing", async () => {
    for (const segment of [1, 5, 6]) {
      const disk = await filled();
      expect(disk.files.paths()).toContain(path(segment));
      await disk.files.remove(path(segment));
      expect((await refusal(disk.open())).code).toBe("TM-JOURNAL-DAMAGED");
    }
  });

  it("is refused when all segments are missing but the identity is there", async () => {
    const disk = await filled();
    for (const name of disk.files.paths()) if (name.endsWith(".segment")) await disk.files.remove(name);
    expect(await refusal(disk.open())).toMatchObject({ code: "TM-JOURNAL-DAMAGED", details: { from: 1 } });
  });

  it("is refused when the identity is missing but segments are there", async () => {
    const disk = await filled();
    await disk.files.remove(join(DIRECTORY, "journal.json"));
    expect((await refusal(disk.open())).code).toBe("TM-JOURNAL-DAMAGED");
    await expect(verifyJournal({ directory: DIRECTORY, files: disk.files })).rejects.toMatchObject({ code: "TM-JOURNAL-DAMAGED" });
  });

  it("gets a new identity when the folder was emptied or replaced (R12)", async () => {
    const disk = await filled();
    const first = await disk.open();
    await first.close();
    for (const name of disk.files.paths()) await disk.files.remove(name);
    const second = await disk.open();
    expect(second.id).not.toBe(first.id);
    expect(second.extent()).toEqual({ oldest: 1n, durable: 0n });
  });

  it("is refused with a segment of another journal, a copy under another number, or one that it does not know", async () => {
    const disk = await filled();
    const other = await filled();
    const original = await wholeFile(disk, path(2));
    const foreign = await wholeFile(other, path(2));
    foreign[20] = (foreign[20] as number) ^ 1; // Two disks of one seed have one identity; this one is another's.
    const third = await wholeFile(disk, path(3));
    disk.files.tamper(path(2), () => third);
    expect(await refusal(disk.open())).toMatchObject({ code: "TM-JOURNAL-FOREIGN", details: { segment: 3 } });
    disk.files.tamper(path(2), () => original);
    for (const name of ["000000000099.segment", "copy.segment", "1.segment"]) {
      const file = await disk.files.open(join(DIRECTORY, name), "create");
      await file.write(original, original.length, 0);
      expect((await refusal(disk.open())).code).toBe("TM-JOURNAL-FOREIGN");
      await disk.files.remove(join(DIRECTORY, name));
    }
    await (await disk.open()).close();
  });

  it("is refused when a segment was cut off or the last one emptied", async () => {
    for (const [segment, length] of [
      [2, 2_048],
      [5, 1_024],
      [5, 512],
      [5, 100],
      [5, 0],
      [6, 0],
      [6, 512],
    ] as const) {
      const disk = await filled();
      disk.files.tamper(path(segment), (bytes) => bytes.subarray(0, length));
      expect((await refusal(disk.open())).code, `segment ${segment} cut to ${length}`).toBe("TM-JOURNAL-DAMAGED");
    }
  });

  it("is refused with a hint when its format is newer", async () => {
    const disk = await filled();
    disk.files.tamper(join(DIRECTORY, "journal.json"), (bytes) => Buffer.from(bytes.toString().replace('"format":1', '"format":2')));
    const error = await refusal(disk.open());
    expect(error).toMatchObject({ code: "TM-JOURNAL-VERSION", details: { format: 2 } });
    expect((error as unknown as { hint: string }).hint).toContain("newer");
  });

  it("is met by a reader that finds a whole record of another place, and never handed out as the one asked for", async () => {
    const disk = await filled();
    // The group of records 4 to 6 stands where that of 1 to 3 was: a misdirected write.
    disk.files.tamper(path(1), (bytes) => void bytes.copy(bytes, 512, 2_048, 3_584));
    const reader = await openJournalReader({ directory: DIRECTORY, files: disk.files });
    await expect(reader.read(1n as Sequence, 3n as Sequence, { records: 3, bytes: 10_000 })).rejects.toMatchObject({
      code: "TM-JOURNAL-DAMAGED",
      details: { from: 1 },
    });
    await reader.close();
  });

  it("is met by a reader with the range, after everything before it was handed out", async () => {
    const disk = await filled();
    disk.files.tamper(path(2), (bytes) => void bytes.fill(1, 1_000, 1_010));
    const seen: bigint[] = [];
    const dump = async (): Promise<void> => {
      for await (const record of dumpJournal({ directory: DIRECTORY, files: disk.files })) seen.push(record.sequence);
    };
    await expect(dump()).rejects.toMatchObject({ code: "TM-JOURNAL-DAMAGED", details: { segment: 2, from: 8, upTo: 8 } });
    expect(seen).toHaveLength(7);
    expect(seen).toEqual(seen.map((_, i) => BigInt(i + 1)));
  });
});

async function wholeFile(disk: SimulatedDisk, name: string): Promise<Buffer> {
  const file = await disk.files.open(name, "read");
  const bytes = Buffer.alloc(await file.size());
  await file.read(bytes, bytes.length, 0);
  return bytes;
}
