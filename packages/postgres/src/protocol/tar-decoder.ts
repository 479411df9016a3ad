// The tar archives of BASE_BACKUP: POSIX ustar, as src/port/tar.c of PostgreSQL writes them.
//
//   archive = (header:512 data padding-to-512)* zero:512 zero:512
//   header  = name:100 mode:8 uid:8 gid:8 size:12 mtime:12 checksum:8 type:1 link:100 "ustar" … prefix:155@345
//
// Numbers are octal text; one whose first bit is set is big-endian binary (sizes of 8 GiB and more). Types: 0 file,
// 5 folder, 2 symbolic link. Others (long names, sparse files) PostgreSQL never writes: refused.
import { TidemarkError } from "@tidemark/kernel/errors";

export type TarEvent =
  | { readonly kind: "file"; readonly path: string; readonly sizeBytes: number }
  | { readonly kind: "folder"; readonly path: string }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  /** A piece of the file announced last; a view of what was pushed. */
  | { readonly kind: "data"; readonly bytes: Buffer }
  /** The file announced last is whole. */
  | { readonly kind: "file-end" };

const BLOCK_BYTES = 512;
const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

/** Turns pieces of an archive into events. */
export class TarDecoder {
  #header = Buffer.alloc(BLOCK_BYTES);
  #headerBytes = 0;
  #fileOpen = false;
  #dataLeft = 0;
  #paddingLeft = 0;
  #zeroBlocks = 0;

  /** Throws TM-PG-BACKUP on a damaged header, an unsupported type, a path that leaves the folder, or data behind the end. */
  *push(chunk: Buffer): Generator<TarEvent, void, void> {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#dataLeft > 0) {
        const bytes = chunk.subarray(offset, offset + Math.min(this.#dataLeft, chunk.length - offset));
        offset += bytes.length;
        this.#dataLeft -= bytes.length;
        yield { kind: "data", bytes };
      } else if (this.#paddingLeft > 0) {
        const skipped = Math.min(this.#paddingLeft, chunk.length - offset);
        offset += skipped;
        this.#paddingLeft -= skipped;
      } else {
        const taken = Math.min(BLOCK_BYTES - this.#headerBytes, chunk.length - offset);
        chunk.copy(this.#header, this.#headerBytes, offset, offset + taken);
        offset += taken;
        this.#headerBytes += taken;
        if (this.#headerBytes === BLOCK_BYTES) yield* this.#block();
      }
      if (this.#fileOpen && this.#dataLeft === 0) {
        this.#fileOpen = false;
        yield { kind: "file-end" };
      }
    }
  }

  /** To be called when no more comes. Throws TM-PG-BACKUP when the archive is not at its end. */
  finish(): void {
    if (this.#zeroBlocks < 2 || this.#headerBytes > 0 || this.#dataLeft > 0) throw damaged("it ends too early");
  }

  *#block(): Generator<TarEvent, void, void> {
    this.#headerBytes = 0;
    if (this.#header.equals(ZERO_BLOCK)) {
      this.#zeroBlocks++;
      return;
    }
    if (this.#zeroBlocks > 0) throw damaged("there is data behind its end");
    const event = readHeader(this.#header);
    if (event.kind === "file") {
      this.#fileOpen = true;
      this.#dataLeft = event.sizeBytes;
      this.#paddingLeft = (BLOCK_BYTES - (event.sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
    }
    yield event;
  }
}

function readHeader(header: Buffer): Extract<TarEvent, { kind: "file" | "folder" | "link" }> {
  if (readNumber(header, 148, 8) !== headerChecksum(header)) throw damaged("the checksum of a header is wrong");
  const prefix = readText(header, 345, 155);
  const path = safePath((prefix === "" ? "" : `${prefix}/`) + readText(header, 0, 100));
  const type = String.fromCharCode(header[156] ?? 0);
  if (type === "5") return { kind: "folder", path };
  if (type === "2") return { kind: "link", path, target: readText(header, 157, 100) };
  if (type !== "0" && type !== "\0") throw damaged(`an entry of type ${JSON.stringify(type)}`);
  return { kind: "file", path, sizeBytes: readNumber(header, 124, 12) };
}

/** The sum of all bytes, those of the checksum taken as spaces. */
function headerChecksum(header: Buffer): number {
  let sum = 8 * 0x20;
  for (let index = 0; index < BLOCK_BYTES; index++) if (index < 148 || index >= 156) sum += header[index] ?? 0;
  return sum;
}

/** A path inside of the folder, without a slash at its end; what would leave the folder is refused, whoever sent it. */
function safePath(path: string): string {
  const parts = path
    .replace(/^(\.\/)+/, "")
    .replace(/\/+$/, "")
    .split("/");
  if (path.startsWith("/") || parts.some((part) => part === "" || part === "." || part === ".."))
    throw damaged(`the path ${JSON.stringify(path)}`);
  return parts.join("/");
}

function readText(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end === -1 ? length : end);
}

function readNumber(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  let value: number;
  if (((field[0] ?? 0) & 0x80) !== 0) {
    value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, (field[0] ?? 0) & 0x7f);
  } else {
    const text = readText(header, start, length).trim();
    value = /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
  }
  if (!Number.isSafeInteger(value)) throw damaged("a number in a header cannot be read");
  return value;
}

function damaged(what: string): TidemarkError {
  return new TidemarkError("TM-PG-BACKUP", `unpacked a base backup: ${what}`);
}
