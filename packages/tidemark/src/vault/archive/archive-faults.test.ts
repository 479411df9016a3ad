// Names that are taken, keys that do not fit, clocks that jump, gaps, and a real S3-speaking server.
import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { KeyRing } from "../sealing/key-ring.ts";
import { sealObject } from "../sealing/sealed-object.ts";
import { localRing, plainRing } from "../sealing/testing/local-keys.ts";
import { LateSealer } from "./late-sealer.ts";
import { DirectSealer } from "./object-sealer.ts";
import { ArchiveBench, SEGMENT_BYTES, SYSTEM, keySpace, lsn, segmentBytes, tli, until } from "./testing/archive-bench.ts";
import { FaultyStore, flipped } from "./testing/faulty-store.ts";

let bench: ArchiveBench;
beforeEach(async () => {
  bench = await ArchiveBench.make();
});
afterEach(async () => {
  await bench.clear();
});

const never = new AbortController().signal;
const place = (segment: number): { timeline: ReturnType<typeof tli>; start: ReturnType<typeof lsn> } => ({
  timeline: tli(1),
  start: lsn(segment * SEGMENT_BYTES),
});
const keyOf = (segment: number): string => keySpace.segment(place(segment));
const nameOf = (segment: number): string => keySpace.name(place(segment));

/** A segment as another vault would have stored it. */
async function foreign(segment: number, raw: Uint8Array, keys: KeyRing): Promise<Uint8Array> {
  const range = { start: lsn(segment * SEGMENT_BYTES), end: lsn((segment + 1) * SEGMENT_BYTES) };
  const facts = { kind: "wal", systemIdentifier: SYSTEM, timeline: tli(1), range } as const;
  return (await sealObject(raw, facts, { keys, zstdLevel: 1, random: systemRandom })).bytes;
}

describe("a segment's name that is taken in the store", () => {
  it("by other bytes is an error, and both are kept (trap 10)", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 1);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    const theirs = await foreign(1, segmentBytes(9, 1), localRing(1));
    store.objects.set(keyOf(1), theirs);
    await bench.seal(1, 1, 3);
    archive.changed();
    await until(
      () => archive.isArchived(nameOf(2)),
      () => archive.status(),
    );
    expect(Buffer.from(store.objects.get(keyOf(1)) ?? []).equals(Buffer.from(theirs))).toBe(true);
    const fault = { code: "TM-VAULT-OTHER-BYTES", subject: keyOf(1), range: { timeline: 1, start: "0/10000", end: "0/20000" } };
    await until(
      () => [...store.objects.keys()].some((key) => key.includes(".conflict-")) && archive.status().faults.length > 0,
      () => archive.status(),
    );
    expect(archive.status().faults).toContainEqual(expect.objectContaining(fault));
    expect(await archive.isArchived(nameOf(1))).toBe(false);
    // Somebody looked into it and took the wrong one away.
    store.objects.delete(keyOf(1));
    await until(
      () => archive.isArchived(nameOf(1)),
      () => archive.status(),
    );
    await until(
      () => archive.status().faults.length === 0,
      () => archive.status().faults,
    );
  });

  it("by other bytes that were taken for ours while ours was being sealed is an error all the same", async () => {
    const store = new FaultyStore();
    let sealing = (): void => undefined;
    const asked = new Promise<void>((resolve) => (sealing = resolve));
    let goOn = (): void => undefined;
    const gate = new Promise<undefined>((resolve) => (goOn = () => resolve(undefined)));
    const commitsOf = ({ start }: { start: bigint }): Promise<undefined> => {
      if (start !== BigInt(SEGMENT_BYTES)) return Promise.resolve(undefined);
      sealing();
      return gate;
    };
    await bench.seal(1, 0, 2);
    const archive = await bench.open({ main: store }, { commitsOf });
    await asked;
    const theirs = await foreign(1, segmentBytes(9, 1), localRing(1));
    store.objects.set(keyOf(1), theirs);
    const known = (): boolean => archive.status().stores[0]?.objects === 2 && archive.status().stores[0]?.unverified === 0;
    await until(known, () => archive.status());
    goOn();
    await until(
      () => [...store.objects.keys()].some((key) => key.includes(".conflict-")) && archive.status().stores[0]?.state === "current",
      () => archive.status(),
    );
    expect(archive.status().faults).toContainEqual(expect.objectContaining({ code: "TM-VAULT-OTHER-BYTES", subject: keyOf(1) }));
    expect(Buffer.from(store.objects.get(keyOf(1)) ?? []).equals(Buffer.from(theirs))).toBe(true);
  });

  it("by other bytes that were taken for ours before ours came is an error all the same", async () => {
    const store = new FaultyStore();
    const theirs = await foreign(0, segmentBytes(9, 0), localRing(1));
    store.objects.set(keyOf(0), theirs);
    const archive = await bench.open({ main: store }, { keepLocalBytes: 0 });
    await until(() => archive.status().stores[0]?.objects === 1);
    await bench.seal(1, 0, 2);
    archive.changed();
    await until(
      () => archive.status().faults.some(({ code }) => code === "TM-VAULT-OTHER-BYTES"),
      () => archive.status(),
    );
    expect((await readFile(bench.sealedPath(1, 0))).equals(segmentBytes(1, 0))).toBe(true);
    expect(Buffer.from(store.objects.get(keyOf(0)) ?? []).equals(Buffer.from(theirs))).toBe(true);
    await until(() => [...store.objects.keys()].some((key) => key.startsWith(`${keyOf(0)}.conflict-`)));
    expect(await archive.isArchived(nameOf(0))).toBe(false);
  });

  it("by the same WAL under another data key is taken as it is", async () => {
    const store = new FaultyStore();
    const theirs = await foreign(0, segmentBytes(1, 0), localRing(1));
    const archive = await bench.open({ main: store });
    await until(() => archive.status().stores[0]?.state === "current");
    store.objects.set(keyOf(0), theirs);
    await bench.seal(1, 0, 1);
    await archive.settled(never);
    expect(Buffer.from(store.objects.get(keyOf(0)) ?? []).equals(Buffer.from(theirs))).toBe(true);
    expect(archive.status().faults).toEqual([]);
  });

  it("by half an object is given it whole, and the half one is kept", async () => {
    const store = new FaultyStore();
    const archive = await bench.open({ main: store });
    await until(() => archive.status().stores[0]?.state === "current");
    store.objects.set(keyOf(0), (await foreign(0, segmentBytes(1, 0), localRing(1))).subarray(0, 9_000));
    await bench.seal(1, 0, 1);
    await archive.settled(never);
    const file = await archive.fetch(nameOf(0));
    expect(file.kind === "file" && Buffer.from(file.bytes).equals(segmentBytes(1, 0))).toBe(true);
    expect([...store.objects.keys()].filter((key) => key.includes(".damaged-"))).toHaveLength(1);
  });
});

describe("keys", () => {
  it("that are missing hold archiving up and are told; the segments stay", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 3);
    let keys: KeyRing | undefined;
    const sealer = new LateSealer(() => {
      if (keys === undefined) throw new TidemarkError("TM-SEAL-KEY-SOURCE", "the key is not there");
      return Promise.resolve(new DirectSealer({ keys, zstdLevel: 1, random: systemRandom }));
    });
    const archive = await bench.open({ main: store }, { sealer, keepLocalBytes: 0 });
    await until(() => archive.status().stores[0]?.lastError?.code === "TM-SEAL-KEY-SOURCE");
    expect(archive.status().local.segments).toBe(3);
    expect(archive.status().faults).toMatchObject([{ code: "TM-SEAL-KEY-SOURCE", where: "main", subject: "keys" }]);
    keys = localRing(1);
    await archive.settled(never);
    expect(archive.status().faults).toEqual([]);
  });

  it("that were rotated open old and new objects; without the former one it is told which cannot be opened", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 2);
    const first = await bench.open({ main: store });
    await first.settled(never);
    await first.stop();
    await bench.seal(1, 2, 3);
    const second = await bench.open({ main: store }, { keys: localRing(2, 1) });
    await second.settled(never);
    for (const segment of [0, 2]) expect(await second.fetch(nameOf(segment))).toMatchObject({ kind: "file" });
    await second.stop();
    const third = await bench.open({ main: store }, { keys: localRing(2) });
    await until(
      () => third.status().faults.length === 2,
      () => third.status().faults,
    );
    expect(third.status().faults).toMatchObject([{ code: "TM-SEAL-KEY-MISSING", where: "main" }, { code: "TM-SEAL-KEY-MISSING" }]);
    await expect(third.fetch(nameOf(0))).rejects.toMatchObject({ code: "TM-SEAL-KEY-MISSING" });
    expect(await third.fetch(nameOf(2))).toMatchObject({ kind: "file" });
    await third.stop();
    const fourth = await bench.open({ main: store }, { keys: localRing(2, 1) });
    await until(
      () => fourth.status().faults.length === 0,
      () => fourth.status().faults,
    );
    // Nothing was stored again or thrown away: the bytes may be right.
    expect([...store.objects.keys()].sort()).toEqual([keyOf(0), keyOf(1), keyOf(2)]);
  });

  it("that are lacking for a partial object are a fault until a longer one has replaced it", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 1);
    await bench.grow(1, SEGMENT_BYTES + 1_000);
    const wrong = await bench.open({ main: store }, { keys: localRing(2) });
    await wrong.settled(never);
    await wrong.stop();
    const without = await bench.open({ main: store }, { keys: localRing(1) });
    const partial = (): boolean =>
      without.status().faults.some(({ code, subject }) => code === "TM-SEAL-KEY-MISSING" && subject.includes(".partial-"));
    await until(partial, () => without.status());
    await bench.grow(1, SEGMENT_BYTES + 2_000);
    await until(
      () => !partial() && without.status().stores[0]?.recoveryPoint?.lsn === "0/107D0",
      () => without.status(),
    );
  });

  it("are not needed where nothing is encrypted, and what is planted there unencrypted is refused where something is", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 1);
    const plain = await bench.open({ main: store }, { keys: plainRing() });
    await plain.settled(never);
    expect(await plain.fetch(nameOf(0))).toMatchObject({ kind: "file" });
    await plain.stop();
    const strict = await bench.open({ main: store });
    await until(
      () => strict.status().faults.some(({ code }) => code === "TM-SEAL-UNENCRYPTED"),
      () => strict.status(),
    );
    await expect(strict.fetch(nameOf(0))).rejects.toMatchObject({ code: "TM-SEAL-UNENCRYPTED" });
  });
});

describe("a wall clock that jumps", () => {
  it("changes neither what is archived nor how old its lag is", async () => {
    let offset = 0;
    const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + offset };
    const store = new FaultyStore();
    await bench.seal(1, 0, 2);
    const archive = await bench.open({ main: store }, { clock });
    await archive.settled(never);
    for (const jump of [-86_400_000 * 365, 86_400_000 * 365, -1]) {
      offset += jump;
      const segment = archive.status().local.segments;
      store.before = (call) => {
        if (call === "put") throw new TidemarkError("TM-OBJECT-STORE-AWAY", "away");
      };
      await bench.seal(1, segment, segment + 1);
      archive.sealed(place(segment));
      await until(() => archive.status().stores[0]?.state === "held");
      const lag = archive.status().stores[0]?.lagSeconds ?? -1;
      expect(lag).toBeGreaterThanOrEqual(0);
      expect(lag).toBeLessThan(30);
      store.before = () => undefined;
      await archive.settled(never);
      // The turns of checks go on in their order: the object that was never checked since is found damaged.
      store.objects.set(keyOf(0), flipped(store.objects.get(keyOf(0)) ?? new Uint8Array(), -60));
      await until(async () => {
        const file = await archive.fetch(nameOf(0)).catch(() => undefined);
        return file?.kind === "file" && archive.status().faults.length === 0;
      });
    }
    expect(archive.status().holes).toEqual([]);
  });
});

describe("WAL that was never received", () => {
  it("is a recorded gap: a hole with its range, though the file's bytes are there as zeros", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 4);
    const archive = await bench.open({ main: store });
    archive.recordGap({ timeline: tli(1), start: lsn(SEGMENT_BYTES + 100), end: lsn(2 * SEGMENT_BYTES + 50), reason: "the slot lost it" });
    await archive.settled(never);
    const holes = archive.status().holes.map(({ where, start, end, recordedGap }) => `${where} ${start}-${end} ${recordedGap}`);
    expect(holes.sort()).toEqual(["local 0/10064-0/20032 true", "main 0/10064-0/20032 true"]);
    expect(await archive.fetch(nameOf(1))).toMatchObject({ kind: "hole" });
    expect(await archive.fetch(nameOf(3))).toMatchObject({ kind: "file" });
    expect(archive.status().stores[0]?.recoveryPoint).toMatchObject({ from: "0/20032", lsn: "0/40000" });
    expect(archive.status().gaps).toMatchObject([{ start: "0/10064", end: "0/20032", reason: "the slot lost it" }]);
  });
});
