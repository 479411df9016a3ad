import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ArchivedFile } from "./archive.ts";
import { ArchiveBench, SEGMENT_BYTES, keySpace, lsn, segmentBytes, tli, until } from "./testing/archive-bench.ts";
import { FaultyStore, away, flipped } from "./testing/faulty-store.ts";
import { openFolderStore } from "../../object-stores/folder-store.ts";
import { storeWorld } from "../../object-stores/testing/store-world.ts";

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

describe("what is archived", () => {
  it("comes back byte for byte from a folder, sealed and growing", async () => {
    await bench.seal(1, 0, 5);
    await bench.grow(1, 5 * SEGMENT_BYTES + 1_000);
    const store = await openFolderStore({ kind: "folder", directory: bench.path("store") }, storeWorld());
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    for (let segment = 0; segment < 5; segment++) {
      expect(bytesOf(await archive.fetch(nameOf(1, segment)))).toEqual(segmentBytes(1, segment));
    }
    const partial = await archive.fetch(nameOf(1, 5));
    expect(partial).toMatchObject({ kind: "file", partial: true, end: lsn(5 * SEGMENT_BYTES + 1_000), store: "main" });
    expect(bytesOf(partial)).toEqual(segmentBytes(1, 5).subarray(0, 1_000));
    expect(archive.status().stores[0]).toMatchObject({ recoveryPoint: { from: "0/0", lsn: "0/503E8" }, lagBytes: "0", lagSeconds: 0 });
    expect(await archive.fetch(nameOf(1, 6))).toEqual({ kind: "missing" });
    expect(await archive.isArchived(nameOf(1, 4))).toBe(true);
    expect(await archive.isArchived(nameOf(1, 5))).toBe(false);
  });

  it("replaces a partial segment by a longer one, and all of them by the sealed one, and never has none", async () => {
    const store = new FaultyStore();
    await bench.grow(1, 1_000);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    await bench.grow(1, 2_000);
    await archive.settled(never);
    await until(() => [...store.objects.keys()].length === 1);
    expect([...store.objects.keys()]).toEqual([`${keyOf(1, 0)}.partial-00000000000007D0`]);
    await bench.seal(1, 0, 1);
    archive.sealed({ timeline: tli(1), start: lsn(0) });
    await archive.settled(never);
    await until(() => [...store.objects.keys()].length === 1);
    expect([...store.objects.keys()]).toEqual([keyOf(1, 0)]);
    // At every moment one was there that had been read again: a deletion comes after the get of what replaces it.
    const deletions = store.asked.flatMap((asked, index) => (asked.startsWith("delete") ? [index] : []));
    for (const index of deletions)
      expect(store.asked.slice(0, index).at(-1)?.startsWith("get") || store.asked[index - 1]?.startsWith("delete")).toBe(true);
  });

  it("is not uploaded again when the growing segment did not grow", async () => {
    const store = new FaultyStore();
    await bench.grow(1, 1_000);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    await bench.grow(1, 1_100);
    await archive.settled(never);
    const puts = store.asked.filter((asked) => asked.startsWith("put"));
    expect(puts).toHaveLength(2);
  });

  it("is stored in the order of the WAL, histories first", async () => {
    const store = new FaultyStore();
    await bench.history(2, "1\t0/30000\tno recovery target specified\n");
    await bench.seal(1, 0, 3);
    await bench.seal(2, 3, 6);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    const puts = store.asked.filter((asked) => asked.startsWith("put")).map((asked) => asked.slice(4));
    expect(puts).toEqual([keySpace.history(tli(2)), keyOf(1, 0), keyOf(1, 1), keyOf(1, 2), keyOf(2, 3), keyOf(2, 4), keyOf(2, 5)]);
    expect(archive.status().holes).toEqual([]);
    expect(archive.status().stores[0]?.recoveryPoint).toMatchObject({ timeline: 2, from: "0/0", lsn: "0/60000" });
    expect(Buffer.from(bytesOf(await archive.fetch("00000002.history"))).toString()).toContain("0/30000");
  });

  it("does not serve WAL past a fork (trap 11), and says missing only at the end (trap 33)", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 5);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    await bench.history(2, "1\t0/28000\tno recovery target specified\n");
    await bench.seal(2, 2, 4);
    archive.changed();
    await until(
      () => archive.isArchived(nameOf(2, 3)),
      () => archive.status(),
    );
    expect(await archive.fetch(nameOf(1, 3))).toMatchObject({ kind: "diverged", fork: lsn(0x28000) });
    expect(await archive.fetch(nameOf(2, 4))).toEqual({ kind: "missing" });
    expect(await archive.fetch("00000003.history")).toEqual({ kind: "missing" });
  });

  it("gives nothing shorter than what another store has and cannot give now", async () => {
    const [near, far] = [new FaultyStore(), new FaultyStore()];
    await bench.seal(1, 0, 1);
    await bench.grow(1, SEGMENT_BYTES + 500);
    const archive = await bench.open({ near, far });
    await archive.settled(never);
    near.before = (call) => {
      if (call === "put") throw away();
    };
    await bench.grow(1, SEGMENT_BYTES + 900);
    await until(() => far.objects.has(keySpace.partial({ timeline: tli(1), start: lsn(SEGMENT_BYTES) }, lsn(SEGMENT_BYTES + 900))));
    await until(() => archive.status().stores[1]?.recoveryPoint?.lsn === "0/10384");
    far.before = () => {
      throw away();
    };
    await expect(archive.fetch(nameOf(1, 1))).rejects.toMatchObject({ code: "TM-OBJECT-STORE-AWAY" });
  });
});

describe("a store that is away or slow", () => {
  it("holds up itself alone; the segments stay here until it has them", async () => {
    const [good, bad] = [new FaultyStore(), new FaultyStore()];
    bad.before = () => {
      throw away();
    };
    await bench.seal(1, 0, 6);
    const archive = await bench.open({ good, bad }, { keepLocalBytes: SEGMENT_BYTES });
    await until(() => archive.status().stores[0]?.recoveryPoint?.lsn === "0/60000");
    await until(() => archive.status().stores[1]?.state === "held");
    expect(archive.status().stores[1]).toMatchObject({ lastError: { code: "TM-OBJECT-STORE-AWAY" }, lagBytes: String(6 * SEGMENT_BYTES) });
    expect(archive.status().stores[1]?.recoveryPoint).toBeUndefined();
    expect(archive.status().local.segments).toBe(6);
    await expect(archive.fetch(nameOf(1, 9))).rejects.toMatchObject({ code: "TM-VAULT-CATALOGUE-REBUILDING" });
    bad.before = () => undefined;
    await archive.settled(never);
    await until(() => archive.status().local.segments === 1);
    expect(bytesOf(await archive.fetch(nameOf(1, 0)))).toEqual(segmentBytes(1, 0));
    await expect(readFile(bench.sealedPath(1, 0))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("is given up after a time, and tried again, when it hangs", async () => {
    const [good, hanging] = [new FaultyStore(), new FaultyStore()];
    let hangs = true;
    hanging.before = (call) => (hangs && call === "put" ? new Promise<void>(() => undefined) : undefined);
    await bench.seal(1, 0, 3);
    const archive = await bench.open({ good, hanging }, { limits: { callTimeoutMs: 30 } });
    await until(() => archive.status().stores[0]?.recoveryPoint?.lsn === "0/30000");
    await until(() => archive.status().stores[1]?.lastError?.code === "TM-OBJECT-STORE-AWAY");
    hangs = false;
    await archive.settled(never);
    expect(archive.status().stores[1]?.recoveryPoint?.lsn).toBe("0/30000");
  });

  it("may have taken what it did not acknowledge: that is read and taken as it is", async () => {
    const store = new FaultyStore();
    let failures = 2;
    store.before = (call) => {
      if (call === "get" && failures-- > 0) throw away();
    };
    await bench.seal(1, 0, 2);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    expect(archive.status().faults).toEqual([]);
    expect([...store.objects.keys()].sort()).toEqual([keyOf(1, 0), keyOf(1, 1)]);
  });
});

describe("a store that does not keep what it accepted", () => {
  it("is not believed at once: it counts when it was read again (trap 14)", async () => {
    const store = new FaultyStore();
    store.keep = () => undefined;
    await bench.seal(1, 0, 2);
    const archive = await bench.open({ main: store });
    await until(() => archive.status().faults.length > 0);
    expect(archive.status().faults[0]).toMatchObject({
      code: "TM-VAULT-ARCHIVE-NOT-KEPT",
      where: "main",
      subject: keyOf(1, 0),
      range: { timeline: 1, start: "0/0", end: "0/10000" },
    });
    expect(archive.status().stores[0]?.recoveryPoint).toBeUndefined();
    store.keep = (_, body) => flipped(body, -40);
    await until(
      () => archive.status().faults.some(({ message }) => message.includes("other bytes back")),
      () => archive.status().faults,
    );
    expect(archive.status().stores[0]?.recoveryPoint).toBeUndefined();
    store.keep = (_, body) => body;
    await archive.settled(never);
    await until(
      () => archive.status().faults.length === 0,
      () => archive.status().faults,
    );
  });

  it("is found out later, and given it again while the segment is here", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 4);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    let seen = "";
    store.before = (call, key) => {
      if (call === "put")
        seen = `${archive.status().faults[0]?.code} ${archive
          .status()
          .holes.map(({ start, end }) => `${start}-${end}`)
          .join()} ${key}`;
    };
    store.objects.delete(keyOf(1, 1));
    await until(() => store.objects.has(keyOf(1, 1)));
    expect(seen).toBe(`TM-VAULT-ARCHIVE-MISSING 0/10000-0/20000 ${keyOf(1, 1)}`);
    await until(() => archive.status().faults.length === 0);
    expect(archive.status().holes).toEqual([]);
  });

  it("leaves a hole with its range where the segment is here no more (NO-HOLE)", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 4);
    const archive = await bench.open({ main: store }, { keepLocalBytes: SEGMENT_BYTES });
    await archive.settled(never);
    await until(() => archive.status().local.segments === 1);
    store.objects.delete(keyOf(1, 1));
    await until(() => archive.status().holes.length > 0);
    expect(archive.status().holes).toEqual([
      { where: "main", kind: "wal", timeline: 1, start: "0/10000", end: "0/20000", recordedGap: false },
    ]);
    expect(
      archive
        .status()
        .faults.map(({ code }) => code)
        .sort(),
    ).toEqual(["TM-VAULT-ARCHIVE-MISSING", "TM-VAULT-HOLE"]);
    expect(archive.status().stores[0]?.recoveryPoint).toMatchObject({ from: "0/20000", lsn: "0/40000" });
    expect(await archive.fetch(nameOf(1, 1))).toEqual({
      kind: "hole",
      range: { timeline: 1, start: lsn(SEGMENT_BYTES), end: lsn(2 * SEGMENT_BYTES) },
    });
  });
});
