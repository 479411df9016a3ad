import { createHash, randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { describe, expect, it } from "vitest";
import type { KeyRing } from "./key-ring.ts";
import { KeyRing as Ring } from "./key-ring.ts";
import { closeFrame, frameStart, readSealedStart, SEALED_START_BYTES } from "./sealed-frame.ts";
import { encodeHeader, type SealedFacts, type SealedHeader } from "./sealed-header.ts";
import { checkSealedObject, sealObject, unsealObject } from "./sealed-object.ts";
import { localKey, localRing, plainRing } from "./testing/local-keys.ts";

const facts: SealedFacts = {
  kind: "wal-partial",
  systemIdentifier: "7412345678901234567" as SystemIdentifier,
  timeline: 3 as Timeline,
  range: { start: parseLsn("A/3000000"), end: parseLsn("A/3001234") },
  commits: {
    count: 2,
    first: { lsn: parseLsn("A/3000100"), timeMs: 1_700_000_000_000.5 },
    last: { lsn: parseLsn("A/3001000"), timeMs: 1_700_000_001_000 },
  },
};
const raw = Buffer.concat([Buffer.alloc(3_000, "wal "), randomBytes(500), Buffer.alloc(1_000)]);
const seal = async (keys: KeyRing, zstdLevel: number | "none" = 1): Promise<Uint8Array> =>
  (await sealObject(raw, facts, { keys, zstdLevel, random: systemRandom })).bytes;

/** The code with which `work` rejects. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "no error",
    (error: unknown) => String((error as { code?: unknown }).code ?? error),
  );
}

/** An object with right checksums whose header and body somebody else chose. */
async function forge(header: Partial<SealedHeader>, body: Uint8Array): Promise<Uint8Array> {
  const whole: SealedHeader = {
    facts,
    rawBytes: raw.length,
    rawSha256: createHash("sha256").update(raw).digest("hex"),
    compression: { algorithm: "zstd", level: 1 },
    encryption: "none",
    ...header,
  };
  return closeFrame(frameStart(encodeHeader(whole), body.length), [body]);
}

describe("a sealed object", () => {
  it.each([
    ["encrypted and compressed", localRing(1), 1],
    ["encrypted only", localRing(1), "none"],
    ["compressed only", plainRing(), 19],
    ["neither, where that was asked for", plainRing(), "none"],
  ] as const)("gives back the very bytes, with everything that was said of them: %s", async (_, keys, level) => {
    const bytes = await seal(keys, level);
    const { raw: back, header } = await unsealObject(bytes, { keys });
    expect(Buffer.compare(back, raw)).toBe(0);
    expect(header.facts).toEqual(facts);
    expect(header.rawSha256).toBe(createHash("sha256").update(raw).digest("hex"));
    expect(await checkSealedObject(bytes)).toEqual(header);
  });

  it("seals nothing, and large things in several slices", async () => {
    for (const length of [0, 1, 9 * 1_048_576 + 7]) {
      const body = randomBytes(length);
      const keys = localRing(1);
      const { bytes } = await sealObject(body, facts, { keys, zstdLevel: 1, random: systemRandom });
      expect(Buffer.compare((await unsealObject(bytes, { keys })).raw, body)).toBe(0);
    }
  });

  it("shows nothing of what it encloses, and never the same bytes twice", async () => {
    const one = Buffer.from(await seal(localRing(1), "none"));
    const two = Buffer.from(await seal(localRing(1), "none"));
    expect(one.includes("wal wal ")).toBe(false);
    expect(one.equals(two)).toBe(false);
    expect(readSealedStart(one).header.rawSha256).toBe(readSealedStart(two).header.rawSha256);
  });

  it("has a header that is read from its beginning, without a key", async () => {
    const bytes = await seal(localRing(1));
    const start = readSealedStart(bytes.subarray(0, SEALED_START_BYTES));
    expect(start.header.facts).toEqual(facts);
    expect(start.objectBytes).toBe(bytes.length);
    expect(readSealedStart(bytes.subarray(0, start.bodyStart)).header.facts).toEqual(facts);
    expect(await codeOf(Promise.resolve().then(() => readSealedStart(bytes.subarray(0, start.bodyStart - 1))))).toBe("TM-SEAL-TRUNCATED");
  });

  it("opens with a former key after rotation, and says which key is missing", async () => {
    const old = await seal(localRing(1));
    const rotated = localRing(2, 1);
    expect(Buffer.compare((await unsealObject(old, { keys: rotated })).raw, raw)).toBe(0);
    expect(readSealedStart(await seal(rotated)).header.encryption).toMatchObject({ keyId: localKey(2).keyId });
    await expect(unsealObject(old, { keys: localRing(2) })).rejects.toMatchObject({
      code: "TM-SEAL-KEY-MISSING",
      message: expect.stringContaining(localKey(1).keyId) as string,
    });
    expect(await codeOf(unsealObject(old, { keys: plainRing() }))).toBe("TM-SEAL-KEY-MISSING");
  });

  it("says that a key is wrong when it has the right name and does not open it", async () => {
    const right = localKey(1);
    const other = localKey(2);
    const liar = { keyId: right.keyId, newDataKey: other.newDataKey.bind(other), unwrap: other.unwrap.bind(other), close: () => undefined };
    const keys = new Ring({ active: liar, former: [], acceptsUnencrypted: false });
    expect(await codeOf(unsealObject(await seal(localRing(1)), { keys }))).toBe("TM-SEAL-KEY-WRONG");
  });

  it("is refused without encryption unless the configuration accepts that", async () => {
    const planted = await seal(plainRing());
    expect(await codeOf(unsealObject(planted, { keys: localRing(1) }))).toBe("TM-SEAL-UNENCRYPTED");
    const accepting = new Ring({ active: localKey(1), former: [], acceptsUnencrypted: true });
    expect(Buffer.compare((await unsealObject(planted, { keys: accepting })).raw, raw)).toBe(0);
  });

  it("does not open when its header was changed, though the checksums were made anew", async () => {
    const keys = localRing(1);
    const start = readSealedStart(await seal(keys));
    const bytes = await seal(keys);
    const { header, bodyStart, bodyEnd } = readSealedStart(bytes);
    const body = bytes.subarray(bodyStart, bodyEnd);
    expect(await codeOf(forge({ ...header }, body).then((same) => unsealObject(same, { keys })))).toBe("no error");
    // Another range: the data key does not belong to it. Another hash: the tag does not fit. Another object's key: the same.
    const moved = { ...facts, timeline: 4 as Timeline };
    expect(await codeOf(forge({ ...header, facts: moved }, body).then((made) => unsealObject(made, { keys })))).toBe("TM-SEAL-KEY-WRONG");
    expect(await codeOf(forge({ ...header, rawSha256: "0".repeat(64) }, body).then((made) => unsealObject(made, { keys })))).toBe(
      "TM-SEAL-FORGED",
    );
    expect(await codeOf(forge({ ...header, encryption: start.header.encryption }, body).then((made) => unsealObject(made, { keys })))).toBe(
      "TM-SEAL-FORGED",
    );
  });

  it("believes no size: what decompresses to more or less than its header says is refused", async () => {
    const keys = plainRing();
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1_048_576));
    expect(bomb.length).toBeLessThan(10_000);
    expect(await codeOf(forge({}, bomb).then((made) => unsealObject(made, { keys })))).toBe("TM-SEAL-FORGED");
    expect(
      await codeOf(forge({ rawBytes: 64 * 1_048_576 }, bomb).then((made) => unsealObject(made, { keys, maxRawBytes: 16 * 1_048_576 }))),
    ).toBe("TM-SEAL-HEADER");
    expect(await codeOf(forge({ rawBytes: raw.length + 1 }, zstdCompressSync(raw)).then((made) => unsealObject(made, { keys })))).toBe(
      "TM-SEAL-FORGED",
    );
    expect(await codeOf(forge({ rawBytes: 0 }, zstdCompressSync(raw)).then((made) => unsealObject(made, { keys })))).toBe("TM-SEAL-FORGED");
    expect(await codeOf(forge({ rawSha256: "0".repeat(64) }, zstdCompressSync(raw)).then((made) => unsealObject(made, { keys })))).toBe(
      "TM-SEAL-FORGED",
    );
    expect(await codeOf(forge({ rawBytes: 2 ** 40 }, bomb).then((made) => unsealObject(made, { keys })))).toBe("TM-SEAL-HEADER");
  });

  it("asks for no large window, whatever its frame says", async () => {
    // Right in everything, and its reader would have to hold 2^26 bytes before the first one comes out.
    // Magic, no content size, the window, one raw block that is the last (RFC 8878 §3.1.1).
    const block = (raw.length << 3) | 1;
    const start = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (26 - 10) << 3, block & 0xff, (block >> 8) & 0xff, block >> 16];
    const greedy = Buffer.concat([Buffer.from(start), raw]);
    await expect(forge({}, greedy).then((made) => unsealObject(made, { keys: plainRing() }))).rejects.toMatchObject({
      code: "TM-SEAL-FORGED",
      cause: { code: "ZSTD_error_frameParameter_windowTooLarge" },
    });
  });

  it("stops to expand at the size that its header says", async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1_048_576));
    await expect(forge({}, bomb).then((made) => unsealObject(made, { keys: plainRing() }))).rejects.toMatchObject({
      code: "TM-SEAL-FORGED",
      cause: { code: "ERR_BUFFER_TOO_LARGE" },
    });
  });

  it("tells a short one from a long one, from another version and from what is none", async () => {
    const bytes = Buffer.from(await seal(localRing(1)));
    const keys = localRing(1);
    expect(await codeOf(unsealObject(bytes.subarray(0, bytes.length - 1), { keys }))).toBe("TM-SEAL-TRUNCATED");
    expect(await codeOf(unsealObject(Buffer.alloc(0), { keys }))).toBe("TM-SEAL-TRUNCATED");
    expect(await codeOf(unsealObject(Buffer.concat([bytes, Buffer.alloc(1)]), { keys }))).toBe("TM-SEAL-TOO-LONG");
    expect(await codeOf(unsealObject(randomBytes(1_000), { keys }))).toBe("TM-SEAL-NOT-SEALED");
    const newer = Buffer.from(bytes);
    newer.writeUInt16BE(2, 8);
    expect(await codeOf(unsealObject(newer, { keys }))).toBe("TM-SEAL-VERSION");
  });

  it("is refused with any one bit turned, at every byte of it", async () => {
    const keys = localRing(1);
    const bytes = Buffer.from(await seal(keys));
    const codes = new Set<string>();
    for (let bit = 0; bit < bytes.length * 8; bit += bit < 24 * 8 ? 1 : 9) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      codes.add(await codeOf(unsealObject(flipped, { keys })));
    }
    expect([...codes].sort()).toEqual(["TM-SEAL-DAMAGED", "TM-SEAL-NOT-SEALED", "TM-SEAL-TRUNCATED", "TM-SEAL-VERSION"]);
  });

  it("is refused cut at every byte", async () => {
    const keys = localRing(1);
    const bytes = await seal(keys);
    for (let end = 0; end < bytes.length; end++)
      expect(await codeOf(unsealObject(bytes.subarray(0, end), { keys }))).toBe("TM-SEAL-TRUNCATED");
  });
});
