import { existsSync } from "node:fs";
import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatLsn } from "@tidemark/kernel/lsn";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { Catalogue, type ArchivedObject } from "./catalogue.ts";
import { openCatalogueFile } from "./catalogue-file.ts";
import { ArchiveBench, SEGMENT_BYTES, SYSTEM, keySpace, lsn, tli, until } from "./testing/archive-bench.ts";
import { FaultyStore, flipped } from "./testing/faulty-store.ts";

const never = new AbortController().signal;
const FACTS = { systemIdentifier: SYSTEM, segmentBytes: SEGMENT_BYTES };

let bench: ArchiveBench;
let path: string;
beforeEach(async () => {
  bench = await ArchiveBench.make();
  path = join(bench.folder.directory, "catalogue.sqlite");
});
afterEach(async () => {
  await bench.clear();
});

function object(segment: number): ArchivedObject {
  const place = { timeline: tli(1), start: lsn(segment * SEGMENT_BYTES) };
  const facts = {
    rawBytes: SEGMENT_BYTES,
    rawSha256: "aa".repeat(32),
    objectBytes: 500,
    objectSha256: "bb".repeat(32),
    commitMs: 1_700,
    archivedMs: 1_800,
  };
  return {
    store: "main",
    key: keySpace.segment(place),
    kind: "segment",
    ...place,
    end: lsn((segment + 1) * SEGMENT_BYTES),
    ...facts,
    checkTurn: segment + 1,
  };
}

function filled(): void {
  const { file } = openCatalogueFile(path, FACTS, new ManualClock());
  const catalogue = new Catalogue(file);
  catalogue.transaction(() => {
    for (let segment = 0; segment < 40; segment++) {
      catalogue.putObject(object(segment));
      catalogue.putSegment({ timeline: tli(1), start: lsn(segment * SEGMENT_BYTES), sha256: "cc".repeat(32), checkTurn: 100 + segment });
    }
  });
  catalogue.close();
}

describe("the catalogue's file", () => {
  it("gives back what was written, numbers beyond 2^53 too", () => {
    const { file } = openCatalogueFile(path, FACTS, new ManualClock());
    const catalogue = new Catalogue(file);
    const far = { ...object(1), start: 0x7fff_ffff_0000_0000n as never, end: 0x7fff_ffff_0001_0000n as never };
    catalogue.putObject(far);
    expect(catalogue.object("main", far.key)).toEqual(far);
    catalogue.close();
  });

  it("syncs every commit and takes no second process", () => {
    filled();
    const { file } = openCatalogueFile(path, FACTS, new ManualClock());
    expect(file.figures("SELECT * FROM pragma_synchronous")[0]).toEqual({ synchronous: 2n });
    expect(() => new DatabaseSync(path).prepare("SELECT * FROM object").all()).toThrow(/locked/);
    file.close();
  });

  it("is refused, untouched, when it is of another format, system or segment size", async () => {
    filled();
    expect(() => openCatalogueFile(path, { ...FACTS, systemIdentifier: "1" }, new ManualClock())).toThrow(
      expect.objectContaining({ code: "TM-VAULT-CATALOGUE-VERSION" }),
    );
    expect(() => openCatalogueFile(path, { ...FACTS, segmentBytes: 1 }, new ManualClock())).toThrow(
      expect.objectContaining({ code: "TM-VAULT-CATALOGUE-VERSION" }),
    );
    const newer = new DatabaseSync(path);
    newer.exec("UPDATE fact SET value = '2' WHERE name = 'version'; PRAGMA user_version = 2;");
    newer.close();
    expect(() => openCatalogueFile(path, FACTS, new ManualClock())).toThrow(
      expect.objectContaining({ code: "TM-VAULT-CATALOGUE-VERSION" }),
    );
    expect(await readdir(bench.folder.directory)).not.toContainEqual(expect.stringContaining("damaged"));
  });

  it("with a flipped bit anywhere is put aside whole, or says the same as before", async () => {
    filled();
    const whole = await readFile(path);
    let aside = 0;
    const positions = Array.from({ length: 160 }, (_, index) => Math.floor((index * whole.length) / 160) + (index % 97));
    for (const at of [...positions, 0, 18, 19, 28, 60, 61, 62, 63, 68, 100, 101]) {
      const damaged = flipped(whole, at);
      await writeFile(path, damaged);
      const { file, putAside } = openCatalogueFile(path, FACTS, new ManualClock(1_700_000_000_000 + at * 1_000));
      const catalogue = new Catalogue(file);
      if (putAside === undefined) {
        expect([...catalogue.objectsOf("main")], `bit at ${at}`).toEqual(Array.from({ length: 40 }, (_, segment) => object(segment)));
      } else {
        aside++;
        expect((await readFile(putAside.path)).equals(damaged), `bit at ${at}`).toBe(true);
        expect([...catalogue.objectsOf("main")]).toEqual([]);
      }
      catalogue.close();
    }
    expect(aside).toBeGreaterThan(60);
  });

  it("is put aside when it is no database at all", async () => {
    await writeFile(path, "not a database, but long enough to be taken for one by its size".repeat(100));
    const { file, putAside } = openCatalogueFile(path, FACTS, new ManualClock());
    expect(putAside?.why).toContain("not a database");
    file.close();
  });
});

describe("a catalogue that was lost or damaged", () => {
  it("is made anew from the objects' headers and the folder, and said so until the damaged file is taken away", async () => {
    const store = new FaultyStore();
    await bench.history(2, "1\t0/30000\tno recovery target specified\n");
    await bench.seal(1, 0, 3);
    await bench.seal(2, 3, 5);
    await bench.grow(2, 5 * SEGMENT_BYTES + 300);
    const first = await bench.open({ main: store });
    await first.settled(never);
    const before = first.status();
    await first.stop();
    const bytes = await readFile(path);
    await writeFile(path, bytes.fill(0, 8_192, 20_480));
    store.asked.length = 0;
    const archive = await bench.open({ main: store }, { limits: { checkEveryMs: 60_000, unreadEveryMs: 60_000 } });
    await until(
      () => archive.status().stores[0]?.objects === before.stores[0]?.objects,
      () => archive.status(),
    );
    const status = archive.status();
    expect(status.faults).toMatchObject([{ code: "TM-VAULT-CATALOGUE-DAMAGED", where: "local" }]);
    // Nothing is stored again: all that is there is known from its header.
    await until(
      () => archive.status().stores[0]?.state === "current",
      () => archive.status(),
    );
    expect(store.asked.filter((asked) => asked.startsWith("put"))).toEqual([]);
    expect(archive.status().holes).toEqual([]);
    // The WAL that it had to be made again for, over the switch of timelines.
    await until(
      () => archive.status().faults[0]?.range !== undefined,
      () => archive.status(),
    );
    expect(archive.status().faults).toMatchObject([
      {
        code: "TM-VAULT-CATALOGUE-DAMAGED",
        range: { timeline: 2, start: formatLsn(lsn(0)), end: formatLsn(lsn(5 * SEGMENT_BYTES + 300)) },
      },
    ]);
    await archive.stop();
    for (const name of await readdir(bench.folder.directory)) if (name.includes("damaged")) await rm(join(bench.folder.directory, name));
    const last = await bench.open({ main: store });
    await until(
      () => last.status().faults.length === 0 && last.status().stores[0]?.unverified === 0,
      () => last.status(),
    );
    expect(last.status().stores[0]?.recoveryPoint).toEqual(before.stores[0]?.recoveryPoint);
  });

  it("claims no recovery point before the objects were read whole (trap 14), and lets no segment go", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 4);
    const first = await bench.open({ main: store });
    await first.settled(never);
    await first.rebuildCatalogue();
    await first.stop();
    const archive = await bench.open({ main: store }, { keepLocalBytes: 0, limits: { checkEveryMs: 60_000, unreadEveryMs: 60_000 } });
    await until(
      () => archive.status().stores[0]?.state === "current",
      () => archive.status(),
    );
    // At most the first few were read; the others are there by their headers.
    const { unverified = 0, recoveryPoint } = archive.status().stores[0] ?? {};
    expect(unverified).toBeGreaterThan(0);
    expect(recoveryPoint?.from).not.toBe("0/0");
    expect(existsSync(bench.sealedPath(1, 0))).toBe(true);
  });

  it("lets no partial object go for a whole one that is known by its header only", async () => {
    const store = new FaultyStore();
    await bench.grow(1, 900);
    const first = await bench.open({ main: store });
    await first.settled(never);
    const [partial = ""] = store.objects.keys();
    const kept = store.objects.get(partial) ?? new Uint8Array();
    await bench.seal(1, 0, 1);
    await first.settled(never);
    await until(() => !store.objects.has(partial));
    await first.stop();
    // As after a crash between the two: the whole one is there, damaged behind its header, and the partial one still too.
    const whole = keySpace.segment({ timeline: tli(1), start: lsn(0) });
    store.objects.set(partial, kept);
    store.objects.set(whole, flipped(store.objects.get(whole) ?? new Uint8Array(), -50));
    await rm(path);
    await rm(bench.sealedPath(1, 0));
    const archive = await bench.open({ main: store });
    await until(
      () => archive.status().faults.some(({ code }) => code === "TM-VAULT-ARCHIVE-DAMAGED"),
      () => archive.status(),
    );
    expect(store.objects.has(partial)).toBe(true);
    expect(await archive.fetch(keySpace.name({ timeline: tli(1), start: lsn(0) }))).toMatchObject({
      kind: "file",
      partial: true,
      end: lsn(900),
    });
  });

  it("while it runs is put aside and made anew without an end of the archive", async () => {
    const store = new FaultyStore();
    await bench.seal(1, 0, 4);
    const archive = await bench.open({ main: store });
    await archive.settled(never);
    await archive.stop();
    // A row whose values are not those of its sum, written behind its back: what a flipped bit in the file looks like later.
    const behind = new DatabaseSync(path);
    behind.exec("UPDATE object SET raw_bytes = raw_bytes + 1 WHERE start = 65536");
    behind.close();
    const next = await bench.open({ main: store });
    await next.settled(never);
    expect(next.status().faults).toMatchObject([{ code: "TM-VAULT-CATALOGUE-DAMAGED" }]);
    expect(await next.isArchived(keySpace.name({ timeline: tli(1), start: lsn(SEGMENT_BYTES) }))).toBe(true);
  });
});
