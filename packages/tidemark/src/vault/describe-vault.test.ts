import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DiskMeasure } from "./describe-vault.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-disk-"));
  await mkdir(join(folder, "wal"));
  await mkdir(join(folder, "diverged"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a vault's disk", () => {
  it("is measured with the evidence in it, by name and size, the oldest first and at most 32 of them", async () => {
    await writeFile(join(folder, "wal", "000000010000000000000001"), Buffer.alloc(300));
    for (let i = 40; i > 0; i--) {
      const place = join(folder, "diverged", `20260301T1159${String(i).padStart(2, "0")}.000Z-damaged`);
      await mkdir(place);
      await writeFile(join(place, "000000010000000000000001"), Buffer.alloc(100 + i));
      await writeFile(join(place, "evidence.json"), "{}");
    }
    const measure = new DiskMeasure(folder);
    expect(measure.last).toBeUndefined();
    await measure.measure();
    expect(measure.last?.disk).toMatchObject({ walBytes: 300, divergedBytes: 40 * 102 + (40 * 41) / 2 });
    expect(measure.last?.evidence?.count).toBe(40);
    expect(measure.last?.evidence?.folders).toHaveLength(32);
    expect(measure.last?.evidence?.folders[0]).toEqual({ name: "20260301T115901.000Z-damaged", bytes: 103 });
  });
});
