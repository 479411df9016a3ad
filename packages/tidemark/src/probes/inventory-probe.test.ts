import { mkdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TidemarkError } from "@tidemark/kernel/errors";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { ObjectStore } from "../object-stores/object-store.ts";
import { lateObjectStore } from "../object-stores/open-object-store.ts";
import { S3RVER_ENVIRONMENT, startS3rver } from "../object-stores/testing/s3rver.ts";
import { storeWorld, temporaryFolder } from "../object-stores/testing/store-world.ts";
import { describeProbeContract } from "./contract/probe-contract.ts";
import { InventoryProbe, type InventoryProbeOptions } from "./inventory-probe.ts";

const clock = new ManualClock(1_800_000_000_000);
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let directory: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  directory = join(folder.path, "dumps");
  await mkdir(directory);
});
afterEach(() => folder.remove());

const make = (objects: ObjectStore, options: Partial<InventoryProbeOptions> = {}): InventoryProbe =>
  new InventoryProbe({ store: "orders", copy: "dumps", domain: { region: "north" }, objects, prefix: "db/", clock, ...options });
const folderStore = (at: string): ObjectStore => lateObjectStore({ kind: "folder", directory: at }, storeWorld(), "read");
const look = async (probe: InventoryProbe) => {
  const reading = await probe.probe(new AbortController().signal);
  if (!reading.ok || reading.copies[0] === undefined) throw new Error(JSON.stringify(reading));
  return { copy: reading.copies[0], figures: reading.figures };
};
const dump = async (name: string, content: string, seconds = 1_799_000_000): Promise<string> => {
  await mkdir(join(directory, "db"), { recursive: true });
  const path = join(directory, "db", name);
  await writeFile(path, content);
  await utimes(path, seconds, seconds);
  return path;
};

const unlike = (change: Partial<ObjectStore>): ObjectStore => {
  const store = folderStore(directory);
  return { ...change, name: "s3://bucket", abilities: store.abilities, lockForMs: undefined, close: () => store.close() } as ObjectStore;
};
const bare = (probe: InventoryProbe) => ({ probe, [Symbol.asyncDispose]: async (): Promise<void> => {} });
describeProbeContract("an inventory", {
  targets: {
    well: async () => bare(make(folderStore(directory), { clock: systemClock })),
    down: async () => bare(make(folderStore(join(directory, "none", "none")))),
    slow: async () => bare(make(unlike({ list: hanging }))),
    denied: async () => bare(make(unlike({ list: denied }))),
    version: "cannot happen",
    garbage: "cannot happen",
  },
  secrets: ["s3cret"],
});

// oxlint-disable-next-line require-yield
async function* hanging(_prefix: string, options?: { signal?: AbortSignal }): AsyncGenerator<never> {
  await new Promise((_resolve, reject) => options?.signal?.addEventListener("abort", () => reject(new Error("aborted")), { once: true }));
}

// oxlint-disable-next-line require-yield
async function* denied(): AsyncGenerator<never> {
  throw new TidemarkError("TM-OBJECT-STORE-DENIED", "key s3cret was refused");
}

describe("the probe of an inventory", () => {
  it("tells the newest object with content, count and bytes of what is under the prefix", async () => {
    await dump("a", "aaaa", 1_799_000_000);
    await dump("b", "bb", 1_799_500_000);
    await dump("c", "", 1_799_900_000);
    await writeFile(join(directory, "other"), "not under the prefix");
    const { copy, figures } = await look(make(folderStore(directory)));
    expect(copy).toMatchObject({
      name: "dumps",
      kind: "inventory",
      domain: { region: "north" },
      recoveryPoint: { known: true, method: "observed", value: { commitMs: 1_799_500_000_000, complete: false } },
      missingBytes: { known: false },
    });
    expect(copy.proof).toBeUndefined();
    expect(copy.remarks).toContain("1 of its objects are empty and count for nothing.");
    expect(figures).toMatchObject({
      inventory_objects: { value: 3 },
      inventory_bytes: { value: 6 },
      inventory_newest_object_timestamp_seconds: { value: 1_799_500_000 },
      inventory_damaged_objects: { known: false },
    });
  });

  it("knows no recovery point of an inventory that is empty", async () => {
    const { copy, figures } = await look(make(folderStore(directory)));
    expect(copy.recoveryPoint).toMatchObject({ known: false, why: "there is no object with content" });
    expect(figures["inventory_objects"]).toMatchObject({ known: true, value: 0 });
    expect(figures["inventory_newest_object_timestamp_seconds"]).toMatchObject({ known: false });
  });

  it("lists a bounded part each turn, and tells numbers of whole passes only", async () => {
    for (const name of ["a", "b", "c", "d", "e"]) await dump(name, name);
    const probe = make(folderStore(directory), { mostListed: 2 });
    expect((await look(probe)).figures["inventory_objects"]).toMatchObject({ known: false });
    const second = await look(probe);
    expect([second.copy.recoveryPoint.known, second.figures["inventory_bytes"]?.known]).toEqual([false, false]);
    expect((await look(probe)).figures["inventory_objects"]).toMatchObject({ known: true, value: 5 });
    await rm(join(directory, "db", "a"));
    expect((await look(probe)).figures["inventory_objects"]).toMatchObject({ value: 5 });
    await look(probe);
    expect((await look(probe)).figures["inventory_objects"]).toMatchObject({ value: 4 });
  });

  it("notices bytes that changed under an object that did not, until it is replaced", async () => {
    const path = await dump("a", "content");
    const probe = make(folderStore(directory));
    expect((await look(probe)).figures["inventory_sound_objects"]).toMatchObject({ known: false });
    await look(probe);
    const sound = await look(probe);
    expect(sound.figures["inventory_damaged_objects"]).toMatchObject({ known: true, value: 0 });
    expect(sound.figures["inventory_sound_objects"]).toMatchObject({ known: true, value: 1 });
    const { mtime } = await stat(path);
    const bytes = await readFile(path);
    bytes[3] = (bytes[3] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await utimes(path, mtime, mtime);
    for (let turn = 0; turn < 6; turn++) await look(probe);
    const { copy, figures } = await look(probe);
    expect(figures["inventory_damaged_objects"]).toMatchObject({ known: true, value: 1 });
    expect(figures["inventory_sound_objects"]).toMatchObject({ known: true, value: 0 });
    expect(copy.remarks).toContain("An object changed while its store says that it did not: db/a.");
    await dump("a", "another content", 1_799_100_000);
    for (let turn = 0; turn < 2; turn++) await look(probe);
    expect((await look(probe)).figures["inventory_damaged_objects"]).toMatchObject({ known: true, value: 0 });
  });

  it("is the same over S3", { timeout: 30_000 }, async () => {
    const server = await startS3rver();
    try {
      const options = {
        kind: "s3",
        bucket: server.bucket,
        prefix: "",
        region: "eu-central-1",
        endpoint: server.endpoint,
        credentials: { kind: "environment", accessKeyId: "TEST_KEY_ID", secretAccessKey: "TEST_SECRET" },
      } as const;
      const writer = lateObjectStore(options, storeWorld(S3RVER_ENVIRONMENT));
      const fromMs = Date.now();
      await writer.put("db/a", Buffer.from("aaaa"));
      await writer.close();
      const probe = make(lateObjectStore(options, storeWorld(S3RVER_ENVIRONMENT), "read"), { clock: systemClock });
      const { copy, figures } = await look(probe);
      expect(figures).toMatchObject({ inventory_objects: { value: 1 }, inventory_bytes: { value: 4 } });
      expect(copy.recoveryPoint.known && copy.recoveryPoint.value.commitMs).toBeGreaterThan(fromMs - 2_000);
      await probe.close();
    } finally {
      await server.stop();
    }
  });
});
