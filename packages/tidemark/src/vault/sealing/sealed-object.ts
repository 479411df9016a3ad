// Sealing: raw bytes are compressed, encrypted with a data key of their own, and framed with a header in the clear that the
// encryption authenticates. Opening gives the very bytes that were sealed, or an error: checksum, key, tag, size and
// SHA-256 of the raw bytes are checked in this order, and no length is believed before what vouches for it.
import { createCipheriv, createDecipheriv } from "node:crypto";
import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import { discard } from "@tidemark/kernel/discard";
import { assert, TidemarkError } from "@tidemark/kernel/errors";
import type { Random } from "@tidemark/kernel/random";
import { MAX_OBJECT_BYTES } from "../../object-stores/object-store.ts";
import type { KeyRing } from "./key-ring.ts";
import { checkFrame, closeFrame, frameStart, sha256, turn, type SealedStart } from "./sealed-frame.ts";
import { encodeHeader, keyContext, NONCE_BYTES, type SealedFacts, type SealedHeader } from "./sealed-header.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

const TAG_BYTES = 16;

/** Encrypted before the event loop gets its turn, in bytes: about 4 ms. */
const CIPHER_SLICE_BYTES = 4 * 1_048_576;

/** zstd's levels up to here need at most 8 MiB of window to read; higher ones are refused, so that no object costs more. */
const MAX_ZSTD_LEVEL = 19;

/** The largest window that a compressed object may ask of its reader: 2^24 bytes. */
const MAX_WINDOW_LOG = 24;

/** zlib gives its output in pieces of this size at most, in bytes. With its own 128 KiB a segment takes three times the processor time to expand. */
const PIECE_BYTES = 1_048_576;

/** The smallest size of such a piece that zlib takes. */
const LEAST_PIECE_BYTES = 64;

export interface SealOptions {
  /** With an active key the object is encrypted; a ring without one seals without encryption. */
  readonly keys: KeyRing;
  /** 1 to 19; `none` leaves the bytes as they are. */
  readonly zstdLevel: number | "none";
  /** Cryptographic. */
  readonly random: Random;
  readonly signal?: AbortSignal;
}

export interface UnsealOptions {
  readonly keys: KeyRing;
  /** Objects that claim more raw bytes are refused (TM-SEAL-HEADER). Default and most: MAX_OBJECT_BYTES. */
  readonly maxRawBytes?: number;
  readonly signal?: AbortSignal;
}

export interface Sealed {
  readonly bytes: Uint8Array;
  readonly header: SealedHeader;
}

export interface Unsealed {
  readonly raw: Uint8Array;
  readonly header: SealedHeader;
}

/**
 * Seals `raw`, which must not change meanwhile. Sealing the same bytes twice gives different objects (another data key) with
 * the same `rawSha256`. Holds up to three times the size of `raw` in memory. Rejects with TM-OBJECT-TOO-LARGE, TM-SEAL-KMS-*.
 */
export async function sealObject(raw: Uint8Array, facts: SealedFacts, options: SealOptions): Promise<Sealed> {
  if (raw.length > MAX_OBJECT_BYTES)
    throw new TidemarkError("TM-OBJECT-TOO-LARGE", `could not seal ${raw.length} bytes, at most ${MAX_OBJECT_BYTES} are allowed`);
  const level = options.zstdLevel;
  assert(level === "none" || (Number.isInteger(level) && level >= 1 && level <= MAX_ZSTD_LEVEL), `a level of zstd, not ${level}`);
  const rawSha256 = (await sha256(raw)).toString("hex");
  const content =
    level === "none"
      ? raw
      : await compress(raw, { chunkSize: pieceBytes(raw.length), params: { [constants.ZSTD_c_compressionLevel]: level } });
  options.signal?.throwIfAborted();
  const compression: SealedHeader["compression"] = level === "none" ? "none" : { algorithm: "zstd", level };
  const plain = { facts, rawBytes: raw.length, rawSha256, compression };
  if (options.keys.active === undefined) {
    const header: SealedHeader = { ...plain, encryption: "none" };
    return { header, bytes: await closeFrame(frameStart(encodeHeader(header), content.length), [content]) };
  }
  const dataKey = await options.keys.active.newDataKey(keyContext(facts), options.signal);
  const key = dataKey.plain.reveal();
  try {
    const nonce = options.random.bytes(NONCE_BYTES);
    const header: SealedHeader = {
      ...plain,
      encryption: { algorithm: "AES-256-GCM", keyId: options.keys.active.keyId, wrappedKey: dataKey.wrapped, nonce },
    };
    const start = frameStart(encodeHeader(header), content.length + TAG_BYTES);
    const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(start);
    const pieces = await inSlices(content, (slice) => cipher.update(slice));
    const bytes = await closeFrame(start, [...pieces, cipher.final(), cipher.getAuthTag()]);
    for (const piece of pieces) discard(piece);
    return { header, bytes };
  } finally {
    key.fill(0);
    if (content !== raw) discard(content);
  }
}

/**
 * The bytes that were sealed. Rejects with TM-SEAL-*: what is wrong with the frame as {@link checkSealedObject}, then
 * TM-SEAL-UNENCRYPTED, -KEY-MISSING, -KEY-WRONG, -KMS-*, and -FORGED when what it encloses is not what its header says.
 */
export async function unsealObject(bytes: Uint8Array, options: UnsealOptions): Promise<Unsealed> {
  const start = await checkFrame(bytes);
  const { header } = start;
  const most = Math.min(options.maxRawBytes ?? MAX_OBJECT_BYTES, MAX_OBJECT_BYTES);
  if (header.rawBytes > most)
    throw new TidemarkError("TM-SEAL-HEADER", `the sealed object claims ${header.rawBytes} raw bytes, at most ${most} are allowed`);
  const content = await decrypt(bytes, start, options);
  const raw = await expand(content, header);
  if (raw.length !== header.rawBytes) throw forged(`it holds ${raw.length} bytes, its header says ${header.rawBytes}`);
  if ((await sha256(raw)).toString("hex") !== header.rawSha256) throw forged("its bytes do not have the SHA-256 of its header");
  return { raw, header };
}

/** Checks a whole object without a key: that it is the one that was written, to the bit. Rejects with TM-SEAL-NOT-SEALED, -VERSION, -TRUNCATED, -TOO-LONG, -DAMAGED or -HEADER. */
export async function checkSealedObject(bytes: Uint8Array): Promise<SealedHeader> {
  return (await checkFrame(bytes)).header;
}

async function decrypt(bytes: Uint8Array, start: SealedStart, options: UnsealOptions): Promise<Uint8Array> {
  const { encryption, facts } = start.header;
  const body = bytes.subarray(start.bodyStart, start.bodyEnd);
  if (encryption === "none") {
    if (!options.keys.acceptsUnencrypted)
      throw new TidemarkError("TM-SEAL-UNENCRYPTED", `the sealed object (${facts.kind}, timeline ${facts.timeline}) is not encrypted`);
    return body;
  }
  const wrapped = await options.keys.find(encryption.keyId).unwrap(encryption.wrappedKey, keyContext(facts), options.signal);
  const key = wrapped.reveal();
  try {
    if (body.length < TAG_BYTES) throw forged("its body is shorter than a tag");
    const decipher = createDecipheriv("aes-256-gcm", key, encryption.nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(start.authenticated);
    decipher.setAuthTag(body.subarray(body.length - TAG_BYTES));
    const pieces = await inSlices(body.subarray(0, body.length - TAG_BYTES), (slice) => decipher.update(slice));
    try {
      decipher.final();
    } catch (error) {
      throw forged("its tag does not fit", error);
    }
    return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
  } finally {
    key.fill(0);
  }
}

async function expand(content: Uint8Array, header: SealedHeader): Promise<Uint8Array> {
  if (header.compression === "none") return content;
  try {
    // One byte more than it may have would be refused as well; zero is no limit to zlib.
    const maxOutputLength = Math.max(header.rawBytes, 1);
    const chunkSize = pieceBytes(header.rawBytes);
    return await decompress(content, { maxOutputLength, chunkSize, params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG } });
  } catch (error) {
    throw forged("it does not decompress to what its header says", error);
  }
}

function pieceBytes(rawBytes: number): number {
  return Math.min(PIECE_BYTES, Math.max(LEAST_PIECE_BYTES, rawBytes));
}

async function inSlices(bytes: Uint8Array, work: (slice: Uint8Array) => Buffer): Promise<Buffer[]> {
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CIPHER_SLICE_BYTES) {
    if (at > 0) await turn();
    out.push(work(bytes.subarray(at, at + CIPHER_SLICE_BYTES)));
  }
  return out;
}

function forged(what: string, cause?: unknown): TidemarkError {
  return new TidemarkError("TM-SEAL-FORGED", `the sealed object is not what was sealed: ${what}`, { cause });
}
