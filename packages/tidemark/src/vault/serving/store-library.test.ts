import { describe, expect, test } from "vitest";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import { parseSegmentName } from "@tidemark/postgres/wal/segment-name";
import type { ObjectFacts } from "../../object-stores/object-store.ts";
import { KeySpace } from "../archive/archive-key.ts";
import { StoreLibrary, type OpenedObject } from "./store-library.ts";
import { surveyStore } from "./store-survey.ts";

const SYSTEM = "7300000000000000001" as SystemIdentifier;
const at = (text: string): Lsn => parseLsn(text);
const line = (number: number): Timeline => number as Timeline;

/** A store whose objects are plain: what an object opens to lies beside its bytes. */
class Shelf {
  readonly objects = new Map<string, OpenedObject>();
  readonly segmentBytes: number;
  readonly keys: KeySpace;
  /** Runs before each request, to change the store between two. */
  before: (request: string) => void = () => undefined;

  constructor(segmentBytes = 16_777_216) {
    this.segmentBytes = segmentBytes;
    this.keys = new KeySpace({ prefix: "", systemIdentifier: SYSTEM, segmentBytes });
  }

  segment(name: string, options: { end?: string; fill?: number; system?: string } = {}): string {
    const place = parseSegmentName(name, this.segmentBytes);
    if (place === undefined) throw new Error(`${name} is no segment of this size`);
    const whole = (place.start + BigInt(this.segmentBytes)) as Lsn;
    const end = options.end === undefined ? whole : at(options.end);
    const raw = Buffer.alloc(Number(end - place.start), options.fill ?? 1);
    raw.writeUInt32LE(this.segmentBytes, 32);
    const key = end === whole ? this.keys.segment(place) : this.keys.partial(place, end);
    this.objects.set(key, { raw, systemIdentifier: options.system ?? SYSTEM, timeline: place.timeline, start: place.start, end });
    return key;
  }

  history(timeline: number, text: string): void {
    this.objects.set(this.keys.history(line(timeline)), { raw: Buffer.from(text), systemIdentifier: SYSTEM, timeline });
  }

  library(systemIdentifier: SystemIdentifier | undefined = SYSTEM): StoreLibrary {
    return new StoreLibrary({
      name: "main",
      store: this,
      open: (bytes) => Promise.resolve(this.objects.get(Buffer.from(bytes).toString()) as OpenedObject),
      ...(systemIdentifier === undefined ? {} : { systemIdentifier }),
    });
  }

  get(key: string): Promise<Uint8Array> {
    this.before(`get ${key}`);
    if (!this.objects.has(key)) return Promise.reject(new TidemarkError("TM-OBJECT-MISSING", key));
    return Promise.resolve(Buffer.from(key));
  }

  async *list(prefix: string, options: { after?: string } = {}): AsyncIterable<ObjectFacts> {
    this.before(`list ${prefix}`);
    for (const key of [...this.objects.keys()].sort())
      if (key.startsWith(prefix) && key > (options.after ?? "")) yield { key, bytes: 10, modifiedAtMs: 1_000 };
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => "given",
    (reason: unknown) => reason,
  );
  return error instanceof TidemarkError ? error.code : String(error);
}

const S = (number: number, timeline = 1): string =>
  `${timeline.toString(16).padStart(8, "0")}00000000${number.toString(16).padStart(8, "0")}`.toUpperCase();

describe("a segment", () => {
  test("that is whole is given as it is", async () => {
    const shelf = new Shelf();
    shelf.segment(S(3));
    expect(await shelf.library().give(S(3))).toMatchObject({ source: "archive:main", complete: true, end: at("0/4000000"), timeline: 1 });
  });

  test("that is partial is given in full size with zeros behind its end, the longest one of several (trap 12)", async () => {
    const shelf = new Shelf();
    shelf.segment(S(3), { end: "0/3000100" });
    shelf.segment(S(3), { end: "0/3000200", fill: 2 });
    const given = await shelf.library().give(S(3));
    expect({ complete: given.complete, end: given.end, bytes: given.bytes.length }).toEqual({
      complete: false,
      end: at("0/3000200"),
      bytes: 16_777_216,
    });
    expect([given.bytes[0x1ff], given.bytes[0x200]]).toEqual([2, 0]);
  });

  test("is found whatever the size of segments", async () => {
    const shelf = new Shelf(1_048_576);
    const name = "000000010000000200000FFF";
    shelf.segment(name);
    expect((await shelf.library().give(name)).bytes.length).toBe(1_048_576);
    expect(await codeOf(shelf.library().give("000000010000000300000000"))).toBe("TM-VAULT-END-OF-WAL");
  });

  test("that is missing before another one is a hole, behind the last one the end, in an empty store neither (traps 33, 34)", async () => {
    const shelf = new Shelf();
    expect(await codeOf(shelf.library().give(S(3)))).toBe("TM-VAULT-UNSURE");
    shelf.segment(S(3));
    shelf.segment(S(5));
    const error: unknown = await shelf
      .library()
      .give(S(4))
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "TM-VAULT-HOLE", message: expect.stringContaining("from 0/4000000 to 0/5000000") as string });
    expect(await codeOf(shelf.library().give(S(6)))).toBe("TM-VAULT-END-OF-WAL");
  });

  test("before a partial one is a hole as well", async () => {
    const shelf = new Shelf();
    shelf.segment(S(5), { end: "0/5000100" });
    expect(await codeOf(shelf.library().give(S(4)))).toBe("TM-VAULT-HOLE");
  });

  test("is found while a vault seals it: the partial one goes when the whole one is there", async () => {
    const shelf = new Shelf();
    const partial = shelf.segment(S(3), { end: "0/3000100" });
    shelf.before = (request) => {
      if (!request.startsWith("list") || !request.includes(".partial-")) return;
      shelf.objects.delete(partial);
      shelf.segment(S(3));
    };
    expect(await shelf.library().give(S(3))).toMatchObject({ complete: true });
  });

  test("is found while its partial one is replaced by a longer one", async () => {
    const shelf = new Shelf();
    const first = shelf.segment(S(3), { end: "0/3000100" });
    shelf.before = (request) => {
      if (request !== `get ${first}`) return;
      shelf.objects.delete(first);
      shelf.segment(S(3), { end: "0/3000200" });
    };
    expect(await shelf.library().give(S(3))).toMatchObject({ end: at("0/3000200") });
  });

  test("under another's key is damage, and of another cluster is refused (trap 9)", async () => {
    const shelf = new Shelf();
    const key = shelf.segment(S(3));
    shelf.objects.set(shelf.keys.segment({ timeline: line(1), start: at("0/4000000") }), shelf.objects.get(key) as OpenedObject);
    expect(await codeOf(shelf.library().give(S(4)))).toBe("TM-VAULT-DAMAGED");
    shelf.segment(S(5), { system: "8" });
    expect(await codeOf(shelf.library().give(S(5)))).toBe("TM-VAULT-OTHER-SYSTEM");
  });
});

describe("around a fork (R9)", () => {
  const forked = (): Shelf => {
    const shelf = new Shelf();
    shelf.history(2, "1\t0/4000100\tno recovery target specified\n");
    shelf.segment(S(3));
    shelf.segment(S(4), { end: "0/4000300" });
    shelf.segment(S(4, 2));
    return shelf;
  };

  test("the old timeline is given up to it, complete, and nothing of it beyond", async () => {
    const shelf = forked();
    const given = await shelf.library().give(S(4));
    expect(given).toMatchObject({ complete: true, end: at("0/4000100") });
    expect([given.bytes[0xff], given.bytes[0x100]]).toEqual([1, 0]);
    expect(await codeOf(shelf.library().give(S(5)))).toBe("TM-VAULT-END-OF-WAL");
  });

  test("an old timeline that ends before its fork has a hole there, also in a partial segment", async () => {
    const shelf = forked();
    shelf.objects.delete(shelf.keys.partial({ timeline: line(1), start: at("0/4000000") }, at("0/4000300")));
    expect(await codeOf(shelf.library().give(S(4)))).toBe("TM-VAULT-HOLE");
    shelf.segment(S(4), { end: "0/4000080" });
    expect(await codeOf(shelf.library().give(S(4)))).toBe("TM-VAULT-HOLE");
  });

  test("histories are given; one behind the newest never was; one that was passed over stops the recovery", async () => {
    const shelf = forked();
    expect(Buffer.from((await shelf.library().give("00000002.history")).bytes).toString()).toContain("0/4000100");
    expect(await codeOf(shelf.library().give("00000003.history"))).toBe("TM-VAULT-END-OF-WAL");
    shelf.history(4, "1\t0/4000100\tx\n");
    expect(await codeOf(shelf.library().give("00000003.history"))).toBe("TM-VAULT-OTHER-HISTORY");
    expect(await codeOf(shelf.library().give(S(4, 2)))).toBe("TM-VAULT-OTHER-HISTORY");
    expect(await codeOf(shelf.library().give(S(4, 5)))).toBe("TM-VAULT-UNSURE");
  });
});

test("without a data directory the only cluster of the store is meant, and two are refused", async () => {
  const shelf = new Shelf();
  shelf.segment(S(3));
  const library = (): StoreLibrary =>
    new StoreLibrary({
      name: "main",
      store: shelf,
      open: (bytes) => Promise.resolve(shelf.objects.get(Buffer.from(bytes).toString()) as OpenedObject),
    });
  expect(await library().give(S(3))).toMatchObject({ complete: true });
  shelf.objects.set("8/wal/00000001/x", shelf.objects.values().next().value as OpenedObject);
  expect(await codeOf(library().give(S(3)))).toBe("TM-VAULT-OTHER-SYSTEM");
});

test("a survey tells the recovery point, holes and evidence of each cluster, from keys and headers alone", async () => {
  const shelf = new Shelf();
  for (const number of [3, 4, 6]) shelf.segment(S(number));
  shelf.segment(S(7), { end: "0/7000100" });
  shelf.objects.set(`${shelf.keys.segment({ timeline: line(1), start: at("0/3000000") })}.conflict-0123456789abcdef`, {
    raw: new Uint8Array(),
    systemIdentifier: SYSTEM,
    timeline: 1,
  });
  const [survey, ...others] = await surveyStore({
    store: shelf,
    name: "main",
    nowMs: 5_000,
    header: (key) => {
      const { raw, timeline } = shelf.objects.get(key) as OpenedObject;
      const commits = { count: 1, last: { lsn: at("0/6000100"), timeMs: 4_000 } };
      const facts = { kind: "wal" as const, systemIdentifier: SYSTEM, timeline: line(timeline), commits };
      return Promise.resolve({ facts, rawBytes: raw.length, rawSha256: "", compression: "none", encryption: "none" });
    },
    history: () => Promise.resolve([]),
  });
  expect(others).toEqual([]);
  expect(survey).toMatchObject({
    systemIdentifier: SYSTEM,
    recoveryPoint: { timeline: 1, from: "0/6000000", lsn: "0/7000100", commitTimeMs: 4_000 },
    newestAtMs: 1_000,
    holes: [{ where: "main", kind: "wal", timeline: 1, start: "0/5000000", end: "0/6000000" }],
    faults: [{ code: "TM-VAULT-OTHER-BYTES", where: "main", range: { timeline: 1, start: "0/3000000", end: "0/4000000" } }],
  });
});
