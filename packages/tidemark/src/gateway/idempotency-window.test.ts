import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IdempotencyWindow } from "./idempotency-window.ts";
import { canonicalJson, contentHash, keyDigest } from "./write-digest.ts";

const CONTENT = "0123456789abcdef0123456789abcdef";
const OTHER = "0123456789abcdee0123456789abcdef";
const HOUR = 3_600_000;

describe("the idempotency window", () => {
  test("remembers a key with its sequence and content until its time is over", () => {
    const window = new IdempotencyWindow({ windowMs: 1_000, count: 10 });
    const digest = keyDigest("a", "k");
    expect(window.find(digest, CONTENT, 0)).toBeUndefined();
    window.remember(digest, { contentHash: CONTENT, sequence: 2n ** 60n, acceptedAtMs: 5_000 });
    expect(window.find(digest, CONTENT, 5_999)).toEqual({ sequence: 2n ** 60n, acceptedAtMs: 5_000, sameContent: true });
    expect(window.find(digest, OTHER, 5_999)).toMatchObject({ sameContent: false });
    expect(window.find(digest, CONTENT, 6_000)).toBeUndefined();
  });

  test("forgets the oldest when it is full, and no other", () => {
    const window = new IdempotencyWindow({ windowMs: HOUR, count: 3 });
    for (let n = 1; n <= 5; n++) window.remember(keyDigest("a", String(n)), { contentHash: CONTENT, sequence: BigInt(n), acceptedAtMs: n });
    expect([1, 2, 3, 4, 5].map((n) => window.find(keyDigest("a", String(n)), CONTENT, 10)?.sequence)).toEqual([
      undefined,
      undefined,
      3n,
      4n,
      5n,
    ]);
    expect(window).toMatchObject({ size: 3, oldestAcceptedAtMs: 3 });
  });

  test("is as large after a million keys as at the start", () => {
    const window = new IdempotencyWindow({ windowMs: HOUR, count: 50_000 });
    const { bytes } = window;
    for (let n = 0; n < 200_000; n++)
      window.remember(keyDigest("a", String(n)), { contentHash: CONTENT, sequence: BigInt(n), acceptedAtMs: n });
    expect(window).toMatchObject({ bytes, size: 50_000 });
    expect(bytes).toBeLessThan(50_000 * 60);
  });

  test("does what a map with a list would do, for any order of keys, times and limits", () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 30 }),
      passMs: fc.integer({ min: 0, max: 400 }),
      content: fc.constantFrom(CONTENT, OTHER),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 200 }), (count, steps) => {
        const window = new IdempotencyWindow({ windowMs: 1_000, count });
        // Few slots and keys with the same home: probing and moving back happen all the time.
        const digestOf = (key: number): string => `\0\0\0${String.fromCharCode(key % 3)}${keyDigest("a", String(key)).slice(4)}`;
        let model: { key: number; content: string; sequence: bigint; atMs: number }[] = [];
        let nowMs = 10_000;
        for (const [index, { key, passMs, content }] of steps.entries()) {
          nowMs += passMs;
          model = model.filter((entry) => entry.atMs + 1_000 > nowMs);
          const known = model.find((entry) => entry.key === key);
          const found = window.find(digestOf(key), content, nowMs);
          expect(found).toEqual(
            known === undefined
              ? undefined
              : { sequence: known.sequence, acceptedAtMs: known.atMs, sameContent: known.content === content },
          );
          if (known !== undefined) continue;
          if (model.length === count) model.shift();
          model.push({ key, content, sequence: BigInt(index), atMs: nowMs });
          window.remember(digestOf(key), { contentHash: content, sequence: BigInt(index), acceptedAtMs: nowMs });
          expect(window.size).toBe(model.length);
        }
        for (let key = 0; key <= 30; key++) {
          expect(window.find(digestOf(key), CONTENT, nowMs)?.sequence).toBe(model.find((entry) => entry.key === key)?.sequence);
        }
      }),
    );
  });
});

describe("digests", () => {
  test("scope and key do not run into each other", () => {
    expect(keyDigest("ab", "c")).not.toBe(keyDigest("a", "bc"));
  });

  test("the order of members does not matter, everything else does", () => {
    expect(contentHash("c", "k", { a: 1, b: [1, { d: 1, c: 2 }] })).toBe(contentHash("c", "k", { b: [1, { c: 2, d: 1 }], a: 1 }));
    const hashes = [
      contentHash("c", "k", { a: [1, 2] }),
      contentHash("c", "k", { a: [2, 1] }),
      contentHash("c", "k", { a: "1" }),
      contentHash("d", "k", { a: [1, 2] }),
      contentHash("c", "l", { a: [1, 2] }),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  test("canonical JSON is JSON of the same value, for any value", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});
