// Whether bytes can come from a PostgreSQL server at all. Looked at before the driver sees them: it takes its server for one.
// https://www.postgresql.org/docs/18/protocol-message-formats.html: Byte1 type, Int32 length (with itself), body.

/** Messages that a server sends. */
const TYPES = "RKSZTDCENAIVHGWdcntsv123";
/** No answer of a check comes near; a larger length is garbage, bytes. */
const LONGEST = 64 * 1024 * 1024;
const HEADER_BYTES = 5;
/** An authentication request has a code of four bytes. */
const SHORTEST: Readonly<Record<string, number>> = { R: 8, Z: 5, T: 6, D: 6 };

/** Follows a server's messages from the beginning of a connection. */
export class ServerBytes {
  #header = Buffer.alloc(0);
  #bodyLeft = 0;
  #encrypted = false;
  /** One byte answers a request for TLS: S, or N, or an error message. */
  #answerAwaited: boolean;

  constructor(asksForTls: boolean) {
    this.#answerAwaited = asksForTls;
  }

  /** Whether TLS has begun. */
  get encrypted(): boolean {
    return this.#encrypted;
  }

  /** False: no PostgreSQL sends this. After TLS has begun everything passes: what is inside is not seen. */
  accept(bytes: Buffer): boolean {
    let rest = bytes;
    if (this.#answerAwaited && rest.length > 0) {
      this.#answerAwaited = false;
      const answer = String.fromCharCode(rest[0] ?? 0);
      this.#encrypted = answer === "S";
      if (answer === "N" || answer === "S") rest = rest.subarray(1);
      else if (answer !== "E") return false;
    }
    if (this.#encrypted) return true;
    while (rest.length > 0) {
      const skipped = Math.min(this.#bodyLeft, rest.length);
      this.#bodyLeft -= skipped;
      rest = rest.subarray(skipped);
      if (rest.length === 0) break;
      const missing = HEADER_BYTES - this.#header.length;
      this.#header = Buffer.concat([this.#header, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (!this.#begin()) return false;
    }
    return true;
  }

  /** Judges what is there of a header; a whole one is put away. */
  #begin(): boolean {
    const type = String.fromCharCode(this.#header[0] ?? 0);
    if (!TYPES.includes(type)) return false;
    if (this.#header.length < HEADER_BYTES) return true;
    const length = this.#header.readUInt32BE(1);
    if (length < (SHORTEST[type] ?? 4) || length > LONGEST) return false;
    this.#bodyLeft = length - 4;
    this.#header = Buffer.alloc(0);
    return true;
  }
}
