// Ed25519 keys (RFC 8032) for proofs. A key's id is the first half of SHA-256 over its public key in SPKI form (DER), hex.
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Random } from "@tidemark/kernel/random";
import { Redacted } from "@tidemark/kernel/redacted";

/** PKCS #8 of an Ed25519 key up to its 32 bytes of seed (RFC 8410 §7). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

const SEED_BYTES = 32;

const KEY_ID_CHARACTERS = 32;

/** A key that proofs can be checked with. */
export interface PublicProofKey {
  readonly keyId: string;
  readonly key: KeyObject;
  /** SPKI, PEM. */
  readonly pem: string;
}

/** A key that proofs can be signed with. */
export interface ProofKey extends PublicProofKey {
  readonly privateKey: Redacted<KeyObject>;
}

/** A new key from `random`. */
export function makeProofKey(random: Random): ProofKey {
  const der = Buffer.concat([PKCS8_PREFIX, random.bytes(SEED_BYTES)]);
  return privateProofKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
}

/** Reads a private key. Throws TM-PROOF-KEY when the text is none of Ed25519. */
export function readPrivateKey(pem: string, from: string): ProofKey {
  return privateProofKey(ed25519(() => createPrivateKey(pem), from));
}

/** Reads a public key. Throws TM-PROOF-KEY when the text is none of Ed25519. */
export function readPublicKey(pem: string, from: string): PublicProofKey {
  return publicProofKey(ed25519(() => createPublicKey(pem), from));
}

/** The private key as PEM (PKCS #8), for its file. */
export function privatePem(key: ProofKey): string {
  return key.privateKey.reveal().export({ format: "pem", type: "pkcs8" }).toString();
}

/** Signs `text` for a purpose, so that a signature for one purpose is never one for another. Base64. */
export function signText(key: ProofKey, purpose: string, text: string): string {
  return sign(null, signedBytes(purpose, text), key.privateKey.reveal()).toString("base64");
}

/** Whether `signature` (Base64) is `key`'s over `text` for this purpose. */
export function isSigned(key: PublicProofKey, purpose: string, text: string, signature: string): boolean {
  const bytes = Buffer.from(signature, "base64");
  // Other spellings of the same bytes would make other files of one proof.
  if (bytes.length !== 64 || bytes.toString("base64") !== signature) return false;
  return verify(null, signedBytes(purpose, text), key.key, bytes);
}

function signedBytes(purpose: string, text: string): Buffer {
  return Buffer.from(`${purpose}\n${text}`);
}

function ed25519(read: () => KeyObject, from: string): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (cause) {
    throw new TidemarkError("TM-PROOF-KEY", `could not read the key ${from}`, { cause });
  }
  if (key.asymmetricKeyType !== "ed25519")
    throw new TidemarkError("TM-PROOF-KEY", `the key ${from} is of type ${String(key.asymmetricKeyType)}, not Ed25519`);
  return key;
}

function publicProofKey(key: KeyObject): PublicProofKey {
  const der = key.export({ format: "der", type: "spki" });
  return {
    key,
    keyId: createHash("sha256").update(der).digest("hex").slice(0, KEY_ID_CHARACTERS),
    pem: key.export({ format: "pem", type: "spki" }).toString(),
  };
}

function privateProofKey(key: KeyObject): ProofKey {
  return { ...publicProofKey(createPublicKey(key)), privateKey: new Redacted(key) };
}
