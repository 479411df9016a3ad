// Every kind of damage that an archive of WAL can meet, seeded, and told by `tidemark wal status` with the range that it is about.
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { SystemIdentifier } from "@tidemark/kernel/brands";
import { formatLsn, type Lsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { DEFAULT_SEGMENT_BYTES, parseSegmentName } from "@tidemark/postgres/wal/segment-name";
import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { openKeyRing } from "../sealing/open-key-ring.ts";
import { sealObject } from "../sealing/sealed-object.ts";
import { ask, flushLsn, switchWal, writeWal } from "../testing/running-vault.ts";
import { ArchivedVault } from "./testing/archived-vault.ts";

const KEY_WORLD = { clock: systemClock, random: systemRandom, environment: {} };

let primary: TestServer;
let vault: ArchivedVault;
/** A sealed and archived segment in the middle, and the range of WAL in it as the status says it. */
let middle: string;
let range: string;

beforeAll(async () => {
  primary = await startPrimary();
  await ask(primary, "CREATE TABLE orders (id bigserial PRIMARY KEY, note text)");
});

afterAll(() => primary.dispose());

beforeEach(async () => {
  vault = await ArchivedVault.start(primary);
  for (let i = 0; i < 4; i++) {
    await ask(primary, "INSERT INTO orders (note) SELECT repeat('order ', 100) FROM generate_series(1, 1000)");
    await switchWal(primary);
  }
  await vault.vault.reached(await flushLsn(primary));
  await vault.settled();
  middle = (await vault.sealed()).at(-2) ?? "";
  const start = parseSegmentName(middle, DEFAULT_SEGMENT_BYTES)?.start ?? 0n;
  range = `timeline 1 from ${formatLsn(start as never)} to ${formatLsn((start + BigInt(DEFAULT_SEGMENT_BYTES)) as never)}`;
  expect(await vault.run("status")).toMatchObject({ code: 0 });
});

afterEach(async () => {
  await vault[Symbol.asyncDispose]();
  await ask(primary, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active");
});

/** Flips one bit in the middle of the WAL or of the object. */
async function flipBit(path: string, at?: number): Promise<void> {
  const { size } = await stat(path);
  const place = at ?? Math.floor(size / 3);
  const file = await open(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, place);
    byte[0] = (byte[0] ?? 0) ^ 0x10;
    await file.write(byte, 0, 1, place);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function objectOf(name: string): Promise<string> {
  const [path, ...others] = await vault.objectFiles(new RegExp(`/${name}$`));
  expect(others).toEqual([]);
  return path ?? "";
}

/** Resolves once the status tells the code, with the range where there is one, and ends with 1. */
async function told(code: RegExp, where = range): Promise<string> {
  const says = (trouble: string): boolean => code.test(trouble) && trouble.includes(where);
  const result = await vault.statusUntil(`${code} with ${where}`, ({ code: exit }, troubles) => exit === 1 && troubles.some(says));
  expect(result.code).toBe(1);
  return result.out;
}

/** For what is about more WAL than one segment. */
const SOME_RANGE = "timeline 1 from";
/** For what is about no range of WAL. */
const NO_RANGE = "";

describe("tidemark wal status tells, with its range,", () => {
  test("a flipped bit in a segment of the vault's folder that no store has whole", async () => {
    await vault.close();
    await rm(await objectOf(middle));
    await flipBit(join(vault.vault.wal, middle), 20_000);
    await vault.open();
    await told(/TM-VAULT-DAMAGED/);
  });

  test("a flipped bit in an object of the archive", async () => {
    await vault.close();
    await rm(join(vault.vault.wal, middle));
    await flipBit(await objectOf(middle));
    await vault.open();
    await told(/TM-VAULT-ARCHIVE-DAMAGED|TM-SEAL-DAMAGED/);
  });

  test("a flipped bit in the catalogue, and makes the catalogue anew from the store", async () => {
    await vault.close();
    const catalogue = join(vault.config.directory, "catalogue.sqlite");
    await flipBit(catalogue, 3);
    await vault.open();
    // All that the catalogue spoke of: it had to be made again for that.
    await told(/TM-VAULT-CATALOGUE-DAMAGED/, SOME_RANGE);
    await vault.settled();
    expect((await vault.run("status", "--json")).out).toContain('"state": "current"');
  });

  test("a segment that is missing in the middle, here and in the store", async () => {
    await vault.close();
    await rm(join(vault.vault.wal, middle));
    await rm(await objectOf(middle));
    await vault.open();
    const out = await told(/TM-VAULT-HOLE|TM-VAULT-ARCHIVE-MISSING|TM-VAULT-SEGMENT-MISSING/);
    expect(out).toContain("✗");
  });

  test("a hole in the store also when the vault does not answer", async () => {
    await vault.close();
    await rm(await objectOf(middle));
    await told(/hole in main/);
  });

  test("a wrong key, and a missing one", async () => {
    await vault.close();
    const right = await readFile(vault.keyFile);
    await writeFile(vault.keyFile, `${randomBytes(32).toString("base64")}\n`);
    await vault.open();
    await told(/TM-SEAL-KEY-MISSING/, SOME_RANGE);
    await vault.close();
    await rm(vault.keyFile);
    await vault.open();
    await told(/TM-SEAL-KEY-SOURCE/, NO_RANGE);
    await vault.close();
    await writeFile(vault.keyFile, right, { mode: 0o600 });
    await vault.open();
    // WAL that came meanwhile was archived with the other key; it stays a fault until more WAL replaces that partial object.
    await vault.vault.reached(await writeWal(primary, 1));
    await vault.statusUntil("that all is well", ({ code }) => code === 0);
  });

  test("a server of another system in the primary's place (trap 9)", async () => {
    await using other = await startPrimary();
    vault.vault.follow(other);
    await told(/TM-VAULT-SYSTEM-IDENTIFIER/, NO_RANGE);
  });

  test("an object of another cluster under a key of this one", async () => {
    await vault.close();
    const raw = await readFile(join(vault.vault.wal, middle));
    const keys = await openKeyRing({ key: { kind: "file", file: vault.keyFile }, formerKeys: [] }, KEY_WORLD);
    const place = parseSegmentName(middle, DEFAULT_SEGMENT_BYTES);
    if (place === undefined) throw new Error(`${middle} is no segment`);
    const range = { start: place.start, end: (place.start + BigInt(DEFAULT_SEGMENT_BYTES)) as Lsn };
    const facts = { kind: "wal" as const, systemIdentifier: "42" as SystemIdentifier, timeline: place.timeline, range };
    const { bytes } = await sealObject(raw, facts, { keys, zstdLevel: 1, random: systemRandom });
    await rm(join(vault.vault.wal, middle));
    await writeFile(await objectOf(middle), bytes);
    await vault.open();
    await told(/TM-VAULT-ARCHIVE-DAMAGED|TM-VAULT-OTHER-BYTES|TM-SEAL/);
  });

  test("the same name with other bytes, pushed by a server; both are kept (trap 10)", async () => {
    const clone = join(vault.folder, "clone");
    await mkdir(clone);
    const file = join(clone, middle);
    await copyFile(join(vault.vault.wal, middle), file);
    await copyFile(join(vault.vault.wal, (await vault.sealed()).at(-1) ?? ""), join(clone, "other"));
    expect(await vault.run("push", file)).toMatchObject({ code: 0, out: "", err: "" });
    // Whole records of this cluster, but not those of this place: a server that went another way.
    const bytes = await readFile(file);
    const spoilt = lastZeros(bytes);
    await writeFile(file, spoilt);
    const refused = await vault.run("push", file);
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain("TM-VAULT-OTHER-BYTES");
    await told(/TM-VAULT-OTHER-BYTES/);
    expect(await readFile(join(vault.vault.wal, middle))).toEqual(bytes);
    expect(await readFile(await conflictOf(middle))).toEqual(spoilt);
  });

  test("the same name with other bytes in the store", async () => {
    await vault.close();
    const object = await objectOf(middle);
    await rename(object, `${object}.away`);
    await rm(`${object}.away`);
    await copyFile(await objectOf((await vault.sealed()).at(0) ?? ""), object);
    await vault.open();
    await told(/TM-VAULT-OTHER-BYTES|TM-VAULT-ARCHIVE-DAMAGED/);
  });
});

/** The same segment as if the server had switched before its last record: valid WAL, other bytes. */
function lastZeros(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  // Behind an XLOG_SWITCH come zeros that no checksum covers.
  copy[copy.length - 100] = 1;
  return copy;
}

async function conflictOf(name: string): Promise<string> {
  const folder = join(dirname(vault.vault.wal), "conflicts");
  const { readdir } = await import("node:fs/promises");
  const file = (await readdir(folder)).find((each) => basename(each).startsWith(name));
  return join(folder, file ?? "");
}
