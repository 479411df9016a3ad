import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { inspect } from "node:util";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { codeOf, temporaryFolder } from "../../object-stores/testing/store-world.ts";
import { KeyRing } from "./key-ring.ts";
import { keyFromEnvironment, keyFromFile, makeKeyFile } from "./local-key.ts";
import { localKey } from "./testing/local-keys.ts";

const bytes = Buffer.from("00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210", "hex");
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let file: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  file = join(folder.path, "key");
});
afterEach(() => folder.remove());

const context = { "tidemark:kind": "wal" };

describe("a key in a file", () => {
  it.each([
    ["base64", bytes.toString("base64")],
    ["base64 with a line's end", `${bytes.toString("base64")}\n`],
    ["base64url without padding", bytes.toString("base64url")],
    ["hexadecimal", bytes.toString("hex")],
    ["hexadecimal in capitals", `${bytes.toString("hex").toUpperCase()}\r\n`],
    ["bytes as they are", bytes],
  ])("is the same key in every form: %s", async (_, content) => {
    writeFileSync(file, content, { mode: 0o600 });
    const key = await keyFromFile(file, systemRandom);
    expect(key.keyId).toBe(keyFromEnvironment("KEY", { KEY: bytes.toString("base64") }, systemRandom).keyId);
  });

  it.each([
    ["nothing", ""],
    ["half a key in hexadecimal, which has 32 characters", bytes.toString("hex").slice(0, 32)],
    ["a password of 32 characters", "correct horse battery staple....".slice(0, 32)],
    ["31 bytes", bytes.subarray(1)],
    ["33 bytes in base64", Buffer.concat([bytes, bytes.subarray(0, 1)]).toString("base64")],
    ["two keys", `${bytes.toString("base64")}\n${bytes.toString("base64")}\n`],
    ["a long file", "x".repeat(300)],
  ])("is refused when it holds %s, and is not shown", async (_, content) => {
    writeFileSync(file, content, { mode: 0o600 });
    const error: unknown = await keyFromFile(file, systemRandom).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "TM-SEAL-KEY-SOURCE" });
    if (content.length > 0) expect(inspect(error)).not.toContain(content.toString().slice(0, 12));
  });

  it("is refused when everybody may read it, when it is absent, and when it is a folder", async () => {
    writeFileSync(file, bytes, { mode: 0o600 });
    chmodSync(file, 0o604);
    expect(await codeOf(keyFromFile(file, systemRandom))).toBe("TM-SEAL-KEY-SOURCE");
    expect(await codeOf(keyFromFile(`${file}.absent`, systemRandom))).toBe("TM-SEAL-KEY-SOURCE");
    mkdirSync(`${file}.d`, { mode: 0o700 });
    expect(await codeOf(keyFromFile(`${file}.d`, systemRandom))).toBe("TM-SEAL-KEY-SOURCE");
  });

  it("is made only where that is asked for, private, once, and never over one that is there", async () => {
    const made = await Promise.all(Array.from({ length: 5 }, () => makeKeyFile(file, systemRandom)));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const content = readFileSync(file, "latin1");
    expect(content).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(await makeKeyFile(file, systemRandom)).toBe(false);
    expect(readFileSync(file, "latin1")).toBe(content);
    writeFileSync(file, "broken");
    expect(await codeOf(makeKeyFile(file, systemRandom))).toBe("TM-SEAL-KEY-SOURCE");
    expect(readFileSync(file, "latin1")).toBe("broken");
  });
});

describe("a key in the environment", () => {
  it.each([undefined, "", "short", bytes.toString("hex").slice(1), "x".repeat(32)])("is refused when it is none: %j", (value) => {
    const attempt = (): unknown => keyFromEnvironment("KEY", { KEY: value }, systemRandom);
    expect(attempt).toThrow(expect.objectContaining({ code: "TM-SEAL-KEY-SOURCE" }));
    if (value !== undefined && value !== "") expect(attempt).not.toThrow(value);
  });
});

describe("a local key", () => {
  it("unwraps what it wrapped, with the same context only, whatever its order", async () => {
    const key = localKey(7);
    const { plain, wrapped } = await key.newDataKey({ a: "1", b: "2" });
    expect(Buffer.compare((await key.unwrap(wrapped, { b: "2", a: "1" })).reveal(), plain.reveal())).toBe(0);
    for (const other of [{ a: "1" }, { a: "2", b: "1" }, { a: "1", b: "2", c: "3" }, {}])
      expect(await codeOf(key.unwrap(wrapped, other))).toBe("TM-SEAL-KEY-WRONG");
  });

  it("unwraps nothing that was turned by a bit, cut, or made by another key", async () => {
    const key = localKey(7);
    const { wrapped } = await key.newDataKey(context);
    for (let bit = 0; bit < wrapped.length * 8; bit++) {
      const flipped = Buffer.from(wrapped);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(await codeOf(key.unwrap(flipped, context))).toBe("TM-SEAL-KEY-WRONG");
    }
    expect(await codeOf(key.unwrap(wrapped.subarray(1), context))).toBe("TM-SEAL-KEY-WRONG");
    expect(await codeOf(key.unwrap(randomBytes(60), context))).toBe("TM-SEAL-KEY-WRONG");
    expect(await codeOf(localKey(8).unwrap(wrapped, context))).toBe("TM-SEAL-KEY-WRONG");
  });

  it("shows itself nowhere", async () => {
    const key = localKey(7);
    const shown = inspect([key, await key.newDataKey(context), new KeyRing({ active: key, former: [], acceptsUnencrypted: false })], {
      depth: 10,
    });
    expect(shown).not.toMatch(/07, ?07|7, 7, 7|BwcHBw|0707/);
  });
});
