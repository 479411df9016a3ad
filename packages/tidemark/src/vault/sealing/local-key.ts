// A key of 32 bytes that this process holds, from a file or the environment. It encrypts nothing but data keys, each with a
// random 96-bit nonce: 2^32 of them may be wrapped before nonces become a worry (NIST SP 800-38D §8.3), one a second for 136 years.
import { createCipheriv, createDecipheriv, createHash } from "node:crypto";
import { constants } from "node:fs";
import { link, mkdir, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Random } from "@tidemark/kernel/random";
import { Redacted } from "@tidemark/kernel/redacted";
import { KEY_BYTES, type DataKey, type KeyContext, type KeyProvider } from "./key-provider.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/** Anything longer is no key. Base64 of 32 bytes has 44 characters. */
const MAX_KEY_FILE_BYTES = 256;

const OTHERS_MAY_READ = 0o007;

/** The key in `file`, or undefined when there is none. Rejects with TM-SEAL-KEY-SOURCE. */
async function findKey(file: string): Promise<Redacted<Uint8Array> | undefined> {
  const refuse = (why: string): TidemarkError => new TidemarkError("TM-SEAL-KEY-SOURCE", `could not take a key from ${file}: ${why}`);
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const facts = await handle.stat();
      if (!facts.isFile()) throw refuse("it is no file");
      if ((facts.mode & OTHERS_MAY_READ) !== 0) throw refuse("every user of this machine can read it too (chmod 600)");
      if (facts.size > MAX_KEY_FILE_BYTES) throw refuse(`it has ${facts.size} bytes, more than any form of a key`);
      const bytes = await handle.readFile();
      // Exactly 32 bytes are the key as it is; text of a key is longer.
      const key = bytes.length === KEY_BYTES ? keyOfBytes(bytes) : keyOfText(bytes.toString("latin1"));
      bytes.fill(0);
      if (key === undefined) throw refuse("it holds no 32 bytes in base64, hexadecimal or as they are");
      return new Redacted(key);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof TidemarkError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new TidemarkError("TM-SEAL-KEY-SOURCE", `could not take a key from ${file}`, { cause: error });
  }
}

/** The provider of the key in `file`. Rejects with TM-SEAL-KEY-SOURCE when it is absent, not private, or holds no key. */
export async function keyFromFile(file: string, random: Random): Promise<KeyProvider> {
  const key = await findKey(file);
  if (key === undefined) throw new TidemarkError("TM-SEAL-KEY-SOURCE", `could not take a key from ${file}: it is not there`);
  return new LocalKey(key, random);
}

/**
 * Makes a key in `file` (base64, mode 0600, durable) when it is absent; two that do so at once make one. Only where
 * somebody asked for it: a key that is made by itself in the place of a lost one would hide the loss. True when it made it.
 */
export async function makeKeyFile(file: string, random: Random): Promise<boolean> {
  if ((await findKey(file)) !== undefined) return false;
  const temporary = `${file}.${process.pid}-${Buffer.from(random.bytes(6)).toString("hex")}`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(`${Buffer.from(random.bytes(KEY_BYTES)).toString("base64")}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    let made = true;
    try {
      await link(temporary, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      made = false;
    } finally {
      await unlink(temporary);
    }
    const folder = await open(dirname(file), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
    return made;
  } catch (error) {
    throw new TidemarkError("TM-SEAL-KEY-SOURCE", `could not make the key ${file}`, { cause: error });
  }
}

/** The provider of the key in the variable `name` of `environment`. Throws TM-SEAL-KEY-SOURCE. */
export function keyFromEnvironment(name: string, environment: Readonly<Record<string, string | undefined>>, random: Random): KeyProvider {
  const text = environment[name];
  const refuse = (why: string): TidemarkError =>
    new TidemarkError("TM-SEAL-KEY-SOURCE", `could not take a key from the environment variable ${name}: ${why}`);
  if (text === undefined || text === "") throw refuse("it is not set");
  const key = keyOfText(text);
  if (key === undefined) throw refuse("it holds no 32 bytes in base64 or hexadecimal");
  return new LocalKey(new Redacted(key), random);
}

/** Bytes as they are; but not 32 characters of text, which are a password or half a key in hexadecimal. */
function keyOfBytes(bytes: Uint8Array): Uint8Array | undefined {
  return bytes.every((byte) => byte >= 0x20 && byte < 0x7f) ? undefined : new Uint8Array(bytes);
}

/** 32 bytes of hexadecimal, base64 or base64url text, white space around it allowed; undefined when it is none. */
function keyOfText(text: string): Uint8Array | undefined {
  const word = text.trim();
  if (/^[0-9A-Fa-f]{64}$/.test(word)) return new Uint8Array(Buffer.from(word, "hex"));
  if (/^[A-Za-z0-9+/]{43}=?$/.test(word)) return new Uint8Array(Buffer.from(word, "base64"));
  if (/^[A-Za-z0-9_-]{43}=?$/.test(word)) return new Uint8Array(Buffer.from(word, "base64url"));
  return undefined;
}

/** Wraps with AES-256-GCM: nonce (12 bytes), ciphertext (32), tag (16); the context is authenticated with it. */
export class LocalKey implements KeyProvider {
  /** `aes:` and half of the key's SHA-256 (of 32 random bytes: it tells nothing), so that a key is known wherever it lies. */
  readonly keyId: string;
  readonly #key: Redacted<Uint8Array>;
  readonly #random: Random;

  constructor(key: Redacted<Uint8Array>, random: Random) {
    this.#key = key;
    this.#random = random;
    this.keyId = `aes:${createHash("sha256").update("tidemark key id\n").update(key.reveal()).digest("hex").slice(0, 32)}`;
  }

  newDataKey(context: KeyContext): Promise<DataKey> {
    const plain = this.#random.bytes(KEY_BYTES);
    const nonce = this.#random.bytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key.reveal(), nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(contextBytes(context));
    const wrapped = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    return Promise.resolve({ plain: new Redacted(plain), wrapped });
  }

  unwrap(wrapped: Uint8Array, context: KeyContext): Promise<Redacted<Uint8Array>> {
    try {
      if (wrapped.length !== WRAPPED_BYTES) throw new Error(`a wrapped key of ${wrapped.length} bytes`);
      const decipher = createDecipheriv("aes-256-gcm", this.#key.reveal(), wrapped.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(contextBytes(context));
      decipher.setAuthTag(wrapped.subarray(WRAPPED_BYTES - TAG_BYTES));
      const plain = Buffer.concat([decipher.update(wrapped.subarray(NONCE_BYTES, WRAPPED_BYTES - TAG_BYTES)), decipher.final()]);
      return Promise.resolve(new Redacted<Uint8Array>(plain));
    } catch (error) {
      return Promise.reject(
        new TidemarkError("TM-SEAL-KEY-WRONG", `the key ${this.keyId} does not unwrap this data key`, { cause: error }),
      );
    }
  }

  close(): void {
    this.#key.reveal().fill(0);
  }
}

/** One text for one context, whatever the order in which it was put together. */
function contextBytes(context: KeyContext): Uint8Array {
  const pairs = Object.entries(context).sort(([left], [right]) => (left < right ? -1 : 1));
  return Buffer.from(JSON.stringify(pairs), "utf8");
}
