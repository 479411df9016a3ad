// What comes in on a socket. Two ways to read it: `next` gives chunk by chunk and holds the server back while nobody asks;
// a receiver takes the bytes at once, in one buffer that is used again and again, where a chunk of its own for each read would
// cost a copy and garbage. Over TLS, node:tls allows no buffer of ours, and a receiver gets its chunks.
import type { Socket } from "node:net";

export interface ByteReceiver {
  /**
   * `bytes[0, length)` came; they are the receiver's until it returns. False: no more until `resume`, and the bytes stay
   * valid until then. Must not throw.
   */
  receive(bytes: Buffer, length: number): boolean;
  /** Nothing more will come. `error` when the connection broke. */
  ended(error: Error | undefined): void;
}

/** While chunks are pulled one after the other, bytes. */
const PULL_BUFFER_BYTES = 65_536;
/** For a receiver: one call of the system may fetch all that the socket holds. */
const RECEIVE_BUFFER_BYTES = 1_048_576;

export class IncomingBytes {
  /** To be given to node:net where the socket is made; `attach` with `buffered` then. */
  readonly onread = {
    buffer: (): Buffer => this.#buffer,
    callback: (length: number, bytes: Uint8Array): boolean => this.#arrived(bytes as Buffer, length, true),
  };
  #buffer = Buffer.allocUnsafeSlow(PULL_BUFFER_BYTES);
  #socket: Socket | undefined;
  /** Chunks that came while nobody waited: the socket is paused then, so they are one, or what was given back. */
  #held: Buffer[] = [];
  #waiting: { resolve(chunk: Buffer | undefined): void; reject(error: Error): void } | undefined;
  #receiver: ByteReceiver | undefined;
  #end: { readonly error: Error | undefined } | undefined;

  /** Begins to read. `buffered`: the socket was made with `onread`. */
  attach(socket: Socket, buffered: boolean): void {
    this.#socket = socket;
    if (!buffered)
      socket.on("data", (chunk: Buffer) => {
        if (!this.#arrived(chunk, chunk.length, false)) socket.pause();
      });
    socket.on("error", (error) => this.#ended(error));
    socket.on("end", () => this.#ended(undefined));
    socket.on("close", () => this.#ended(undefined));
  }

  /** The next chunk; undefined at the end. Rejects when the connection broke. One call at a time. */
  next(): Promise<Buffer | undefined> {
    const held = this.#held.shift();
    if (held !== undefined) {
      if (this.#held.length === 0) this.#socket?.resume();
      return Promise.resolve(held);
    }
    return new Promise((resolve, reject) => {
      if (this.#end === undefined) this.#waiting = { resolve, reject };
      else if (this.#end.error === undefined) resolve(undefined);
      else reject(this.#end.error);
    });
  }

  /** All that comes from now on goes to `receiver`, beginning with `unread`. */
  handTo(receiver: ByteReceiver, unread: Buffer): void {
    this.#receiver = receiver;
    this.#buffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES);
    if (unread.length > 0) this.#held.unshift(unread);
    this.resume();
  }

  /** Goes on after the receiver returned false. */
  resume(): void {
    while (this.#receiver !== undefined && this.#held.length > 0) {
      const chunk = this.#held.shift() as Buffer;
      if (!this.#receiver.receive(chunk, chunk.length)) return;
    }
    if (this.#end !== undefined) this.#receiver?.ended(this.#end.error);
    else this.#socket?.resume();
  }

  /** Back to `next`, which begins with `unread`. */
  takeBack(unread: Buffer): void {
    this.#receiver = undefined;
    this.#buffer = Buffer.allocUnsafeSlow(PULL_BUFFER_BYTES);
    if (unread.length > 0) this.#held.unshift(unread);
    else if (this.#held.length === 0) this.#socket?.resume();
  }

  /** Whether to go on reading. */
  #arrived(bytes: Buffer, length: number, reused: boolean): boolean {
    if (this.#receiver !== undefined) return this.#receiver.receive(bytes, length);
    const chunk = reused ? Buffer.from(bytes.subarray(0, length)) : bytes;
    const waiting = this.#waiting;
    if (waiting === undefined) {
      this.#held.push(chunk);
      return false;
    }
    this.#waiting = undefined;
    waiting.resolve(chunk);
    return true;
  }

  #ended(error: Error | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (error === undefined) waiting?.resolve(undefined);
    else waiting?.reject(error);
    this.#receiver?.ended(error);
  }
}
