import { execFile } from "node:child_process";
import { mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { seededRandom } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ProofBody } from "./proof-body.ts";
import { makeProofKey, privatePem } from "./proof-key.ts";
import { openProofKeys, readTrustedKeys, rotateProofKey, type ProofKeysOptions } from "./proof-keys.ts";
import { formatProof, signProof, verifyProof } from "./proof.ts";

const random = seededRandom(7);

const body: ProofBody = {
  formatVersion: 1,
  id: "0198c0de-0000-7000-8000-000000000001",
  claim: "No acknowledged write was lost when the primary was killed.",
  outcome: "proven",
  deployment: "orders-example",
  scenario: "process-loss",
  fault: "kill-primary",
  counts: { acknowledged: 1_000, found: 1_000, lost: 0, duplicated: 0, resurrected: 0, indeterminate: 2, rejected: 3, refused: 1 },
  rpo: { measuredMs: 0, targetMs: 0 },
  rto: { measuredMs: 412.5, targetMs: 5_000 },
  began: "2026-01-01T00:00:00.000Z",
  ended: "2026-01-01T00:01:00.000Z",
  versions: { tidemark: "0.1.0", postgresql: "18.4" },
  before: { primary: "pg1", epoch: 1, timeline: 1, forkLsn: "0/0" },
  after: { primary: "pg2", epoch: 2, timeline: 2, forkLsn: "0/5000000" },
  configurationHash: "ab".repeat(32),
};

describe("a proof", () => {
  const key = makeProofKey(random);
  const keys = { publicKeys: [key], rotations: [] };
  const text = formatProof(signProof(body, key));

  it("verifies with its key, in whatever order its members stand", () => {
    expect(verifyProof(text, keys)).toMatchObject({ keyId: key.keyId, proof: { body } });
    const parsed = JSON.parse(text) as { body: object; signature: object };
    const turned = { signature: parsed.signature, body: Object.fromEntries(Object.entries(parsed.body).toReversed()) };
    expect(verifyProof(JSON.stringify(turned), keys).keyId).toBe(key.keyId);
  });

  it("is refused when any value of its body was changed, removed or added", () => {
    const changes = (value: unknown): unknown[] => {
      if (typeof value === "number") return [value + 1];
      if (typeof value === "string") return [`${value} `, value.slice(1)];
      if (value === null || typeof value !== "object") return ["changed"];
      const members = Object.entries(value);
      return [
        ...members.flatMap(([name, member]) => changes(member).map((changed) => ({ ...value, [name]: changed }))),
        ...members.map(([name]) => Object.fromEntries(members.filter(([other]) => other !== name))),
        { ...value, more: 1 },
      ];
    };
    const { signature } = JSON.parse(text) as { signature: object };
    const all = changes(body);
    expect(all.length).toBeGreaterThan(60);
    for (const changed of all)
      expect(() => verifyProof(JSON.stringify({ body: changed, signature }), keys), JSON.stringify(changed)).toThrow(
        /TM-PROOF|checked proof|read a proof/,
      );
  });

  it("is refused when its signature was changed, in every byte and in its spelling", () => {
    const proof = signProof(body, key);
    const bytes = Buffer.from(proof.signature.value, "base64");
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const forged = formatProof({ body, signature: { ...proof.signature, value: changed.toString("base64") } });
      expect(() => verifyProof(forged, keys)).toThrow(expect.objectContaining({ code: "TM-PROOF-SIGNATURE" }));
    }
    expect(() => verifyProof(formatProof({ body, signature: { ...proof.signature, value: `${proof.signature.value}\n` } }), keys)).toThrow(
      expect.objectContaining({ code: "TM-PROOF-SIGNATURE" }),
    );
  });

  it("is refused when its key is not known, also under a known key's id", () => {
    const stranger = makeProofKey(random);
    expect(() => verifyProof(formatProof(signProof(body, stranger)), keys)).toThrow(
      expect.objectContaining({ code: "TM-PROOF-UNKNOWN-KEY" }),
    );
    const posing = signProof(body, { ...stranger, keyId: key.keyId });
    expect(() => verifyProof(formatProof(posing), keys)).toThrow(expect.objectContaining({ code: "TM-PROOF-SIGNATURE" }));
  });

  it("is refused with its reason when it is no proof or of another version", () => {
    for (const [bad, says] of [
      ["", "no JSON"],
      ["{}", "no body"],
      [text.replace('"formatVersion": 1', '"formatVersion": 2'), "version 2"],
      [text.replace('"lost": 0', '"lost": "none"'), 'count "lost"'],
      [`{"x":"${"y".repeat(1_100_000)}"}`, "more than"],
    ] as const) {
      expect(() => verifyProof(bad, keys)).toThrow(
        expect.objectContaining({ code: "TM-PROOF-FORMAT", message: expect.stringContaining(says) as string }),
      );
    }
  });

  it("does not show its private key", () => {
    const secret = privatePem(key).split("\n")[1] ?? "";
    expect(secret.length).toBeGreaterThan(40);
    expect(JSON.stringify(key) + String(key.privateKey)).not.toContain(secret);
  });
});

describe("the keys of proofs", () => {
  let dir: string;
  let options: ProofKeysOptions;
  const clock = new ManualClock();
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "tidemark-keys-"));
    options = { dir, clock: { ...systemClock, wallMs: () => clock.wallMs() }, random };
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const signedAt = (ms: number, key: Parameters<typeof signProof>[1]): string =>
    formatProof(signProof({ ...body, ended: new Date(ms).toISOString() }, key));

  it("are made once, the private one readable by its owner only", async () => {
    const first = await openProofKeys(options);
    expect((await openProofKeys(options)).current.keyId).toBe(first.current.keyId);
    expect((await stat(join(dir, `proof-${first.current.keyId}.pem`))).mode & 0o777).toBe(0o600);
  });

  it("are the same for processes that make them at once", async () => {
    const script = `
      const { openProofKeys } = await import(${JSON.stringify(new URL("./proof-keys.ts", import.meta.url).href)});
      const { systemClock } = await import("@tidemark/kernel/platform/system-clock");
      const { systemRandom } = await import("@tidemark/kernel/platform/system-random");
      process.stdout.write((await openProofKeys({ dir: process.argv[1], clock: systemClock, random: systemRandom })).current.keyId);`;
    const run = promisify(execFile);
    const answers = await Promise.all(
      Array.from({ length: 3 }, () =>
        run(
          process.execPath,
          ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script, dir],
          { cwd: import.meta.dirname },
        ),
      ),
    );
    expect(new Set(answers.map((answer) => answer.stdout)).size).toBe(1);
  });

  it("rotate: old proofs stay valid, new ones verify through the signed rotation, the old private key is gone", async () => {
    const before = await openProofKeys(options);
    const old = signedAt(clock.wallMs() - 1_000, before.current);
    const after = await rotateProofKey(options, { by: "user:ann", reason: "yearly" });
    expect(after.current.keyId).not.toBe(before.current.keyId);
    expect((await readdir(dir)).filter((name) => name.endsWith(".pem"))).toEqual([`proof-${after.current.keyId}.pem`]);
    expect(verifyProof(old, after)).toMatchObject({ keyId: before.current.keyId, keyRetiredAt: expect.any(String) as string });
    const fresh = signedAt(clock.wallMs() + 1_000, after.current);
    const onlyOldTrusted = { publicKeys: before.publicKeys, rotations: after.rotations };
    expect(verifyProof(fresh, onlyOldTrusted).keyId).toBe(after.current.keyId);
    expect(() => verifyProof(fresh, { publicKeys: before.publicKeys, rotations: [] })).toThrow(
      expect.objectContaining({ code: "TM-PROOF-UNKNOWN-KEY" }),
    );
  });

  it("refuse a proof that ended after its key was retired, and a rotation that the old key did not sign", async () => {
    const before = await openProofKeys(options);
    const after = await rotateProofKey(options, { by: "user:ann", reason: "leaked" });
    expect(() => verifyProof(signedAt(clock.wallMs() + 60_000, before.current), after)).toThrow(
      expect.objectContaining({ code: "TM-PROOF-SIGNATURE" }),
    );
    const eve = makeProofKey(random);
    const rotation = after.rotations[0];
    const forged = { ...rotation, body: { ...rotation?.body, to: eve.keyId, toPublicKey: eve.pem } } as NonNullable<typeof rotation>;
    expect(() => verifyProof(signedAt(clock.wallMs(), eve), { publicKeys: before.publicKeys, rotations: [forged] })).toThrow(
      expect.objectContaining({ code: "TM-PROOF-UNKNOWN-KEY" }),
    );
  });

  it("finish a rotation that was interrupted after its record, and drop one that was interrupted before", async () => {
    const { current } = await openProofKeys(options);
    const dropped = makeProofKey(random);
    await writeFile(join(dir, `proof-${dropped.keyId}.pem.next`), privatePem(dropped));
    expect((await openProofKeys(options)).current.keyId).toBe(current.keyId);
    expect(await readdir(dir)).not.toContain(`proof-${dropped.keyId}.pem.next`);
    const { current: next } = await rotateProofKey(options, { by: "user:ann", reason: "yearly" });
    // As if the crash had come right after the record was published.
    await rename(join(dir, `proof-${next.keyId}.pem`), join(dir, `proof-${next.keyId}.pem.next`));
    await writeFile(join(dir, `proof-${current.keyId}.pem`), privatePem(current));
    expect((await openProofKeys(options)).current.keyId).toBe(next.keyId);
    expect((await readTrustedKeys(join(dir, "proof-public"))).publicKeys).toHaveLength(2);
  });
});
