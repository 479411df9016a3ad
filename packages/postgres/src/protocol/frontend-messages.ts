// Messages to the server. Source: PostgreSQL documentation, "Message Formats" (protocol 3.0).

const PROTOCOL_3_0 = 196_608;
const SSL_REQUEST = 80_877_103;

/** Asks for TLS; the server answers with one byte, `S` or `N`. */
export function sslRequest(): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeUInt32BE(8, 0);
  buffer.writeUInt32BE(SSL_REQUEST, 4);
  return buffer;
}

/** The first message of a session: length:u32 version:u32 (name\0 value\0)* \0 */
export function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const texts = Object.entries(parameters).flatMap(([name, value]) => [text(name), text(value)]);
  const body = Buffer.concat([Buffer.alloc(8), ...texts, Buffer.alloc(1)]);
  body.writeUInt32BE(body.length, 0);
  body.writeUInt32BE(PROTOCOL_3_0, 4);
  return body;
}

/** Q: one command of the simple protocol, the only one that a walsender speaks. */
export function query(command: string): Buffer {
  return message("Q", text(command));
}

/** P: name\0 text\0 n:u16, the types left to the server; D: S name\0. The server keeps the statement by its name, and describes what it answers. */
export function prepare(name: string, sql: string): Buffer {
  return Buffer.concat([message("P", Buffer.concat([text(name), text(sql), Buffer.alloc(2)])), message("D", text(`S${name}`))]);
}

/**
 * B: portal\0 statement\0 0:u16 n:u16 (length:i32 bytes)*n 0:u16, all as text; E: portal\0 0:u32, all rows; S. Runs a prepared statement
 * once, in a transaction of its own.
 */
export function execute(statement: string, values: readonly string[]): Buffer {
  const parts: Buffer[] = [text(""), text(statement), Buffer.from([0, 0, values.length >> 8, values.length & 0xff])];
  for (const value of values) {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeInt32BE(bytes.length, 0);
    parts.push(length, bytes);
  }
  parts.push(Buffer.alloc(2));
  return Buffer.concat([message("B", Buffer.concat(parts)), EXECUTE_AND_SYNC]);
}

/** p: password\0, in clear or hashed with MD5 */
export function passwordMessage(password: string): Buffer {
  return message("p", text(password));
}

/** p: mechanism\0 length:i32 data */
export function saslInitialResponse(mechanism: string, data: string): Buffer {
  const bytes = Buffer.from(data);
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length, 0);
  return message("p", Buffer.concat([text(mechanism), length, bytes]));
}

/** p: data */
export function saslResponse(data: string): Buffer {
  return message("p", Buffer.from(data));
}

/** d: bytes of a copy that the client sends, such as a standby's status. */
export function copyData(bytes: Uint8Array): Buffer {
  return message("d", bytes);
}

export function copyDone(): Buffer {
  return message("c", Buffer.alloc(0));
}

export function terminate(): Buffer {
  return message("X", Buffer.alloc(0));
}

function message(type: string, body: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, 0, "latin1");
  header.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([header, body]);
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, "utf8");
}

const EXECUTE_AND_SYNC = Buffer.concat([message("E", Buffer.alloc(5)), message("S", Buffer.alloc(0))]);
