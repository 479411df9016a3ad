import { mkdtemp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WalFolder } from "../wal-folder.ts";
import { cutWal, keepEvidence } from "./diverged-wal.ts";
import type { WalPoint } from "./stream-plan.ts";

const BYTES = 1_048_576;
const at = (timeline: number, segment: number, offset = 0): WalPoint => ({
  timeline: timeline as Timeline,
  lsn: (BigInt(segment * BYTES) + BigInt(offset)) as Lsn,
});

describe("cutting WAL", () => {
  let folder: WalFolder;
  const clock = new ManualClock();
  beforeEach(async () => {
    folder = new WalFolder(await mkdtemp(join(tmpdir(), "tidemark-cut-")), BYTES);
    await mkdir(folder.wal);
  });
  afterEach(async () => rm(folder.directory, { recursive: true, force: true }));

  const content = (timeline: number, segment: number): Buffer => Buffer.alloc(BYTES, timeline * 16 + segment);
  async function put(timeline: number, segment: number, sealed = true): Promise<void> {
    await writeFile(folder.segment(at(timeline, segment), sealed), content(timeline, segment));
  }
  /** What is served and what is evidence, as `timeline/segment` with `~` for partial files. */
  async function places(): Promise<{ served: string[]; evidence: string[] }> {
    const say = (name: string): string =>
      `${Number(name.slice(0, 8))}/${Number.parseInt(name.slice(16, 24), 16)}${name.endsWith(".partial") ? "~" : ""}`;
    const served = (await folder.segments()).map((one) => say(one.path.slice(folder.wal.length + 1)));
    const evidence: string[] = [];
    for (const name of await readdir(folder.diverged)) {
      for (const file of await readdir(join(folder.diverged, name))) if (file !== "evidence.json") evidence.push(say(file));
    }
    return { served, evidence: evidence.sort() };
  }

  it("keeps the prefix of the segment that the fork lies in, with zeros after it, and every byte past it as evidence (trap 11)", async () => {
    for (const segment of [1, 2, 3]) await put(1, segment);
    await put(1, 4, false);
    const evidence = await cutWal(
      folder,
      { at: at(1, 2, 1000), keepsPrefix: true, end: at(1, 4, 77), reason: "diverged", facts: { server: 2 } },
      clock,
    );
    expect(await places()).toEqual({ served: ["1/1", "1/2~"], evidence: ["1/2", "1/3", "1/4~"] });
    const half = await readFile(folder.segment(at(1, 2), false));
    expect(half.subarray(0, 1000).equals(content(1, 2).subarray(0, 1000))).toBe(true);
    expect(half.length).toBe(BYTES);
    expect(half.subarray(1000).every((byte) => byte === 0)).toBe(true);
    expect(JSON.parse(await readFile(join(folder.directory, evidence, "evidence.json"), "utf8"))).toMatchObject({
      formatVersion: 1,
      reason: "diverged",
      from: { timeline: 1, lsn: "0/2003E8" },
      to: { timeline: 1 },
      server: 2,
    });
  });

  it("takes later timelines of the left branch along, and leaves timelines after it and earlier runs alone", async () => {
    for (const segment of [1, 2, 3]) await put(1, segment);
    await put(2, 2);
    await put(2, 3, false);
    await put(3, 3, false);
    await put(2, 1); // An earlier run, before the cut.
    await cutWal(folder, { at: at(1, 2, 8), keepsPrefix: true, end: at(2, 3, 500), reason: "diverged", facts: {} }, clock);
    expect(await places()).toEqual({ served: ["1/1", "1/2~", "2/1", "3/3~"], evidence: ["1/2", "1/3", "2/2", "2/3~"] });
  });

  it("leaves no partial file when the fork is the beginning of a segment", async () => {
    for (const segment of [1, 2]) await put(1, segment);
    await cutWal(folder, { at: at(1, 2), keepsPrefix: true, end: at(1, 3), reason: "diverged", facts: {} }, clock);
    expect(await places()).toEqual({ served: ["1/1"], evidence: ["1/2"] });
  });

  it("takes the whole run when nothing of it stays", async () => {
    for (const segment of [1, 2]) await put(2, segment);
    await put(1, 1);
    await cutWal(folder, { at: at(2, 1), keepsPrefix: false, end: at(2, 3), reason: "diverged", facts: {} }, clock);
    expect(await places()).toEqual({ served: ["1/1"], evidence: ["2/1", "2/2"] });
  });

  it("ends the same when it was killed after any of its steps and is done again", async () => {
    // The states that a kill leaves, in the order of the steps: evidence copied; later files moved; prefix written beside the sealed file.
    const copied = async (): Promise<void> => {
      await mkdir(join(folder.diverged, "earlier-diverged"), { recursive: true });
      await writeFile(join(folder.diverged, "earlier-diverged", "000000010000000000000002"), content(1, 2));
    };
    const moved = async (): Promise<void> => {
      await copied();
      await rm(folder.segment(at(1, 3), true));
      await writeFile(join(folder.diverged, "earlier-diverged", "000000010000000000000003"), content(1, 3));
    };
    const prefixed = async (): Promise<void> => {
      await moved();
      await writeFile(folder.segment(at(1, 2), false), Buffer.concat([content(1, 2).subarray(0, 1000), Buffer.alloc(BYTES - 1000)]));
    };
    for (const killed of [copied, moved, prefixed]) {
      await rm(folder.wal, { recursive: true });
      await rm(folder.diverged, { recursive: true, force: true });
      await mkdir(folder.wal);
      for (const segment of [1, 2, 3]) await put(1, segment);
      await killed();
      await cutWal(folder, { at: at(1, 2, 1000), keepsPrefix: true, end: at(1, 4), reason: "diverged", facts: {} }, clock);
      const { served, evidence } = await places();
      expect(served).toEqual(["1/1", "1/2~"]);
      expect(evidence).toEqual(expect.arrayContaining(["1/2", "1/3"]));
      const half = await readFile(folder.segment(at(1, 2), false));
      expect(half.subarray(1000).every((byte) => byte === 0)).toBe(true);
      expect(half[999]).toBe(content(1, 2)[999]);
    }
  });

  it("keeps the same foreign file once, however often it is offered (trap 10)", async () => {
    const what = { reason: "history-conflict", name: "00000002.history", content: "1\t0/1000000\tother\n", facts: {} };
    const first = await keepEvidence(folder, what, clock);
    expect(await keepEvidence(folder, what, clock)).toBe(first);
    expect(await keepEvidence(folder, { ...what, content: "1\t0/2000000\tother\n" }, clock)).not.toBe(first);
    expect(await readdir(folder.diverged)).toHaveLength(2);
  });
});
