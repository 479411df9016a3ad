/*
 * The bytes around a sealed object's header and body (docs/vault-format.md, "Sealed objects"), numbers big-endian:
 *
 *   0   8   magic "TMSEALED"
 *   8   2   version, 1
 *   10  2   zero
 *   12  4   H, bytes of the header
 *   16  8   B, bytes of the body
 *   24  H   header, JSON in UTF-8
 *   +H  32  SHA-256 of everything before it
 *   +32 B   body
 *   +B  32  SHA-256 of everything before it
 *
 * The first checksum lets the beginning stand on its own, so a header is read by a ranged get; the lengths are believed
 * behind it only. The second one lets a store be checked without any key.
 */
import { createHash } from "node:crypto";
import { TidemarkError } from "@tidemark/kernel/errors";
import { MAX_OBJECT_BYTES } from "../../object-stores/object-store.ts";
import { decodeHeader, type SealedHeader } from "./sealed-header.ts";

export const SEALED_VERSION = 1;

const MAGIC = Buffer.from("TMSEALED", "latin1");
const PREFIX_BYTES = 24;
const CHECKSUM_BYTES = 32;

/** The longest header, in bytes; a usual one has 600. */
export const MAX_HEADER_BYTES = 16_384;

/** So many bytes from the beginning of an object hold its header in any case, and its checksum. */
export const SEALED_START_BYTES = PREFIX_BYTES + MAX_HEADER_BYTES + CHECKSUM_BYTES;

/** The longest body: nothing shrinks by compression and encryption adds a tag, so a little more than the largest object. */
const MAX_BODY_BYTES = MAX_OBJECT_BYTES + 1_048_576;

/** Hashed before the event loop gets its turn, in bytes: about 3 ms. */
const HASH_SLICE_BYTES = 4 * 1_048_576;

/** The beginning of an object whose header is `json`: what is authenticated together with the body. */
export function frameStart(json: Uint8Array, bodyBytes: number): Uint8Array {
  if (json.length > MAX_HEADER_BYTES)
    throw new TidemarkError("TM-SEAL-HEADER", `a header of ${json.length} bytes, at most ${MAX_HEADER_BYTES} are allowed`);
  const start = Buffer.alloc(PREFIX_BYTES + json.length);
  MAGIC.copy(start);
  start.writeUInt16BE(SEALED_VERSION, 8);
  start.writeUInt32BE(json.length, 12);
  start.writeBigUInt64BE(BigInt(bodyBytes), 16);
  start.set(json, PREFIX_BYTES);
  return start;
}

/** The whole object from its beginning and the pieces of its body. */
export async function closeFrame(start: Uint8Array, body: readonly Uint8Array[]): Promise<Uint8Array> {
  const startChecksum = createHash("sha256").update(start).digest();
  const open = Buffer.concat([start, startChecksum, ...body, Buffer.alloc(CHECKSUM_BYTES)]);
  const end = open.length - CHECKSUM_BYTES;
  open.set(await sha256(open.subarray(0, end)), end);
  return open;
}

/** SHA-256 of `bytes`, in slices between which other work gets its turn. */
export async function sha256(bytes: Uint8Array): Promise<Buffer> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes.length; at += HASH_SLICE_BYTES) {
    if (at > 0) await turn();
    hash.update(bytes.subarray(at, at + HASH_SLICE_BYTES));
  }
  return hash.digest();
}

/** Lets other work of the event loop go first. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A header that was read, and where the rest is. */
export interface SealedStart {
  readonly header: SealedHeader;
  /** Magic, lengths and header as they stand in the object: what the body's encryption authenticates. */
  readonly authenticated: Uint8Array;
  readonly bodyStart: number;
  readonly bodyEnd: number;
  /** Bytes of the whole object. */
  readonly objectBytes: number;
}

/**
 * Reads the header from the beginning of an object, of which {@link SEALED_START_BYTES} are enough (or all, when it is
 * shorter). Needs no key. Throws TM-SEAL-NOT-SEALED, -VERSION, -TRUNCATED, -DAMAGED or -HEADER.
 */
export function readSealedStart(bytes: Uint8Array): SealedStart {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const magic = view.subarray(0, MAGIC.length);
  if (!MAGIC.subarray(0, magic.length).equals(magic)) throw new TidemarkError("TM-SEAL-NOT-SEALED", "the bytes are no sealed object");
  if (view.length < PREFIX_BYTES) throw truncated(view.length, PREFIX_BYTES);
  const version = view.readUInt16BE(8);
  if (version !== SEALED_VERSION)
    throw new TidemarkError("TM-SEAL-VERSION", `the object is sealed in version ${version}; version ${SEALED_VERSION} is known here`, {
      details: { version },
    });
  const headerBytes = view.readUInt32BE(12);
  if (headerBytes > MAX_HEADER_BYTES) throw new TidemarkError("TM-SEAL-DAMAGED", `the object claims a header of ${headerBytes} bytes`);
  const headerEnd = PREFIX_BYTES + headerBytes;
  const bodyStart = headerEnd + CHECKSUM_BYTES;
  if (view.length < bodyStart) throw truncated(view.length, bodyStart);
  const authenticated = view.subarray(0, headerEnd);
  if (!createHash("sha256").update(authenticated).digest().equals(view.subarray(headerEnd, bodyStart)))
    throw new TidemarkError("TM-SEAL-DAMAGED", "the header of the sealed object does not have its checksum");
  if (view.readUInt16BE(10) !== 0) throw new TidemarkError("TM-SEAL-HEADER", "reserved bytes of the sealed object are not zero");
  const bodyBytes = view.readBigUInt64BE(16);
  if (bodyBytes > BigInt(MAX_BODY_BYTES)) throw new TidemarkError("TM-SEAL-HEADER", `the object claims a body of ${bodyBytes} bytes`);
  const header = decodeHeader(authenticated.subarray(PREFIX_BYTES));
  const bodyEnd = bodyStart + Number(bodyBytes);
  return { header, authenticated, bodyStart, bodyEnd, objectBytes: bodyEnd + CHECKSUM_BYTES };
}

/** Checks a whole object without any key: its length and both checksums. Rejects as {@link readSealedStart} does, or with TM-SEAL-TOO-LONG. */
export async function checkFrame(bytes: Uint8Array): Promise<SealedStart> {
  const start = readSealedStart(bytes);
  if (bytes.length < start.objectBytes) throw truncated(bytes.length, start.objectBytes);
  if (bytes.length > start.objectBytes)
    throw new TidemarkError("TM-SEAL-TOO-LONG", `the sealed object has ${start.objectBytes} bytes, ${bytes.length} are there`);
  const checksum = await sha256(bytes.subarray(0, start.bodyEnd));
  if (!checksum.equals(bytes.subarray(start.bodyEnd)))
    throw new TidemarkError("TM-SEAL-DAMAGED", "the sealed object does not have its checksum");
  return start;
}

function truncated(bytes: number, least: number): TidemarkError {
  return new TidemarkError("TM-SEAL-TRUNCATED", `the sealed object ends after ${bytes} bytes, it has at least ${least}`);
}
