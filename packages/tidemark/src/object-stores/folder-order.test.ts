// The order of a put's system calls, and every one of them failing in turn.
import * as realFiles from "node:fs/promises";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openFolderStore } from "./folder-store.ts";
import type { ObjectStore } from "./object-store.ts";
import { codeOf, storeWorld } from "./testing/store-world.ts";

/** What was called, with the last part of the path; from `failAt` on the call of that number fails with EIO. */
const calls: string[] = [];
let failAt = Number.POSITIVE_INFINITY;

function note(what: string): void {
  calls.push(what);
  if (calls.length === failAt) throw Object.assign(new Error("EIO: i/o error"), { code: "EIO", syscall: what.split(" ")[0] });
}

vi.mock("node:fs/promises", async (importOriginal) => {
  const real = await importOriginal<typeof realFiles>();
  const nameOf = (path: unknown): string =>
    String(path)
      .split("/")
      .at(-1)
      ?.replace(/^put-.*/, "temporary") ?? "";
  return {
    ...real,
    open: async (path: string, flags: number, mode?: number) => {
      const name = nameOf(path);
      note(`open ${name}`);
      const handle = await real.open(path, flags, mode);
      return new Proxy(handle, {
        get(target, property) {
          if (property !== "write" && property !== "datasync" && property !== "sync") {
            const value = Reflect.get(target, property) as unknown;
            return typeof value === "function" ? (value.bind(target) as unknown) : value;
          }
          return async (...given: never[]) => {
            note(`${property} ${name}`);
            return (target[property] as (...all: never[]) => Promise<unknown>).apply(target, given);
          };
        },
      });
    },
    rename: async (from: string, to: string) => {
      note(`rename ${nameOf(from)} ${nameOf(to)}`);
      await real.rename(from, to);
    },
    link: async (from: string, to: string) => {
      note(`link ${nameOf(from)} ${nameOf(to)}`);
      await real.link(from, to);
    },
    mkdir: async (path: string, options: object) => {
      note(`mkdir ${nameOf(path)}`);
      await real.mkdir(path, options);
    },
  };
});

describe("a put into a folder", () => {
  let directory: string;
  let store: ObjectStore;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "tidemark-order-"));
    failAt = Number.POSITIVE_INFINITY;
    store = await openFolderStore({ kind: "folder", directory: join(directory, "root") }, storeWorld());
    calls.length = 0;
  });
  afterEach(async () => {
    failAt = Number.POSITIVE_INFINITY;
    await rm(directory, { recursive: true, force: true });
  });

  it("is durable under another name before it has its own, and each folder up to the root before it is told", async () => {
    await store.put("a/b/object", new Uint8Array(10));
    expect(calls).toEqual([
      "open temporary",
      "write temporary",
      "datasync temporary",
      "mkdir a",
      "mkdir b",
      "rename temporary object",
      ...["b", "b", "a", "root"].slice(1).flatMap((name) => [`open ${name}`, `sync ${name}`]),
    ]);
  });

  it("links where it must not replace, and makes the folder durable also when it found another's object", async () => {
    await store.put("a/object", new Uint8Array(10), { ifAbsent: true });
    calls.length = 0;
    expect(await codeOf(store.put("a/object", new Uint8Array(10), { ifAbsent: true }))).toBe("TM-OBJECT-EXISTS");
    expect(calls).toEqual(["open temporary", "write temporary", "datasync temporary", "link temporary object", "open a", "sync a"]);
  });

  it("has stored all or nothing whichever of its calls fails, and tells of no success", async () => {
    const before = new Uint8Array(10).fill(1);
    const after = new Uint8Array(20).fill(2);
    await store.put("a/old", before);
    let attempts = 0;
    for (let call = 1; ; call++) {
      calls.length = 0;
      failAt = call;
      const folder = `new-${call}`;
      const outcomes = [await codeOf(store.put("a/old", after))];
      if (calls.length < call) outcomes.push(await codeOf(store.put(`${folder}/object`, after, { ifAbsent: true })));
      const failed = calls.length >= call;
      failAt = Number.POSITIVE_INFINITY;
      const old = await store.get("a/old");
      expect([10, 20]).toContain(old.length);
      const fresh = await store.head(`${folder}/object`);
      expect([undefined, 20]).toContain(fresh?.bytes);
      if (!failed) break;
      attempts++;
      expect(outcomes.at(-1)).toBe("TM-OBJECT-STORE-FAULT");
      await store.put("a/old", before);
    }
    expect(attempts).toBeGreaterThanOrEqual(10);
  });
});
