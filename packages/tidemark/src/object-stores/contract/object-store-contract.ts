import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ObjectStore } from "../object-store.ts";
import type { StoreAccess } from "../object-store-world.ts";
import { codeOf } from "../testing/store-world.ts";

/** What the suite needs of an adapter: stores that are new and empty, each of which can be opened again. */
export interface ObjectStoreSubject {
  /** Opens the store `name`; the same name is the same store. */
  readonly open: (name: string, access?: StoreAccess) => Promise<ObjectStore>;
  /** It lists folder by folder, so that `a/c` comes before `a-b`. A store that does so for keys that are used is refused when it is listed. */
  readonly walksFolders?: boolean;
  readonly remove: () => Promise<void>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (read: Uint8Array): string => new TextDecoder().decode(read);

async function keysOf(store: ObjectStore, prefix: string, after?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, after === undefined ? {} : { after })) keys.push(key);
  return keys;
}

/** The contract of the object store's port: every adapter passes it. */
export function objectStoreContract(name: string, make: () => Promise<ObjectStoreSubject>): void {
  describe(`object store contract: ${name}`, () => {
    let subject: ObjectStoreSubject;
    let names = 0;
    const opened: ObjectStore[] = [];
    const open = async (storeName = `store-${++names}`, access?: StoreAccess): Promise<ObjectStore> => {
      const store = await subject.open(storeName, access);
      opened.push(store);
      return store;
    };
    beforeAll(async () => {
      subject = await make();
    });
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close();
    });
    afterAll(() => subject.remove());

    it("gives back the very bytes, of any size around what disks and buffers like", async () => {
      const store = await open();
      for (const size of [0, 1, 511, 512, 4_095, 4_096, 4_097, 4_194_303, 4_194_304, 5_242_885]) {
        const body = randomBytes(size);
        await store.put(`size/${size}`, body);
        expect(Buffer.compare(await store.get(`size/${size}`), body)).toBe(0);
        expect(await store.head(`size/${size}`)).toMatchObject({ key: `size/${size}`, bytes: size });
      }
    });

    it("says when an object was stored, to the second, by its own clock", async () => {
      const store = await open();
      const beforeMs = Date.now();
      await store.put("a", bytes("a"));
      const facts = await store.head("a");
      expect(facts?.modifiedAtMs).toBeGreaterThanOrEqual(beforeMs - 2_000);
      expect(facts?.modifiedAtMs).toBeLessThanOrEqual(Date.now() + 2_000);
    });

    it("puts the new object in the place of the old one", async () => {
      const store = await open();
      await store.put("a/b", bytes("the first, longer one"));
      await store.put("a/b", bytes("second"));
      expect(text(await store.get("a/b"))).toBe("second");
    });

    it("keeps objects when it is closed and opened again", async () => {
      const store = await open("kept");
      await store.put("a/b/c", bytes("kept"));
      await store.close();
      const again = await open("kept");
      expect(text(await again.get("a/b/c"))).toBe("kept");
      expect(await keysOf(again, "")).toEqual(["a/b/c"]);
    });

    it("reads ranges, and leaves out what lies beyond the end", async () => {
      const store = await open();
      const body = randomBytes(10_000);
      await store.put("ranged", body);
      for (const [start, end] of [
        [0, 2],
        [0, 10_000],
        [1, 4_097],
        [4_095, 4_097],
        [4_096, 8_192],
        [9_999, 10_000],
        [9_000, 20_000],
        [10_000, 20_000],
        [50_000, 60_000],
        [5, 5],
      ] as const)
        expect(Buffer.compare(await store.get("ranged", { range: { start, end } }), body.subarray(start, end))).toBe(0);
      expect(await codeOf(store.get("absent", { range: { start: 0, end: 10 } }))).toBe("TM-OBJECT-MISSING");
      expect(await codeOf(store.get("absent", { range: { start: 0, end: 0 } }))).toBe("TM-OBJECT-MISSING");
    });

    it("says that there is no object, and deletes one that is not there", async () => {
      const store = await open();
      await store.put("a/b", bytes("x"));
      for (const key of ["absent", "a", "a/b/c", "a/c"]) {
        expect(await store.head(key)).toBeUndefined();
        expect(await codeOf(store.get(key))).toBe("TM-OBJECT-MISSING");
        await store.delete(key);
      }
      await store.delete("absent");
      await store.delete("absent/too");
    });

    it("deletes an object, and that one only", async () => {
      const store = await open();
      await store.put("a/b", bytes("x"));
      await store.put("a/c", bytes("y"));
      await store.delete("a/b");
      expect(await codeOf(store.get("a/b"))).toBe("TM-OBJECT-MISSING");
      expect(await keysOf(store, "")).toEqual(["a/c"]);
    });

    it("stores only where there is none, when asked so, and overwrites nothing", async () => {
      const store = await open();
      await store.put("once", bytes("first"), { ifAbsent: true });
      expect(await codeOf(store.put("once", bytes("second"), { ifAbsent: true }))).toBe("TM-OBJECT-EXISTS");
      expect(text(await store.get("once"))).toBe("first");
    });

    it("lets one of many who store at once win, where it claims that it can", async () => {
      const store = await open();
      if (!store.abilities.conditional) return;
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, index) => codeOf(store.put("race", bytes(`writer ${index}`), { ifAbsent: true }))),
      );
      expect(outcomes.filter((code) => code === "no error")).toHaveLength(1);
      expect(outcomes.filter((code) => code === "TM-OBJECT-EXISTS")).toHaveLength(7);
      expect(text(await store.get("race"))).toBe(`writer ${outcomes.indexOf("no error")}`);
    });

    it("lists in the order of the keys' bytes, folders or not, from any prefix and after any key", async () => {
      const store = await open();
      const inBothOrders = ["a0", "ab/x", "ab/y/z", "b/1", "b/10", "b/2", "b_", "c/d/e/f", "z/z"];
      const keys = subject.walksFolders === true ? inBothOrders : [...inBothOrders, "a-b", "a.b", "b-1/x", "B/1", "c/d.e", "Z"];
      for (const key of keys) await store.put(key, bytes(key));
      const sorted = keys.sort((left, right) => (left < right ? -1 : 1));
      expect(await keysOf(store, "")).toEqual(sorted);
      for (const prefix of ["a", "ab", "ab/", "ab/y", "b", "b/", "b/1", "c/d", "c/d/", "c/d/e/f", "none", "none/at/all"])
        expect(await keysOf(store, prefix)).toEqual(sorted.filter((key) => key.startsWith(prefix)));
      for (const after of [...sorted, "ab", "ab/", "b/", "a", "zz", "c/d/e/"])
        for (const prefix of ["", "b", "b/", "c/"])
          expect(await keysOf(store, prefix, after)).toEqual(sorted.filter((key) => key.startsWith(prefix) && key > after));
      const sizes: number[] = [];
      for await (const { bytes: size } of store.list("ab/")) sizes.push(size);
      expect(sizes).toEqual([4, 6]);
    });

    it("lists more objects than fit on a page, each once", async () => {
      const store = await open();
      const keys = Array.from({ length: 1_030 }, (_, index) => `many/${String(index).padStart(5, "0")}`);
      for (let at = 0; at < keys.length; at += 20) await Promise.all(keys.slice(at, at + 20).map((key) => store.put(key, bytes(key))));
      expect(await keysOf(store, "many/")).toEqual(keys);
      expect(await keysOf(store, "many/", keys[1_020])).toEqual(keys.slice(1_021));
    });

    it.each([
      "",
      "/",
      "a/",
      "/a",
      "a//b",
      ".",
      "..",
      "../a",
      "a/../../b",
      "a/./b",
      ".tidemark/x",
      "a/.b",
      "a\\b",
      "a b",
      "a\0b",
      "ä",
      "a\nb",
      "%2e%2e/a",
      "x".repeat(513),
      "a/".repeat(255) + "abc",
      "y".repeat(201),
    ])("takes no key that could mean another or lead elsewhere: %j", async (key) => {
      const store = await open("keys");
      const works = [
        async () => store.put(key, bytes("x")),
        async () => store.get(key),
        async () => store.head(key),
        async () => store.delete(key),
      ];
      for (const work of works) expect(await codeOf(work())).toBe("TM-OBJECT-KEY");
    });

    it("takes no prefix that leads elsewhere", async () => {
      const store = await open();
      for (const prefix of ["..", "../", "/", "a/../", ".", "a//"]) expect(await codeOf(keysOf(store, prefix))).toBe("TM-OBJECT-KEY");
    });

    it("stores and reads an object of 64 MiB", async () => {
      const store = await open();
      const body = randomBytes(64 * 1_048_576);
      await store.put("large/object", body);
      expect(Buffer.compare(await store.get("large/object"), body)).toBe(0);
      expect(await store.head("large/object")).toMatchObject({ bytes: body.length });
      expect(
        Buffer.compare(
          await store.get("large/object", { range: { start: 33_554_431, end: 33_554_434 } }),
          body.subarray(33_554_431, 33_554_434),
        ),
      ).toBe(0);
      expect(await codeOf(store.put("large/object", body, { ifAbsent: true }))).toBe("TM-OBJECT-EXISTS");
    }, 60_000);

    it("holds no more bytes in memory than are allowed", async () => {
      const store = await open();
      await store.put("big", randomBytes(10_001));
      expect(await codeOf(store.get("big", { maxBytes: 10_000 }))).toBe("TM-OBJECT-TOO-LARGE");
      expect((await store.get("big", { maxBytes: 10_001 })).length).toBe(10_001);
      expect((await store.get("big", { maxBytes: 10, range: { start: 5, end: 15 } })).length).toBe(10);
    });

    it("refuses to lock where it cannot, instead of pretending", async () => {
      const store = await open();
      if (store.abilities.lock) return;
      expect(await codeOf(store.put("locked", bytes("x"), { lockedUntilMs: Date.now() + 60_000 }))).toBe("TM-OBJECT-UNSUPPORTED");
      expect(await store.head("locked")).toBeUndefined();
    });

    it("rejects with the signal's reason when it is aborted, and has stored all or nothing", async () => {
      const store = await open();
      await store.put("a", bytes("before"));
      const reason = new Error("enough");
      const signal = AbortSignal.abort(reason);
      await expect(store.put("a", bytes("after"), { signal })).rejects.toBe(reason);
      await expect(store.get("a", { signal })).rejects.toBe(reason);
      await expect(store.head("a", { signal })).rejects.toBe(reason);
      await expect(store.delete("a", { signal })).rejects.toBe(reason);
      expect(text(await store.get("a"))).toBe("before");
    });

    it("writes nothing when it was opened for reading", async () => {
      const writer = await open("shared");
      await writer.put("a", bytes("there"));
      const reader = await open("shared", "read");
      expect(text(await reader.get("a"))).toBe("there");
      expect(await keysOf(reader, "")).toEqual(["a"]);
      expect(await codeOf(reader.put("b", bytes("x")))).toBe("TM-OBJECT-STORE-DENIED");
      expect(await codeOf(reader.delete("a"))).toBe("TM-OBJECT-STORE-DENIED");
      expect(await keysOf(writer, "")).toEqual(["a"]);
    });

    it("gives each reader bytes of its own", async () => {
      const store = await open();
      await store.put("a", bytes("unchanged"));
      const [one, two] = await Promise.all([store.get("a"), store.get("a")]);
      one.fill(0);
      expect(text(two)).toBe("unchanged");
      expect(text(await store.get("a"))).toBe("unchanged");
    });
  });
}
