import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { codeOf } from "../../object-stores/testing/store-world.ts";
import { AwsKmsKey } from "./aws-kms-key.ts";
import type { AwsKmsKeyOptions } from "./key-options.ts";
import { openKeyRing } from "./open-key-ring.ts";
import { sealObject, unsealObject } from "./sealed-object.ts";
import { KMS_ENVIRONMENT, startKmsStandIn } from "./testing/kms-stand-in.ts";
import type { SealedFacts } from "./sealed-header.ts";

let kms: Awaited<ReturnType<typeof startKmsStandIn>>;
const made: AwsKmsKey[] = [];
beforeAll(async () => {
  kms = await startKmsStandIn();
});
afterAll(() => kms.stop());
afterEach(() => {
  for (const key of made.splice(0)) key.close();
});

const options = (keyId: string, changes: Partial<AwsKmsKeyOptions> = {}): AwsKmsKeyOptions => ({
  kind: "aws-kms",
  keyId,
  region: "eu-central-1",
  endpoint: kms.endpoint,
  credentials: { kind: "environment", accessKeyId: "TEST_KMS_KEY_ID", secretAccessKey: "TEST_KMS_SECRET" },
  ...changes,
});
const world = { clock: systemClock, random: systemRandom, environment: { ...KMS_ENVIRONMENT, WRONG: "another-secret" } };
const keyOf = (keyId: string, changes: Partial<AwsKmsKeyOptions> = {}): AwsKmsKey => {
  const key = new AwsKmsKey(options(keyId, changes), world);
  made.push(key);
  return key;
};
const context = { a: "1", b: "2" };

describe("a key of AWS KMS (against a stand-in that speaks its protocol and checks signatures)", () => {
  it("makes a data key that it unwraps, each time another", async () => {
    const key = keyOf("key-1");
    const [one, two] = await Promise.all([key.newDataKey(context), key.newDataKey(context)]);
    expect(one.plain.reveal()).toHaveLength(32);
    expect(Buffer.compare(one.plain.reveal(), two.plain.reveal())).not.toBe(0);
    expect(Buffer.compare((await key.unwrap(one.wrapped, { b: "2", a: "1" })).reveal(), one.plain.reveal())).toBe(0);
    expect(Buffer.from(one.wrapped).includes(Buffer.from(one.plain.reveal()))).toBe(false);
  });

  it("does not unwrap for another context, another key, or what it has not wrapped", async () => {
    const { wrapped } = await keyOf("key-1").newDataKey(context);
    expect(await codeOf(keyOf("key-1").unwrap(wrapped, { a: "1" }))).toBe("TM-SEAL-KEY-WRONG");
    expect(await codeOf(keyOf("key-2").unwrap(wrapped, context))).toBe("TM-SEAL-KEY-WRONG");
    expect(await codeOf(keyOf("key-1").unwrap(randomBytes(100), context))).toBe("TM-SEAL-KEY-WRONG");
  });

  it.each([
    ["key-absent", "TM-SEAL-KMS-DENIED"],
    ["key-disabled", "TM-SEAL-KMS-DENIED"],
    ["key-denied", "TM-SEAL-KMS-DENIED"],
    ["key-throttled", "TM-SEAL-KMS-AWAY"],
    ["key-broken", "TM-SEAL-KMS-AWAY"],
    ["key-short", "TM-SEAL-KMS-AWAY"],
  ])("calls what is wrong with %s %s", async (keyId, code) => {
    expect(await codeOf(keyOf(keyId).newDataKey(context))).toBe(code);
  });

  it("tries again when the service stumbles", async () => {
    expect((await keyOf("key-stumbles").newDataKey(context)).plain.reveal()).toHaveLength(32);
  });

  it("is denied with a wrong secret", async () => {
    const credentials = { kind: "environment", accessKeyId: "TEST_KMS_KEY_ID", secretAccessKey: "WRONG" } as const;
    expect(await codeOf(keyOf("key-1", { credentials }).newDataKey(context))).toBe("TM-SEAL-KMS-DENIED");
  });

  it("is away when nothing listens, and ends with the signal when it does not answer", async () => {
    expect(await codeOf(keyOf("key-1", { endpoint: "http://127.0.0.1:9" }).newDataKey(context))).toBe("TM-SEAL-KMS-AWAY");
    const stopping = new AbortController();
    const waiting = keyOf("key-hangs").newDataKey(context, stopping.signal);
    const reason = new Error("stopped");
    setImmediate(() => stopping.abort(reason));
    await expect(waiting).rejects.toBe(reason);
  });

  it("takes no alias, no endpoint with a password, and credentials that are not there", async () => {
    for (const wrong of [
      options("alias/archive"),
      options("arn:aws:kms:eu-central-1:1:alias/archive"),
      options("a b"),
      options("key-1", { endpoint: "http://u:p@host" }),
    ])
      expect(() => new AwsKmsKey(wrong, world)).toThrow(expect.objectContaining({ code: "TM-SEAL-KEY-SOURCE" }));
    const credentials = { kind: "environment", accessKeyId: "UNSET", secretAccessKey: "UNSET" } as const;
    expect(await codeOf(keyOf("key-1", { credentials }).newDataKey(context))).toBe("TM-SEAL-KEY-SOURCE");
  });

  it("shows no secret in its errors, though the service sends back what it was sent", async () => {
    const { wrapped } = await keyOf("key-1").newDataKey(context);
    const error: unknown = await keyOf("key-2")
      .unwrap(wrapped, context)
      .catch((caught: unknown) => caught);
    const shown = inspect(error, { depth: 20, showHidden: true });
    expect(shown).toContain("IncorrectKeyException");
    for (const secret of [Buffer.from(wrapped).toString("base64"), "stand-in-secret", "Signature="]) expect(shown).not.toContain(secret);
    expect(inspect(await keyOf("key-1").newDataKey(context))).toContain("[redacted]");
  });

  it("seals and opens objects, in a ring with a former local key", async () => {
    const facts: SealedFacts = {
      kind: "wal",
      systemIdentifier: "7412345678901234567" as SystemIdentifier,
      timeline: 1 as Timeline,
      range: { start: parseLsn("0/1000000"), end: parseLsn("0/2000000") },
    };
    const raw = randomBytes(100_000);
    const environment = { ...world.environment, OLD: randomBytes(32).toString("base64") };
    const old = await openKeyRing({ key: { kind: "environment", name: "OLD" }, formerKeys: [] }, { ...world, environment });
    const ring = await openKeyRing(
      { key: options("key-1"), formerKeys: [{ kind: "environment", name: "OLD" }, options("key-2")] },
      { ...world, environment },
    );
    try {
      const before = await sealObject(raw, facts, { keys: old, zstdLevel: 1, random: systemRandom });
      const now = await sealObject(raw, facts, { keys: ring, zstdLevel: 1, random: systemRandom });
      expect(now.header.encryption).toMatchObject({ keyId: "aws-kms:key-1" });
      for (const { bytes } of [before, now]) expect(Buffer.compare((await unsealObject(bytes, { keys: ring })).raw, raw)).toBe(0);
      expect(await codeOf(unsealObject(now.bytes, { keys: old }))).toBe("TM-SEAL-KEY-MISSING");
    } finally {
      ring.close();
    }
  });
});
