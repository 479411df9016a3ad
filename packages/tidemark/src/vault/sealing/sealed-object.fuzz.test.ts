import { createHash } from "node:crypto";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closeFrame, frameStart, readSealedStart } from "./sealed-frame.ts";
import type { SealedFacts, SealedKind } from "./sealed-header.ts";
import { sealObject, unsealObject } from "./sealed-object.ts";
import { KeyRing } from "./key-ring.ts";
import { localKey, localRing, plainRing } from "./testing/local-keys.ts";

const lsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 2n });
const timeMs = fc.double({ min: 0, max: 4e12, noNaN: true }).map((value) => (Object.is(value, -0) ? 0 : value));
const place = fc.record({ lsn: lsn.map((value) => value as Lsn), timeMs });
const commits = fc.record({ count: fc.nat(), first: place, last: place }, { requiredKeys: ["count"] });
const facts: fc.Arbitrary<SealedFacts> = fc
  .record({
    kind: fc.constantFrom<SealedKind>("wal", "wal-partial", "timeline-history"),
    system: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
    timeline: fc.integer({ min: 1, max: 0xffff_ffff }),
    start: lsn,
    length: fc.integer({ min: 1, max: 1 << 30 }),
    commits: fc.option(commits, { nil: undefined }),
  })
  .map((drawn) => {
    const end = drawn.start + BigInt(drawn.length);
    const range = { start: drawn.start as Lsn, end: (end > 2n ** 64n - 1n ? 2n ** 64n - 1n : end) as Lsn };
    return {
      kind: drawn.kind,
      systemIdentifier: String(drawn.system) as SystemIdentifier,
      timeline: drawn.timeline as Timeline,
      ...(drawn.kind === "timeline-history" ? {} : { range }),
      ...(drawn.commits === undefined ? {} : { commits: drawn.commits }),
    };
  });
const raw = fc.oneof(
  fc.uint8Array({ maxLength: 5_000 }),
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.nat(20_000))
    .map(([piece, length]) => new Uint8Array(Buffer.alloc(length, piece))),
);
const level = fc.constantFrom<number | "none">("none", 1, 3);
const both = new KeyRing({ active: localKey(1), former: [localKey(2)], acceptsUnencrypted: true });

/** Resolves with what it gave, or with the code; anything else than a TidemarkError fails the test. */
async function outcome(bytes: Uint8Array, keys: KeyRing): Promise<Uint8Array | string> {
  try {
    return (await unsealObject(bytes, { keys })).raw;
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    return error.code;
  }
}

describe("sealed objects, drawn at random", () => {
  it("give back what was sealed and said", async () => {
    await fc.assert(
      fc.asyncProperty(raw, facts, level, fc.boolean(), async (body, said, zstdLevel, encrypted) => {
        const keys = encrypted ? localRing(1) : plainRing();
        const { bytes } = await sealObject(body, said, { keys, zstdLevel, random: systemRandom });
        const back = await unsealObject(bytes, { keys });
        expect(Buffer.compare(back.raw, body)).toBe(0);
        expect(back.header.facts).toEqual(said);
      }),
      { numRuns: 2_000 },
    );
  });

  it("give an error and never other bytes after any change of theirs", async () => {
    const change = fc.oneof(
      fc.record({ how: fc.constant("flip" as const), at: fc.nat(), bit: fc.nat(7) }),
      fc.record({ how: fc.constant("cut" as const), at: fc.nat(), bit: fc.nat(7) }),
      fc.record({ how: fc.constant("insert" as const), at: fc.nat(), bit: fc.nat(255) }),
      fc.record({ how: fc.constant("zero" as const), at: fc.nat(), bit: fc.integer({ min: 1, max: 64 }) }),
    );
    await fc.assert(
      fc.asyncProperty(
        raw,
        facts,
        level,
        fc.boolean(),
        fc.array(change, { minLength: 1, maxLength: 3 }),
        async (body, said, zstdLevel, encrypted, changes) => {
          const keys = encrypted ? localRing(2, 1) : plainRing();
          const { bytes } = await sealObject(body, said, { keys, zstdLevel, random: systemRandom });
          let changed = Buffer.from(bytes);
          for (const { how, at, bit } of changes) {
            const place = at % Math.max(1, changed.length);
            if (how === "flip") changed[place] = (changed[place] ?? 0) ^ (1 << bit);
            else if (how === "cut") changed = changed.subarray(0, place);
            else if (how === "insert") changed = Buffer.concat([changed.subarray(0, place), Buffer.from([bit]), changed.subarray(place)]);
            else changed.fill(0, place, Math.min(place + bit, changed.length));
          }
          const result = await outcome(changed, both);
          if (changed.equals(bytes)) expect(Buffer.compare(result as Uint8Array, body)).toBe(0);
          else expect(result).toMatch(/^TM-SEAL-/);
        },
      ),
      { numRuns: 1_500 },
    );
  });

  it("give an error and never other bytes when somebody made the checksums anew", async () => {
    await fc.assert(
      fc.asyncProperty(raw, facts, level, fc.boolean(), fc.nat(), fc.nat(255), async (body, said, zstdLevel, encrypted, at, byte) => {
        const keys = encrypted ? localRing(1) : plainRing();
        const { bytes } = await sealObject(body, said, { keys, zstdLevel, random: systemRandom });
        const { authenticated, bodyStart, bodyEnd } = readSealedStart(bytes);
        const json = Buffer.from(authenticated.subarray(24));
        const inside = Buffer.from(bytes.subarray(bodyStart, bodyEnd));
        const place = at % (json.length + inside.length);
        if (place < json.length) json[place] = byte;
        else inside[place - json.length] = byte;
        const result = await outcome(await closeFrame(frameStart(json, inside.length), [inside]), keys);
        // Without encryption the header is only as true as who can write to the store; the bytes are still those of its SHA-256.
        if (typeof result !== "string") expect(Buffer.compare(result, body)).toBe(0);
        else expect(result).toMatch(/^TM-SEAL-/);
      }),
      { numRuns: 1_500 },
    );
  });

  it("are refused as a whole when they are any bytes at all, behind a right beginning or not", async () => {
    const start = Buffer.from("TMSEALED\0\u0001\0\0", "latin1");
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), fc.boolean(), async (bytes, begun, summed) => {
        const framed = summed ? await closeFrame(frameStart(bytes.subarray(0, bytes.length >> 1), bytes.length), [bytes]) : bytes;
        expect(await outcome(begun && !summed ? Buffer.concat([start, framed]) : framed, both)).toMatch(/^TM-SEAL-/);
      }),
      { numRuns: 2_000 },
    );
  });

  it("have headers that any JSON may stand in without harm", async () => {
    const sha = createHash("sha256").update("x").digest("hex");
    const field = fc.oneof(
      fc.constantFrom<unknown>("none", "wal", "zstd", "0/0", "0/1", sha, 1, 0, -1, 2 ** 53, 1e308, null, true, "__proto__"),
      fc.jsonValue({ maxDepth: 2 }),
    );
    const header = fc.dictionary(
      fc.constantFrom(
        "kind",
        "systemIdentifier",
        "timeline",
        "start",
        "end",
        "commits",
        "rawBytes",
        "rawSha256",
        "compression",
        "encryption",
        "__proto__",
        "more",
      ),
      field,
    );
    await fc.assert(
      fc.asyncProperty(header, async (json) => {
        const result = await outcome(await closeFrame(frameStart(Buffer.from(JSON.stringify(json)), 1), [Buffer.from("x")]), both);
        expect(typeof result === "string" ? result : "bytes").toMatch(/^TM-SEAL-/);
      }),
      { numRuns: 2_000 },
    );
  });
});
