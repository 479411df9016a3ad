// Messages from the server. Source: PostgreSQL documentation, "Message Formats" (protocol 3.0).
//
//   message        = type:u8 length:u32 body          length counts itself and the body, not the type
//   R  auth        = code:u32 data                    0 ok, 3 cleartext, 5 md5, 10 SASL (mechanism\0 … \0), 11 continue, 12 final
//   S  parameter   = name\0 value\0
//   K  key         = pid:u32 secret:u32               (longer secrets from protocol 3.2)
//   Z  ready       = status:u8                        I idle, T in transaction, E failed transaction
//   T  fields      = n:u16 (name\0 table:u32 column:u16 type:u32 size:i16 modifier:i32 format:u16)*n
//   1  parsed      2 bound     3 closed     n no data     t parameters = n:u16 (type:u32)*n
//   D  row         = n:u16 (length:i32 bytes)*n       length -1 is NULL
//   C  complete    = tag\0
//   E  error, N notice = (field:u8 text\0)* \0
//   H  copy out, W copy both, G copy in = format:u8 n:u16 (format:u16)*n
//   d  copy data   = bytes      c copy done     I empty query     A notification
//   v  negotiate   = version:u32 n:u32 (option\0)*n
import { TidemarkError } from "@tidemark/kernel/errors";

export type BackendMessage =
  | { readonly kind: "authentication"; readonly code: number; readonly data: Buffer }
  | { readonly kind: "parameter"; readonly name: string; readonly value: string }
  | { readonly kind: "ready"; readonly status: string }
  | { readonly kind: "fields"; readonly names: readonly string[]; /** Numbers of pg_type. */ readonly types: readonly number[] }
  /** The server knows the statement from now on. */
  | { readonly kind: "parsed" }
  | { readonly kind: "row"; readonly values: readonly (Buffer | null)[] }
  | { readonly kind: "complete"; readonly tag: string }
  | { readonly kind: "error"; readonly fields: Readonly<Record<string, string>> }
  | { readonly kind: "notice"; readonly fields: Readonly<Record<string, string>> }
  | { readonly kind: "copy-out" | "copy-both" | "copy-in" }
  | { readonly kind: "copy-data"; readonly bytes: Buffer }
  | { readonly kind: "copy-done" }
  /** Of no use to the clients here: key data, notifications, empty queries, protocol negotiation, steps of the extended protocol. */
  | { readonly kind: "ignored"; readonly type: string };

/** The longest message that is accepted, bytes. PostgreSQL's largest here are copy data of some 200 KB; beyond the limit: TM-PG-PROTOCOL. */
export const LONGEST_MESSAGE_BYTES = 64 * 1024 * 1024;

const HEADER_BYTES = 5;

/**
 * Cuts a byte stream into messages. `push` what arrives, then call `next` until it returns undefined. Buffers in messages
 * are views of what was pushed, not copies, wherever a message lay in one piece.
 */
export class MessageDecoder {
  #chunks: Buffer[] = [];
  #available = 0;
  #wanted = HEADER_BYTES;

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    this.#available += chunk.length;
  }

  /** The next whole message, or undefined when more bytes are needed. Throws TM-PG-PROTOCOL; the stream is of no use afterwards. */
  next(): BackendMessage | undefined {
    if (this.#available < this.#wanted) return undefined;
    const buffer = this.#join();
    const length = buffer.readUInt32BE(1);
    if (length < 4 || length > LONGEST_MESSAGE_BYTES) throw broken(`a message of ${length} bytes`);
    const end = 1 + length;
    if (buffer.length < end) {
      this.#wanted = end;
      return undefined;
    }
    this.#chunks = end === buffer.length ? [] : [buffer.subarray(end)];
    this.#available -= end;
    this.#wanted = HEADER_BYTES;
    return decodeMessage(String.fromCharCode(buffer[0] ?? 0), buffer.subarray(HEADER_BYTES, end));
  }

  /** Takes back what was pushed and is no whole message yet, for another reader of the stream. */
  drain(): Buffer {
    const rest = this.#available === 0 ? Buffer.alloc(0) : this.#join();
    this.#chunks = [];
    this.#available = 0;
    this.#wanted = HEADER_BYTES;
    return rest;
  }

  #join(): Buffer {
    const [first] = this.#chunks;
    const joined = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks, this.#available);
    this.#chunks = [joined];
    return joined;
  }
}

/** Decodes one message's body. Throws TM-PG-PROTOCOL on an unknown type and on a body that does not have its form. */
export function decodeMessage(type: string, body: Buffer): BackendMessage {
  const reader = new BodyReader(body);
  switch (type) {
    case "R":
      return { kind: "authentication", code: reader.u32(), data: reader.rest() };
    case "S":
      return { kind: "parameter", name: reader.text(), value: reader.text() };
    case "Z":
      return { kind: "ready", status: String.fromCharCode(reader.u8()) };
    case "T":
      return { kind: "fields", ...readFields(reader) };
    case "D":
      return { kind: "row", values: readValues(reader) };
    case "C":
      return { kind: "complete", tag: reader.text() };
    case "E":
      return { kind: "error", fields: readErrorFields(reader) };
    case "N":
      return { kind: "notice", fields: readErrorFields(reader) };
    case "H":
      return { kind: "copy-out" };
    case "W":
      return { kind: "copy-both" };
    case "G":
      return { kind: "copy-in" };
    case "d":
      return { kind: "copy-data", bytes: body };
    case "c":
      return { kind: "copy-done" };
    case "1":
      return { kind: "parsed" };
    case "2":
    case "3":
    case "n":
    case "t":
    case "K":
    case "I":
    case "A":
    case "v":
      return { kind: "ignored", type };
    default:
      throw broken(`a message of type ${JSON.stringify(type)}`);
  }
}

/** Bytes of a field's description between its name and its type, and after its type. */
const FIELD_PLACE_BYTES = 6;
const FIELD_FORM_BYTES = 8;

function readFields(reader: BodyReader): { names: string[]; types: number[] } {
  const names: string[] = [];
  const types: number[] = [];
  for (let left = reader.u16(); left > 0; left--) {
    names.push(reader.text());
    reader.bytes(FIELD_PLACE_BYTES);
    types.push(reader.u32());
    reader.bytes(FIELD_FORM_BYTES);
  }
  return { names, types };
}

function readValues(reader: BodyReader): (Buffer | null)[] {
  const values: (Buffer | null)[] = [];
  for (let left = reader.u16(); left > 0; left--) {
    const length = reader.i32();
    values.push(length === -1 ? null : reader.bytes(length));
  }
  return values;
}

function readErrorFields(reader: BodyReader): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let code = reader.u8(); code !== 0; code = reader.u8()) fields[String.fromCharCode(code)] = reader.text();
  return fields;
}

/** Reads a body from front to back; running over its end is a broken protocol, never a crash. */
export class BodyReader {
  readonly #body: Buffer;
  #offset = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  u8(): number {
    return this.#body.readUInt8(this.#advance(1));
  }

  u16(): number {
    return this.#body.readUInt16BE(this.#advance(2));
  }

  u32(): number {
    return this.#body.readUInt32BE(this.#advance(4));
  }

  i32(): number {
    return this.#body.readInt32BE(this.#advance(4));
  }

  i64(): bigint {
    return this.#body.readBigInt64BE(this.#advance(8));
  }

  bytes(length: number): Buffer {
    if (length < 0) throw broken(`a length of ${length}`);
    const start = this.#advance(length);
    return this.#body.subarray(start, start + length);
  }

  /** UTF-8 up to the next zero byte. */
  text(): string {
    const end = this.#body.indexOf(0, this.#offset);
    if (end === -1) throw broken("a text without an end");
    const text = this.#body.toString("utf8", this.#offset, end);
    this.#offset = end + 1;
    return text;
  }

  rest(): Buffer {
    return this.#body.subarray(this.#offset);
  }

  #advance(length: number): number {
    const start = this.#offset;
    if (start + length > this.#body.length) throw broken("a message that ends too early");
    this.#offset = start + length;
    return start;
  }
}

function broken(what: string): TidemarkError {
  return new TidemarkError("TM-PG-PROTOCOL", `read the server's answer: it holds ${what}`);
}
