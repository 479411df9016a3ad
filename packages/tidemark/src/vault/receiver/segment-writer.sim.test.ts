// The segment writer on a disk whose power goes, whose process is killed, or that fails at the n-th call, for every n until
// the work is done. WAL is known by its position, so that whatever stands in the folder afterwards can be judged.
import { describe, expect, it } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import { hasCode } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { Random } from "@tidemark/kernel/random";
import { seededRandom } from "@tidemark/kernel/random";
import { WalFolder } from "../wal-folder.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { findKnownWal, knownWal } from "./testing/known-wal.ts";
import { PowerCutWalFiles, type PlannedFault } from "./testing/power-cut-wal-files.ts";

const SEGMENT_BYTES = 4_096;
const TIMELINE = 1 as Timeline;
const WORK_BYTES = 5 * SEGMENT_BYTES + 700;
const folder = new WalFolder("/vault", SEGMENT_BYTES);

/** What the world was told. */
interface Told {
  acknowledged: number;
  sealed: number[];
}

/** Writes from `start` to the end of the work. What was told of stands in `told` also when it throws. */
async function work(files: PowerCutWalFiles, random: Random, place: { start: number; told: Told }): Promise<void> {
  const { told } = place;
  const writer = SegmentWriter.open({
    folder,
    files,
    timeline: TIMELINE,
    start: BigInt(place.start) as Lsn,
    contiguousFrom: 0n as Lsn,
  });
  let failure: Error | undefined;
  const acknowledge = (): void => void (told.acknowledged = Math.max(told.acknowledged, Number(writer.flushed)));
  writer.listen({
    sealed: (segment) => {
      told.sealed.push(Number(segment.start));
      acknowledge();
    },
    free: () => undefined,
    failed: (error) => (failure = error),
  });
  while (Number(writer.position) < WORK_BYTES) {
    writer.catchingUp = random.fraction() < 0.6;
    const at = Number(writer.position);
    const bytes = knownWal(at, Math.min(WORK_BYTES - at, 1 + Math.floor(random.fraction() * 1_500)));
    writer.write(bytes, 0, bytes.length);
    if (random.fraction() < 0.5) await new Promise((resolve) => setImmediate(resolve));
    if (failure !== undefined) throw failure;
    if (random.fraction() < 0.5 && writer.flush()) acknowledge();
  }
  await writer.settled();
  if (failure !== undefined) throw failure;
  writer.flush();
  acknowledge();
  await writer.close();
}

/** One life that ends with `fault`, another one that finishes the work; the rules are checked after each. */
async function lives(seed: number, fault: PlannedFault, then: "power-cut" | "kill"): Promise<{ done: boolean; calls: string[] }> {
  const random = seededRandom(seed);
  const files = new PowerCutWalFiles(random);
  const told: Told = { acknowledged: 0, sealed: [] };
  files.plan(fault);
  let failed: unknown;
  await work(files, random, { start: 0, told }).catch((error: unknown) => (failed = error));
  const { calls } = files;
  if (then === "power-cut") files.powerOn();
  else files.killProcess();
  const found = findKnownWal(files, { timeline: TIMELINE, from: 0, segmentBytes: SEGMENT_BYTES });
  expect(found.faults).toEqual([]);
  expect(found.end).toBeGreaterThanOrEqual(told.acknowledged);
  for (const start of told.sealed) expect(found.sealedEnd).toBeGreaterThanOrEqual(start + SEGMENT_BYTES);
  if (failed === undefined) return { done: true, calls };
  // A restart finds the end of the last whole record, somewhere before the last right byte, and never within what is sealed.
  const start = Math.max(found.sealedEnd, told.acknowledged, found.end - Math.floor(random.fraction() * 300));
  await work(files, random, { start, told });
  files.powerOn();
  const after = findKnownWal(files, { timeline: TIMELINE, from: 0, segmentBytes: SEGMENT_BYTES });
  expect(after).toEqual({ end: WORK_BYTES, sealedEnd: 5 * SEGMENT_BYTES, faults: [] });
  const last = files.content(files.list().find((name) => name.endsWith(".partial")) ?? "");
  expect(last?.subarray(WORK_BYTES - 5 * SEGMENT_BYTES).every((byte) => byte === 0)).toBe(true);
  return { done: false, calls };
}

describe("the segment writer", () => {
  for (const then of ["power-cut", "kill"] as const) {
    it(`leaves no hole and loses nothing acknowledged, whichever call a ${then} hits (trap 1)`, async () => {
      for (let seed = 1; seed <= 8; seed++) {
        let call = 0;
        const hit = new Set<string>();
        for (let done = false; !done;) {
          call += 1;
          const life = await lives(seed * 1_000, { call, what: "power-cut" }, then);
          done = life.done;
          if (!done) hit.add(life.calls[call - 1] ?? "");
        }
        expect(call).toBeGreaterThan(30);
        expect([...hit].sort()).toEqual(["create", "rename", "sync", "sync-folder", "truncate", "write"]);
      }
    });
  }

  it("stops for good at the n-th failed call, and what it acknowledged survives the power cut after it (trap 2)", async () => {
    for (let seed = 1; seed <= 8; seed++) {
      for (let call = 1, done = false; !done; call++) {
        const random = seededRandom(seed);
        const files = new PowerCutWalFiles(random);
        const told: Told = { acknowledged: 0, sealed: [] };
        files.plan({ call, what: { code: "EIO" } });
        const failure = await work(files, random, { start: 0, told }).catch((error: unknown) => error);
        done = failure === undefined;
        if (!done && !hasCode(failure, "TM-VAULT-FAIL-STOP")) throw failure;
        const acknowledged = told.acknowledged;
        files.powerOn();
        const found = findKnownWal(files, { timeline: TIMELINE, from: 0, segmentBytes: SEGMENT_BYTES });
        expect(found.end).toBeGreaterThanOrEqual(acknowledged);
        expect(found.faults).toEqual([]);
      }
    }
  });

  it("takes less when the disk is full and goes on where it was when there is room (trap 13)", async () => {
    for (let call = 1; call < 60; call++) {
      const random = seededRandom(call);
      const files = new PowerCutWalFiles(random);
      const told: Told = { acknowledged: 0, sealed: [] };
      files.plan({ call, what: { code: "ENOSPC" } });
      const failure = await work(files, random, { start: 0, told }).catch((error: unknown) => error);
      // A flush that fails is no full disk, whatever it says.
      if (failure !== undefined) expect(files.calls[call - 1]).toMatch(/^(sync|rename)/);
      else expect(told.acknowledged).toBe(WORK_BYTES);
    }
  });
});
