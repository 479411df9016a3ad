// Cuts a stream into PostgreSQL's messages: a type of one byte, then a length of four that counts itself, then the body.
// https://www.postgresql.org/docs/current/protocol-message-formats.html

export interface Message {
  /** "" of the first message of a client, which has no type. */
  readonly type: string;
  readonly body: Buffer;
}

/** Longer ones are no messages of a probe, bytes. */
const MOST_MESSAGE_BYTES = 16 * 1_048_576;

export class MessageSplitter {
  #rest: Buffer = Buffer.alloc(0);
  #untyped: boolean;

  /** @param from a client's first message has no type. */
  constructor(from: "client" | "server") {
    this.#untyped = from === "client";
  }

  /** The messages that are whole with `chunk`. Throws on a length that is none. */
  push(chunk: Buffer): Message[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Message[] = [];
    let at = 0;
    for (;;) {
      const head = this.#untyped ? 0 : 1;
      if (bytes.length < at + head + 4) break;
      const length = bytes.readInt32BE(at + head);
      if (length < 4 || length > MOST_MESSAGE_BYTES) throw new Error(`a message of ${length} bytes`);
      const end = at + head + length;
      if (bytes.length < end) break;
      messages.push({ type: bytes.toString("latin1", at, at + head), body: bytes.subarray(at + head + 4, end) });
      this.#untyped = false;
      at = end;
    }
    this.#rest = bytes.subarray(at);
    return messages;
  }
}

/** The text up to the next zero byte from `at` on, and where what follows begins. */
export function readText(body: Buffer, at: number): { readonly text: string; readonly next: number } {
  const end = body.indexOf(0, at);
  if (end < 0) throw new Error("a text without end");
  return { text: body.toString("utf8", at, end), next: end + 1 };
}
