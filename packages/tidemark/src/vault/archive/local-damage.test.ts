import { readdir, readFile, writeFile, rm } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ArchivedFile } from "./archive.ts";
import { ArchiveBench, SEGMENT_BYTES, keySpace, lsn, segmentBytes, tli, until } from "./testing/archive-bench.ts";
import { FaultyStore, away, flipped } from "./testing/faulty-store.ts";

let bench: ArchiveBench;
beforeEach(async () => {
  bench = await ArchiveBench.make();
});
afterEach(async () => {
  await bench.clear();
});

const never = new AbortController().signal;
const nameOf = (timeline: number, segment: number): string =>
  keySpace.name({ timeline: tli(timeline), start: lsn(segment * SEGMENT_BYTES) });
const keyOf = (timeline: number, segment: number): string =>
  keySpace.segment({ timeline: tli(timeline), start: lsn(segment * SEGMENT_BYTES) });

function bytesOf(file: ArchivedFile): Buffer {
  if (file.kind !== "file") throw new Error(`it is ${file.kind}`);
  return Buffer.from(file.bytes);
}

describe("a flipped bit", () => {
  it("in an archived object is a fault with its range; the damaged one is kept, a whole one stored", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 3);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    const codes = new Set<string>();
    store.before = (call) => {
      if (call === "put") for (const { code, range } of archive.status().faults) codes.add(`${code} ${range?.start}`);
    };
    const damaged = flipped(store.objects.get(keyOf(1, 1)) ?? new Uint8Array(), -100);
    store.objects.set(keyOf(1, 1), damaged);
    await until(() => codes.has("TM-VAULT-ARCHIVE-DAMAGED 0/10000"));
    await until(
      () => archive.status().faults.length === 0,
      () => archive.status().faults,
    );
    expect(bytesOf(await archive.fetch(nameOf(1, 1)))).toEqual(segmentBytes(1, 1));
    const kept = [...store.objects].filter(([key]) => key.includes(".damaged-"));
    expect(kept).toHaveLength(1);
    expect(Buffer.from(kept[0]?.[1] ?? []).equals(damaged)).toBe(true);
  });

  it("in a sealed segment here is a fault with its range, and the segment comes back from the archive", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 3);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    store.before = () => {
      throw away();
    };
    await writeFile(bench.sealedPath(1, 1), flipped(segmentBytes(1, 1), 5_000));
    await until(() => archive.status().faults.length > 0);
    expect(archive.status().faults[0]).toMatchObject({
      code: "TM-VAULT-DAMAGED",
      where: "local",
      subject: nameOf(1, 1),
      range: { start: "0/10000", end: "0/20000" },
    });
    expect(archive.status().holes.map(({ where, start }) => `${where} ${start}`)).toContain("local 0/10000");
    store.before = () => undefined;
    archive.changed();
    await archive.stop();
    // What could not be repaired is found again by the next process, which can; the damaged one stays as evidence.
    const next = await bench.open({ main: store });
    await until(
      async () => (await readFile(bench.sealedPath(1, 1))).equals(segmentBytes(1, 1)),
      () => next.status(),
    );
    await until(
      () => next.status().faults.length === 0,
      () => next.status(),
    );
  });

  it("that came before a segment was archived keeps it out of the archive, whoever reads it first", async () => {
    const store = new FaultyStore();
    store.before = (call) => {
      // It cannot even be listed: the archiver has sealed nothing yet.
      if (call === "list") throw away();
    };
    await bench.seal(1, 0, 2);
    // Nobody but the archiver reads it again.
    const archive = await bench.open({ main: store }, { limits: { localCheckEveryMs: 60_000 } });
    await until(
      () => archive.status().local.digested === 2,
      () => archive.status(),
    );
    await writeFile(bench.sealedPath(1, 0), flipped(segmentBytes(1, 0), 300));
    store.before = () => undefined;
    await until(
      () => archive.isArchived(nameOf(1, 1)),
      () => archive.status(),
    );
    expect(store.objects.has(keyOf(1, 0))).toBe(false);
    expect(archive.status().faults).toContainEqual(expect.objectContaining({ code: "TM-VAULT-DAMAGED", subject: nameOf(1, 0) }));
  });

  it("in a sealed segment that is not archived is reported, and the segment never archived", async () => {
    const store = new FaultyStore();
    store.before = (call) => {
      if (call === "put") throw away();
    };
    await bench.seal(1, 0, 3);
    const wanted: string[] = [];
    const archive = await bench.open(
      { main: store },
      {
        receiveAgain: (place) => {
          wanted.push(String(place.start));
          return Promise.resolve(undefined);
        },
      },
    );
    await until(
      () => archive.status().local.digested === 3,
      () => archive.status(),
    );
    await writeFile(bench.sealedPath(1, 1), flipped(segmentBytes(1, 1), 5_000));
    await until(() => archive.status().faults.some(({ code }) => code === "TM-VAULT-DAMAGED"));
    store.before = () => undefined;
    await until(
      () => archive.isArchived(nameOf(1, 2)),
      () => archive.status(),
    );
    expect(store.objects.has(keyOf(1, 1))).toBe(false);
    expect(wanted).toContain(String(SEGMENT_BYTES));
    expect(
      archive
        .status()
        .holes.map(({ where, start, end }) => `${where} ${start}-${end}`)
        .sort(),
    ).toEqual(["local 0/10000-0/20000", "main 0/10000-0/20000"]);
  });

  it("in a segment that is not archived is mended from the primary, only by the bytes that were sealed; the damaged ones are kept", async () => {
    const store = new FaultyStore();
    store.before = (call) => {
      if (call === "put") throw away();
    };
    await bench.seal(1, 0, 4);
    const receiveAgain = ({ start }: { start: bigint }): Promise<Uint8Array> =>
      Promise.resolve(start === BigInt(SEGMENT_BYTES) ? flipped(segmentBytes(1, 1), 9) : segmentBytes(1, 2));
    const archive = await bench.open({ main: store }, { receiveAgain });
    await until(
      () => archive.status().local.digested === 4,
      () => archive.status(),
    );
    const damaged = [flipped(segmentBytes(1, 1), 5_000), flipped(segmentBytes(1, 2), 5_000)];
    for (const [index, bytes] of damaged.entries()) await writeFile(bench.sealedPath(1, index + 1), bytes);
    await until(
      async () => (await readFile(bench.sealedPath(1, 2))).equals(segmentBytes(1, 2)),
      () => archive.status(),
    );
    const range = { timeline: 1, start: "0/10000", end: "0/20000" };
    await until(
      () => archive.status().faults.some(({ code }) => code === "TM-VAULT-OTHER-BYTES"),
      () => archive.status().faults,
    );
    expect(archive.status().faults).toContainEqual(expect.objectContaining({ code: "TM-VAULT-OTHER-BYTES", subject: nameOf(1, 1), range }));
    expect((await readFile(bench.sealedPath(1, 1))).equals(damaged[0]!)).toBe(true);
    const kept = await readdir(`${bench.folder.directory}/diverged`, { recursive: true });
    const file = kept.find((name) => name.endsWith(`/${nameOf(1, 2)}`)) ?? "";
    expect((await readFile(`${bench.folder.directory}/diverged/${file}`)).equals(damaged[1]!)).toBe(true);
    expect(kept.some((name) => name.endsWith(`/${nameOf(1, 1)}`))).toBe(false);
  });

  it("is found in a segment although the catalogue was lost, by what its object says", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 3);
    const first = await bench.open({ main: store });
    await first.settled(never);
    await first.stop();
    await rm(`${bench.folder.directory}/catalogue.sqlite`);
    await writeFile(bench.sealedPath(1, 2), flipped(segmentBytes(1, 2), 7));
    // Its records tell that it is damaged, and not other WAL.
    const damageOf = (bytes: Uint8Array): Promise<string | undefined> =>
      Promise.resolve(segmentBytes(1, 2).equals(bytes) ? undefined : "a checksum");
    const archive = await bench.open({ main: store }, { damageOf });
    await until(
      async () => (await readFile(bench.sealedPath(1, 2))).equals(segmentBytes(1, 2)),
      () => archive.status(),
    );
  });
});

describe("a segment that is gone from the vault's folder", () => {
  it("is missed, with its range, and fetched from the archive", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 4);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    const codes = new Set<string>();
    store.before = (call) => {
      if (call === "get") for (const { code, range } of archive.status().faults) codes.add(`${code} ${range?.start}`);
    };
    await rm(bench.sealedPath(1, 2));
    await until(
      async () => (await readFile(bench.sealedPath(1, 2)).catch(() => Buffer.alloc(0))).equals(segmentBytes(1, 2)),
      () => archive.status(),
    );
    expect([...codes]).toContain("TM-VAULT-SEGMENT-MISSING 0/20000");
    await until(
      () => archive.status().faults.length === 0,
      () => archive.status().faults,
    );
  });

  it("is fetched from the archive also when the catalogue was lost, and nobody remembers it", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 4);
    const first = await bench.open({ main: store });
    await first.settled(never);
    await first.stop();
    await rm(`${bench.folder.directory}/catalogue.sqlite`);
    await rm(bench.sealedPath(1, 1));
    await rm(bench.sealedPath(1, 2));
    const archive = await bench.open({ main: store });
    for (const index of [1, 2])
      await until(
        async () => (await readFile(bench.sealedPath(1, index)).catch(() => Buffer.alloc(0))).equals(segmentBytes(1, index)),
        () => archive.status(),
      );
    await until(
      () => archive.status().faults.length === 0 && archive.status().holes.length === 0,
      () => archive.status(),
    );
  });

  it("is the receiver's to get while it has not passed it", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 4);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    const { flushed, ...rest } = bench.frontier.read();
    bench.frontier.write({ ...rest, flushed: BigInt(SEGMENT_BYTES) as typeof flushed });
    await rm(bench.sealedPath(1, 2));
    await until(
      () => archive.status().faults.some(({ code }) => code === "TM-VAULT-SEGMENT-MISSING"),
      () => archive.status(),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    await expect(readFile(bench.sealedPath(1, 2))).rejects.toMatchObject({ code: "ENOENT" });
    bench.frontier.write({ ...rest, flushed });
    await until(
      async () => (await readFile(bench.sealedPath(1, 2)).catch(() => Buffer.alloc(0))).equals(segmentBytes(1, 2)),
      () => archive.status(),
    );
  });
});
