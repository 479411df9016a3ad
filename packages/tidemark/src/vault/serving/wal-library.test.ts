import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import type { ArchivedFile } from "../archive/archive.ts";
import { WalFolder } from "../wal-folder.ts";
import type { ServingState } from "./serving-rules.ts";
import { WalLibrary, type WalLibraryParts } from "./wal-library.ts";

const SEGMENT = 1_048_576;
const at = (text: string): Lsn => parseLsn(text);
const line = (number: number): Timeline => number as Timeline;
const name = (timeline: number, megabyte: number): string =>
  `${timeline.toString(16).padStart(8, "0")}00000000${megabyte.toString(16).padStart(8, "0")}`.toUpperCase();

let directory: string;
let folder: WalFolder;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-library-"));
  folder = new WalFolder(directory, SEGMENT);
  await mkdir(folder.wal, { recursive: true });
  await mkdir(join(directory, "pushed"));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

/** Timeline 1 up to 0/300100, whole megabytes before it. */
const STATE: ServingState = { systemIdentifier: "7", timeline: line(1), history: [], end: at("0/300100"), gaps: [] };

const filled = (byte: number, length = SEGMENT): Uint8Array => new Uint8Array(length).fill(byte);

function library(
  parts: Partial<WalLibraryParts> & { given?: Readonly<Record<string, ArchivedFile>>; now?: ServingState } = {},
): WalLibrary {
  const { given, now, ...rest } = parts;
  return new WalLibrary({
    folder,
    state: () => Promise.resolve(now ?? STATE),
    // Damaged is what begins with 0xff.
    check: (bytes) => Promise.resolve(bytes[0] === 0xff ? "the WAL breaks at 0/100000 (crc)" : undefined),
    ...(given === undefined ? {} : { archive: { fetch: (file) => Promise.resolve(given[file] ?? { kind: "missing" }) } }),
    ...rest,
  });
}

const put = (file: string, bytes: Uint8Array): Promise<void> => writeFile(join(folder.wal, file), bytes);

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => "given",
    (reason: unknown) => reason,
  );
  if (error instanceof TidemarkError) return error.code;
  throw error;
}

describe("a sealed segment of the folder", () => {
  test("is given as it is", async () => {
    await put(name(1, 1), filled(1));
    const given = await library().give({ name: name(1, 1) });
    expect(given).toMatchObject({ source: "local", timeline: 1, end: at("0/200000"), complete: true });
    expect(given.bytes).toEqual(Buffer.from(filled(1)));
  });

  test("that is damaged is never given: the archive's copy is, or the damage is told (trap 34)", async () => {
    await put(name(1, 1), filled(0xff));
    const archived: ArchivedFile = { kind: "file", bytes: filled(1), end: at("0/200000"), partial: false, store: "main" };
    expect((await library({ given: { [name(1, 1)]: archived } }).give({ name: name(1, 1) })).source).toBe("archive:main");
    expect(await codeOf(library({ given: {} }).give({ name: name(1, 1) }))).toBe("TM-VAULT-DAMAGED");
    expect(await codeOf(library().give({ name: name(1, 1) }))).toBe("TM-VAULT-DAMAGED");
  });

  test("that is damaged while the archive is away is told so that it is tried again", async () => {
    await put(name(1, 1), filled(0xff));
    const archive = { fetch: () => Promise.reject(new TidemarkError("TM-OBJECT-STORE-AWAY", "asked in vain")) };
    expect(await codeOf(library({ archive }).give({ name: name(1, 1) }))).toBe("TM-OBJECT-STORE-AWAY");
  });

  test("of another size is damaged", async () => {
    await put(name(1, 1), filled(1, SEGMENT / 2));
    expect(await codeOf(library().give({ name: name(1, 1) }))).toBe("TM-VAULT-DAMAGED");
  });
});

describe("the growing segment", () => {
  test("is given in full size, with zeros from the end of the last whole record (trap 12)", async () => {
    await put(`${name(1, 3)}.partial`, filled(3));
    const given = await library().give({ name: name(1, 3) });
    expect(given).toMatchObject({ source: "partial", end: at("0/300100"), complete: false });
    expect(given.bytes.length).toBe(SEGMENT);
    expect(given.bytes[0xff]).toBe(3);
    expect(given.bytes.subarray(0x100).every((byte) => byte === 0)).toBe(true);
  });

  test("is cut where it is asked for up to a position", async () => {
    await put(`${name(1, 3)}.partial`, filled(3));
    const given = await library().give({ name: name(1, 3), upTo: at("0/300010") });
    expect(given).toMatchObject({ end: at("0/300010"), complete: false });
    expect(given.bytes.subarray(0x10).every((byte) => byte === 0)).toBe(true);
  });
});

describe("WAL that nobody has", () => {
  test("is a hole in the middle, with its range, and the end beyond the end (trap 33, trap 34)", async () => {
    const error: unknown = await library()
      .give({ name: name(1, 1) })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "TM-VAULT-HOLE", details: { start: "0/100000", end: "0/200000" } });
    expect(await codeOf(library().give({ name: name(1, 4) }))).toBe("TM-VAULT-END-OF-WAL");
  });

  test("is a hole where the archive has one, whatever its range", async () => {
    const hole: ArchivedFile = { kind: "hole", range: { timeline: line(1), start: at("0/100000"), end: at("0/280000") } };
    expect(await codeOf(library({ given: { [name(1, 1)]: hole } }).give({ name: name(1, 1) }))).toBe("TM-VAULT-HOLE");
  });

  test("is a hole where it was never received, though the receiver's file is there", async () => {
    await put(name(1, 1), filled(1));
    const now = { ...STATE, gaps: [{ timeline: line(1), start: at("0/100000"), end: at("0/140000") }] };
    expect(await codeOf(library({ now }).give({ name: name(1, 1) }))).toBe("TM-VAULT-HOLE");
    await writeFile(join(directory, "pushed", name(1, 1)), filled(2));
    expect((await library({ now }).give({ name: name(1, 1) })).source).toBe("pushed");
  });

  test("is not called the end while it is not known what the archive has", async () => {
    const archive = { fetch: () => Promise.reject(new TidemarkError("TM-VAULT-CATALOGUE-REBUILDING", "reading")) };
    expect(await codeOf(library({ archive }).give({ name: name(1, 4) }))).toBe("TM-VAULT-CATALOGUE-REBUILDING");
  });
});

describe("the archive", () => {
  test("has what this folder lost when it was begun anew: also beyond its end", async () => {
    const file: ArchivedFile = { kind: "file", bytes: filled(5, 0x200), end: at("0/400200"), partial: true, store: "main" };
    const given = await library({ given: { [name(1, 4)]: file } }).give({ name: name(1, 4) });
    expect(given).toMatchObject({ source: "archive:main", end: at("0/400200"), complete: false });
    expect(given.bytes.length).toBe(SEGMENT);
    expect(given.bytes[0x200]).toBe(0);
  });

  test("with a partial segment of WAL that went on has a hole behind it, and no end", async () => {
    const file: ArchivedFile = { kind: "file", bytes: filled(5, 0x200), end: at("0/100200"), partial: true, store: "main" };
    const error: unknown = await library({ given: { [name(1, 1)]: file } })
      .give({ name: name(1, 1) })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "TM-VAULT-HOLE", details: { start: "0/100200", end: "0/200000" } });
  });
});

describe("around a fork (R9)", () => {
  const now: ServingState = {
    ...STATE,
    timeline: line(2),
    history: [{ timeline: line(1), switchLsn: at("0/200080"), reason: "" }],
  };

  test("the old timeline's bytes beyond it are zeros, and that segment is complete", async () => {
    await put(`${name(1, 2)}.partial`, filled(2));
    const given = await library({ now }).give({ name: name(1, 2) });
    expect(given).toMatchObject({ end: at("0/200080"), complete: true });
    expect(given.bytes.subarray(0x80).every((byte) => byte === 0)).toBe(true);
  });

  test("a segment wholly beyond it is not given, though it is there", async () => {
    await put(name(1, 3), filled(2));
    expect(await codeOf(library({ now }).give({ name: name(1, 3) }))).toBe("TM-VAULT-END-OF-WAL");
  });

  test("what is kept as evidence is never given (trap 11)", async () => {
    await mkdir(join(folder.diverged, "pushed"), { recursive: true });
    await writeFile(join(folder.diverged, "pushed", name(1, 3)), filled(2));
    expect(await codeOf(library({ now }).give({ name: name(1, 3) }))).toBe("TM-VAULT-END-OF-WAL");
  });
});

describe("who asks", () => {
  test("for another cluster is refused (trap 9)", async () => {
    await put(name(1, 1), filled(1));
    expect(await codeOf(library().give({ name: name(1, 1), systemIdentifier: "8" }))).toBe("TM-VAULT-OTHER-SYSTEM");
  });

  test("for something that is no WAL file is refused", async () => {
    for (const file of ["", "..", "../vault.json", "vault.json", `${name(1, 1)}x`, `${name(1, 1)}.partial`, "00000000.history"])
      expect(await codeOf(library().give({ name: file }))).toBe("TM-VAULT-WAL-NAME");
  });
});

test("a history file comes from the folder, from a push, or from the archive", async () => {
  const now = { ...STATE, timeline: line(3), history: [{ timeline: line(1), switchLsn: at("0/200080"), reason: "" }] };
  await put("00000003.history", Buffer.from("1\t0/200080\tnone\n"));
  expect(await library({ now }).history(line(3))).toBe("1\t0/200080\tnone\n");
  expect(await codeOf(library({ now }).give({ name: "00000004.history" }))).toBe("TM-VAULT-END-OF-WAL");
  expect(await codeOf(library({ now }).give({ name: "00000002.history" }))).toBe("TM-VAULT-OTHER-HISTORY");
});

test("the history of a promotion that is not recorded is not given, though it is there", async () => {
  await put("00000002.history", Buffer.from("1\t0/200080\tnone\n"));
  expect(await codeOf(library().give({ name: "00000002.history" }))).toBe("TM-VAULT-END-OF-WAL");
});
