// What is known to be damaged stays known, whatever else happens at that moment: a vault must not vote over it (R4).
import { readFile, truncate, writeFile } from "node:fs/promises";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Archive } from "./archive.ts";
import { ArchiveBook } from "./archive-book.ts";
import { Catalogue } from "./catalogue.ts";
import { openCatalogueFile } from "./catalogue-file.ts";
import { LocalKeeper } from "./local-keeper.ts";
import { LocalWal } from "./local-wal.ts";
import { ArchiveBench, QUICK, SEGMENT_BYTES, SYSTEM, keySpace, lsn, segmentBytes, tli, until } from "./testing/archive-bench.ts";
import { FaultyStore, away, flipped } from "./testing/faulty-store.ts";

let bench: ArchiveBench;
let store: FaultyStore;
beforeEach(async () => {
  bench = await ArchiveBench.make();
  store = new FaultyStore();
});
afterEach(async () => {
  await bench.clear();
});

const keyOf = (segment: number): string => keySpace.segment({ timeline: tli(1), start: lsn(segment * SEGMENT_BYTES) });
const rangeOf = (segment: number): object => ({
  timeline: 1,
  start: BigInt(segment * SEGMENT_BYTES),
  end: BigInt((segment + 1) * SEGMENT_BYTES),
});

function refusePuts(): void {
  store.before = (call) => {
    if (call === "put") throw away();
  };
}

const digested = (archive: Archive, count: number): Promise<void> =>
  until(
    () => archive.status().local.digested === count,
    () => archive.status(),
  );

describe("a sealed segment that was cut short", () => {
  it("is damaged, is mended from the primary, and ends nothing else", async () => {
    refusePuts();
    await bench.seal(1, 0, 3);
    const archive = await bench.open({ main: store });
    await digested(archive, 3);
    await truncate(bench.sealedPath(1, 1), 5_000);
    await until(() => archive.damage().length > 0);
    expect(archive.damage()).toEqual([rangeOf(1)]);
    store.before = () => undefined;
    // The others are archived around it: the archive goes on.
    await until(
      () => store.objects.has(keyOf(2)),
      () => archive.status(),
    );
    expect(store.objects.has(keyOf(1))).toBe(false);
    await archive.stop();
    const next = await bench.open({ main: store }, { receiveAgain: () => Promise.resolve(segmentBytes(1, 1)) });
    await until(
      async () => (await readFile(bench.sealedPath(1, 1))).equals(segmentBytes(1, 1)) && next.damage().length === 0,
      () => next.status(),
    );
  });
});

describe("a segment that is damaged between two who read it for the first time", () => {
  it("keeps the digest that was recorded first, is damaged, and is not archived", async () => {
    refusePuts();
    // Both the keeper and the archiver look at its records first; they are held there, each having seen no digest.
    const held: (() => void)[] = [];
    const damageOf = (_bytes: Uint8Array, place: { start: bigint }): Promise<undefined> =>
      place.start !== BigInt(SEGMENT_BYTES) ? Promise.resolve(undefined) : new Promise((resolve) => held.push(() => resolve(undefined)));
    await bench.seal(1, 0, 1);
    const archive = await bench.open({ main: store }, { damageOf, limits: { localCheckEveryMs: 60_000 } });
    // While it archives, the archiver alone reads.
    await until(() => archive.status().stores[0]?.state === "held");
    await bench.seal(1, 1, 2);
    await until(
      () => held.length === 2,
      () => archive.status(),
    );
    held.shift()?.();
    await digested(archive, 2);
    await writeFile(bench.sealedPath(1, 1), flipped(segmentBytes(1, 1), 300));
    store.before = () => undefined;
    held.shift()?.();
    await until(
      () => archive.damage().length > 0,
      () => archive.status(),
    );
    expect(archive.damage()).toEqual([rangeOf(1)]);
    expect(archive.status().faults).toContainEqual(expect.objectContaining({ code: "TM-VAULT-DAMAGED", where: "local" }));
    await until(() => store.objects.has(keyOf(0)));
    expect(store.objects.has(keyOf(1))).toBe(false);
    // The digest of the right bytes: with them it is whole again.
    await writeFile(bench.sealedPath(1, 1), segmentBytes(1, 1));
    await archive.stop();
    const next = await bench.open({ main: store });
    await until(
      () => next.damage().length === 0 && store.objects.has(keyOf(1)),
      () => next.status(),
    );
  });
});

describe("known damage", () => {
  /** An archive that found segment 1 to be damaged, and was stopped. */
  async function found(): Promise<void> {
    refusePuts();
    await bench.seal(1, 0, 3);
    const archive = await bench.open({ main: store });
    await digested(archive, 3);
    await writeFile(bench.sealedPath(1, 1), flipped(segmentBytes(1, 1), 300));
    await until(() => archive.damage().length > 0);
    await archive.stop();
  }

  it("is known to the next process from its first moment on", async () => {
    await found();
    const next = await bench.open({ main: store }, { limits: { localCheckEveryMs: 60_000 } });
    expect(next.damage()).toEqual([rangeOf(1)]);
  });

  it("is carried into a catalogue that is made anew because the one that says so is damaged", async () => {
    await bench.seal(1, 0, 3);
    const { file } = openCatalogueFile(
      `${bench.folder.directory}/catalogue.sqlite`,
      { systemIdentifier: SYSTEM, segmentBytes: SEGMENT_BYTES },
      systemClock,
    );
    const book = new ArchiveBook({
      catalogue: new Catalogue(file),
      segmentBytes: SEGMENT_BYTES,
      stores: [],
      clock: systemClock,
      logger: silentLogger,
    });
    const keeper = new LocalKeeper({
      book,
      local: new LocalWal(bench.folder, bench.frontier),
      keepLocalBytes: 0,
      neededFrom: undefined,
      receiveAgain: undefined,
      damageOf: undefined,
      fetchWhole: () => Promise.resolve(undefined),
      isReading: () => false,
      onNew: () => undefined,
      knownDamage: [{ timeline: tli(1), start: lsn(SEGMENT_BYTES) }],
      world: { clock: systemClock, logger: silentLogger, limits: QUICK, step: () => undefined },
    });
    expect(keeper.damage).toEqual([rangeOf(1)]);
    await keeper.list();
    expect(keeper.damage).toEqual([rangeOf(1)]);
    expect(book.catalogue.faults(9)).toContainEqual(expect.objectContaining({ code: "TM-VAULT-DAMAGED", where: "local" }));
    file.close();
  });

  it("ends when the receiver has the segment anew", async () => {
    await found();
    const next = await bench.open({ main: store }, { limits: { localCheckEveryMs: 60_000 } });
    const anew = flipped(segmentBytes(1, 1), 77);
    await writeFile(bench.sealedPath(1, 1), anew);
    next.sealed({ timeline: tli(1), start: lsn(SEGMENT_BYTES) });
    await until(
      () => next.damage().length === 0,
      () => next.status(),
    );
    store.before = () => undefined;
    await until(
      () => store.objects.has(keyOf(1)),
      () => next.status(),
    );
  });
});

describe("a segment that nobody digested before the process ended", () => {
  it("is read as WAL before its digest is recorded", async () => {
    await bench.seal(1, 0, 2);
    await writeFile(bench.sealedPath(1, 1), flipped(segmentBytes(1, 1), 300));
    const damageOf = (bytes: Uint8Array): Promise<string | undefined> =>
      Promise.resolve([0, 1].some((index) => segmentBytes(1, index).equals(bytes)) ? undefined : "a checksum");
    const archive = await bench.open({ main: store }, { damageOf });
    await until(
      () => archive.damage().length > 0 && store.objects.has(keyOf(0)),
      () => archive.status(),
    );
    expect(archive.damage()).toEqual([rangeOf(1)]);
    expect(store.objects.has(keyOf(1))).toBe(false);
  });
});
