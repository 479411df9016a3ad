// Frontend messages of the extended query protocol (https://www.postgresql.org/docs/18/protocol-message-formats.html), as
// many as a transaction needs, in one buffer:
//
//   Bind    'B' int32 length, portal \0, statement \0, int16 0 (parameters are text), int16 n, n × (int32 length | −1, bytes),
//           int16 0 (results are text)
//   Parse   'P' int32 length, statement \0, text \0, int16 0 (the server infers the types of the parameters)
//   Describe 'D' int32 length, 'S', statement \0
//   Execute 'E' int32 length, portal \0, int32 0 (all rows)
//   Sync    'S' int32 4

const FIRST_BYTES = 65_536;
const BIND = 0x42;
const EXECUTE = 0x45;
const PARSE = 0x50;
const DESCRIBE = 0x44;
const STATEMENT = 0x53;
const SYNC = 0x53;
/** A UTF-16 unit takes at most so many bytes in UTF-8. */
const MOST_BYTES_OF_A_UNIT = 3;

export class WireBatch {
  #buffer = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;

  /** Prepares a statement under a name and asks what it takes and gives. */
  prepare(statement: string, text: string): void {
    const parse = this.#begin(PARSE, 8 + (statement.length + text.length) * MOST_BYTES_OF_A_UNIT);
    this.#text(statement);
    this.#byte(0);
    this.#text(text);
    this.#byte(0);
    this.#int16(0);
    this.#end(parse);
    const describe = this.#begin(DESCRIBE, 8 + statement.length * MOST_BYTES_OF_A_UNIT);
    this.#byte(STATEMENT);
    this.#text(statement);
    this.#byte(0);
    this.#end(describe);
  }

  /** Binds values (text or null) to a prepared statement and executes it. */
  execute(statement: string, values: readonly (string | null)[]): void {
    const start = this.#begin(BIND, 64 + statement.length * MOST_BYTES_OF_A_UNIT);
    this.#byte(0);
    this.#text(statement);
    this.#byte(0);
    this.#int16(0);
    this.#int16(values.length);
    for (const value of values) this.#value(value);
    this.#need(2);
    this.#int16(0);
    this.#end(start);
    const execute = this.#begin(EXECUTE, 16);
    this.#byte(0);
    this.#length = this.#buffer.writeInt32BE(0, this.#length);
    this.#end(execute);
  }

  sync(): void {
    this.#end(this.#begin(SYNC, 8));
  }

  /** The bytes; the batch must not be used afterwards. */
  take(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #value(value: string | null): void {
    if (value === null) {
      this.#need(4);
      this.#length = this.#buffer.writeInt32BE(-1, this.#length);
      return;
    }
    this.#need(4 + value.length * MOST_BYTES_OF_A_UNIT);
    const written = this.#buffer.write(value, this.#length + 4, "utf8");
    this.#buffer.writeInt32BE(written, this.#length);
    this.#length += 4 + written;
  }

  #begin(type: number, room: number): number {
    this.#need(5 + room);
    this.#byte(type);
    this.#length += 4;
    return this.#length - 4;
  }

  #end(start: number): void {
    this.#buffer.writeInt32BE(this.#length - start, start);
  }

  #byte(value: number): void {
    this.#buffer[this.#length++] = value;
  }

  #int16(value: number): void {
    this.#length = this.#buffer.writeInt16BE(value, this.#length);
  }

  #text(value: string): void {
    this.#length += this.#buffer.write(value, this.#length, "utf8");
  }

  #need(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
