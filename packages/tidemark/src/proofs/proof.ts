// Signing and checking: docs/proof-format.md. A signature covers the canonical JSON of the body behind the line
// `tidemark-proof-v1`; what else stands in the file is not covered and means nothing.
import { createHash } from "node:crypto";
import { TidemarkError } from "@tidemark/kernel/errors";
import { canonicalJson, type JsonValue } from "./canonical-json.ts";
import { proofFault, type ProofBody, type SignedProof } from "./proof-body.ts";
import { isSigned, readPublicKey, signText, type ProofKey, type PublicProofKey } from "./proof-key.ts";

const PROOF_PURPOSE = "tidemark-proof-v1";
const ROTATION_PURPOSE = "tidemark-key-rotation-v1";

/** The largest proof file that is read. */
export const MAX_PROOF_BYTES = 1_048_576;

/** A key gives way to another: signed by the one that goes, so that trust in it carries over. */
export interface KeyRotation {
  readonly body: {
    readonly formatVersion: 1;
    readonly from: string;
    readonly to: string;
    /** The new public key, PEM. */
    readonly toPublicKey: string;
    /** ISO 8601, UTC: nothing that ended later is signed by `from`. */
    readonly at: string;
    readonly by: string;
    readonly reason: string;
  };
  readonly signature: string;
}

/** What a proof is checked with. */
export interface TrustedKeys {
  readonly publicKeys: readonly PublicProofKey[];
  readonly rotations: readonly KeyRotation[];
}

/** A proof whose signature holds. */
export interface VerifiedProof {
  readonly proof: SignedProof;
  readonly keyId: string;
  /** When the key was rotated out, if it was. */
  readonly keyRetiredAt?: string;
}

/** Signs a body. The key must be the current one of its ProofKeys. */
export function signProof(body: ProofBody, key: ProofKey): SignedProof {
  return { body, signature: { algorithm: "Ed25519", keyId: key.keyId, value: signText(key, PROOF_PURPOSE, canonicalOf(body)) } };
}

/** The text of a proof's file: indented, for people; the form does not matter to the signature. */
export function formatProof(proof: SignedProof): string {
  return `${JSON.stringify(proof, null, 2)}\n`;
}

/**
 * Checks the text of a proof's file. Throws TM-PROOF-FORMAT when it is no proof of a known version, TM-PROOF-UNKNOWN-KEY
 * when its key is not trusted, neither directly nor through rotations, and TM-PROOF-SIGNATURE when the signature does not
 * hold, or the proof ended after its key was retired.
 */
export function verifyProof(text: string, keys: TrustedKeys): VerifiedProof {
  const proof = readProof(text);
  const { keyId, value } = proof.signature;
  const key = trusted(keys).get(keyId);
  if (key === undefined)
    throw new TidemarkError("TM-PROOF-UNKNOWN-KEY", `checked proof ${proof.body.id}: it is signed by key ${keyId}, which is not known`, {
      details: { keyId },
    });
  if (!isSigned(key, PROOF_PURPOSE, canonicalOf(proof.body), value)) {
    throw new TidemarkError("TM-PROOF-SIGNATURE", `checked proof ${proof.body.id}: its content is not what key ${keyId} signed`, {
      details: { keyId },
    });
  }
  const retired = keys.rotations.find((rotation) => rotation.body.from === keyId && holds(rotation, key))?.body.at;
  if (retired !== undefined && Date.parse(proof.body.ended) > Date.parse(retired)) {
    throw new TidemarkError(
      "TM-PROOF-SIGNATURE",
      `checked proof ${proof.body.id}: it ended ${proof.body.ended}, after its key ${keyId} was retired at ${retired}`,
      { details: { keyId } },
    );
  }
  return { proof, keyId, ...(retired === undefined ? {} : { keyRetiredAt: retired }) };
}

/** Reads a proof without checking its signature. Throws TM-PROOF-FORMAT. */
export function readProof(text: string): SignedProof {
  if (Buffer.byteLength(text) > MAX_PROOF_BYTES)
    throw new TidemarkError("TM-PROOF-FORMAT", `read a proof: it has more than ${MAX_PROOF_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TidemarkError("TM-PROOF-FORMAT", "read a proof: it is no JSON", { cause });
  }
  const fault = proofFault(value);
  if (fault !== undefined) throw new TidemarkError("TM-PROOF-FORMAT", `read a proof: ${fault}`);
  return value as SignedProof;
}

/** SHA-256 in hex, for `configurationHash` and `reportHash`. */
export function contentHash(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Signs that `from` gives way to `to`. */
export function signRotation(from: ProofKey, to: PublicProofKey, facts: { at: string; by: string; reason: string }): KeyRotation {
  const body = { formatVersion: 1 as const, from: from.keyId, to: to.keyId, toPublicKey: to.pem, ...facts };
  return { body, signature: signText(from, ROTATION_PURPOSE, canonicalJson(body)) };
}

/** The keys given, and those that they gave way to, step by step: a rotation counts when a trusted key signed it. */
function trusted(keys: TrustedKeys): Map<string, PublicProofKey> {
  const known = new Map(keys.publicKeys.map((key) => [key.keyId, key]));
  for (let grew = true; grew;) {
    grew = false;
    for (const rotation of keys.rotations) {
      const from = known.get(rotation.body.from);
      if (from === undefined || known.has(rotation.body.to) || !holds(rotation, from)) continue;
      const to = readPublicKey(rotation.body.toPublicKey, `of the rotation to ${rotation.body.to}`);
      if (to.keyId !== rotation.body.to) continue;
      known.set(to.keyId, to);
      grew = true;
    }
  }
  return known;
}

function holds(rotation: KeyRotation, from: PublicProofKey): boolean {
  return rotation.body.formatVersion === 1 && isSigned(from, ROTATION_PURPOSE, canonicalJson(rotation.body), rotation.signature);
}

function canonicalOf(body: ProofBody): string {
  return canonicalJson(body as unknown as JsonValue);
}
