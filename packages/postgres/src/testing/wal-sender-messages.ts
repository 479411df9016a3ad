// What a server sends in a stream of WAL, for tests that play one. The grammar stands in ../protocol/wal-stream.ts.

/** WAL from `start` on, by a server whose WAL reaches to `end`. */
export function walMessage(start: bigint, bytes: Uint8Array, end: bigint = start + BigInt(bytes.length)): Buffer {
  const message = Buffer.alloc(30 + bytes.length);
  message.write("d", 0, "latin1");
  message.writeUInt32BE(29 + bytes.length, 1);
  message.write("w", 5, "latin1");
  message.writeBigUInt64BE(start, 6);
  message.writeBigUInt64BE(end, 14);
  message.set(bytes, 30);
  return message;
}

export function keepaliveMessage(end: bigint, replyRequested: boolean): Buffer {
  const message = Buffer.alloc(23);
  message.write("d", 0, "latin1");
  message.writeUInt32BE(22, 1);
  message.write("k", 5, "latin1");
  message.writeBigUInt64BE(end, 6);
  message[22] = replyRequested ? 1 : 0;
  return message;
}

/** Any other message, such as a notice. */
export function otherMessage(type: string, body: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, 0, "latin1");
  header.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([header, body]);
}
