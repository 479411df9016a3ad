// Objects as version 1 wrote them, kept for good: whatever the code becomes, it opens them.
import { readFileSync } from "node:fs";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { seededRandom } from "@tidemark/kernel/random";
import { Redacted } from "@tidemark/kernel/redacted";
import { describe, expect, it } from "vitest";
import { KEY_BYTES } from "./key-provider.ts";
import { KeyRing } from "./key-ring.ts";
import { LocalKey } from "./local-key.ts";
import type { SealedFacts } from "./sealed-header.ts";
import { checkSealedObject, sealObject, unsealObject } from "./sealed-object.ts";
import { localRing, plainRing } from "./testing/local-keys.ts";

const raw = new TextEncoder().encode("write-ahead log of a segment that was short. ".repeat(40));
const facts: SealedFacts = {
  kind: "wal-partial",
  systemIdentifier: "7412345678901234567" as SystemIdentifier,
  timeline: 3 as Timeline,
  range: { start: parseLsn("A/3000000"), end: parseLsn("A/3000708") },
  commits: {
    count: 2,
    first: { lsn: parseLsn("A/3000100"), timeMs: 1_700_000_000_000.5 },
    last: { lsn: parseLsn("A/3000700"), timeMs: 1_700_000_001_000 },
  },
};
const history: SealedFacts = { kind: "timeline-history", systemIdentifier: facts.systemIdentifier, timeline: 2 as Timeline };
const fixture = (name: string): Uint8Array => readFileSync(new URL(`testing/fixtures/version-1/${name}.sealed`, import.meta.url));

describe("a sealed object of version 1", () => {
  it.each([
    ["encrypted-zstd", localRing(1), facts],
    ["encrypted-none", localRing(2, 1), facts],
    ["plain-zstd", plainRing(), facts],
    ["plain-none", plainRing(), history],
  ] as const)("is opened for good: %s", async (name, keys, said) => {
    const opened = await unsealObject(fixture(name), { keys });
    expect(Buffer.compare(opened.raw, raw)).toBe(0);
    expect(opened.header.facts).toEqual(said);
    expect(await checkSealedObject(fixture(name))).toEqual(opened.header);
  });

  it("is written as it was, to the byte, from the same key, nonce and bytes", async () => {
    const random = seededRandom(1);
    const active = new LocalKey(new Redacted(new Uint8Array(KEY_BYTES).fill(1)), random);
    const keys = new KeyRing({ active, former: [], acceptsUnencrypted: false });
    const { bytes } = await sealObject(raw, facts, { keys, zstdLevel: "none", random });
    expect(Buffer.compare(bytes, fixture("encrypted-none"))).toBe(0);
    const plain = await sealObject(raw, history, { keys: plainRing(), zstdLevel: "none", random });
    expect(Buffer.compare(plain.bytes, fixture("plain-none"))).toBe(0);
  });
});
