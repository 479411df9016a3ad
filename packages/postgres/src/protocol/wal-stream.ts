// The stream of WAL that START_REPLICATION begins, in both directions. Source: PostgreSQL documentation, "Streaming
// Replication Protocol".
//
//   message   = 'd' length:u32 content                length counts itself and the content
//   content   = 'w' start:u64 end:u64 time:u64 bytes  WAL from `start` on; `end`: how far the server's WAL reached; µs since 2000
//             | 'k' end:u64 time:u64 reply:u8         keepalive; `end`: how far it was sent; reply 1: answer now
//   anything else ('c', 'C', 'E') ends the stream and is left to the connection; 'N', 'S' and 'A' may come at any time.
//
//   status    = 'd' length:u32 'r' write:u64 flush:u64 apply:u64 time:u64 reply:u8     each position is that of the last byte + 1
//
// WAL may come at 100,000 messages a second, so the decoder makes no object for a message: it tells one event after the
// other by a number, its facts stand in its fields, and WAL is told in the pieces that lie in the buffer as it was
// received, also where a message is spread over several of them.
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { LONGEST_MESSAGE_BYTES } from "./backend-messages.ts";

/** What {@link WalStreamDecoder.next} found. */
export const WAL_EVENT = {
  /** Nothing whole is left: feed more bytes. */
  needBytes: 0,
  /** A message with WAL begins: start, end and length are known, its bytes follow. */
  walBegins: 1,
  /** A piece of it: `buffer[from, to)`. Comes again until all of it was taken. */
  walBytes: 2,
  /** A keepalive: end and replyRequested are known. */
  keepalive: 3,
  /** A message that ends the stream: {@link WalStreamDecoder.unread} begins with it. Comes again from now on. */
  streamEnds: 4,
} as const;

export type WalEvent = (typeof WAL_EVENT)[keyof typeof WAL_EVENT];

const CODE = { copyData: 0x64, wal: 0x77, keepalive: 0x6b, notice: 0x4e, parameter: 0x53, notification: 0x41, status: 0x72 } as const;

/** type:u8 length:u32, and for copy data the first byte of its content. */
const ENVELOPE_BYTES = 6;
const WAL_HEADER_BYTES = ENVELOPE_BYTES + 24;
const KEEPALIVE_BYTES = ENVELOPE_BYTES + 17;

const STATE = { envelope: 0, wal: 1, skipping: 2, ended: 3 } as const;

/** Cuts a stream of WAL into events; see the head of this file. Throws TM-PG-PROTOCOL, and is of no use afterwards. */
export class WalStreamDecoder {
  /** Where the current message's WAL begins, as two halves: a 64-bit position would be an object for each message. */
  startHigh = 0;
  startLow = 0;
  /** How far the server said that its WAL reaches, as two halves. */
  endHigh = 0;
  endLow = 0;
  /** Whether the last keepalive asks for an answer. */
  replyRequested = false;
  /** Bytes of WAL in the current message. */
  length = 0;
  /** The piece of WAL that `walBytes` told. Not a copy: valid until the caller of `feed` reuses it. */
  buffer: Buffer = Buffer.alloc(0);
  from = 0;
  to = 0;

  #state: number = STATE.envelope;
  /** Next byte of `buffer` that was not looked at, and where what was fed ends. */
  #at = 0;
  #end = 0;
  /** Bytes of the current message's content that have not come or not been taken. */
  #left = 0;
  /** The beginning of a message whose header is cut by the end of a buffer. */
  readonly #stash = Buffer.alloc(WAL_HEADER_BYTES);
  #stashed = 0;

  /** `bytes[0, length)` came. Only after `next` said `needBytes`. */
  feed(bytes: Buffer, length: number): void {
    this.buffer = bytes;
    this.#at = 0;
    this.#end = length;
  }

  next(): WalEvent {
    for (;;) {
      if (this.#state === STATE.wal) {
        if (this.#left > 0) return this.#piece();
        this.#state = STATE.envelope;
      } else if (this.#state === STATE.skipping) {
        const skipped = Math.min(this.#left, this.#end - this.#at);
        this.#at += skipped;
        this.#left -= skipped;
        if (this.#left > 0) return WAL_EVENT.needBytes;
        this.#state = STATE.envelope;
      } else if (this.#state === STATE.ended) {
        return WAL_EVENT.streamEnds;
      }
      const event = this.#envelope();
      if (event !== undefined) return event;
    }
  }

  /** Says that the first `count` bytes of the piece are dealt with. The rest is told again. */
  took(count: number): void {
    this.#at += count;
    this.#left -= count;
  }

  /** After `streamEnds`: the bytes that came and are not ours, in a copy. */
  unread(): Buffer {
    return Buffer.concat([this.#stash.subarray(0, this.#stashed), this.buffer.subarray(this.#at, this.#end)]);
  }

  /** Where the current message's WAL begins. */
  get start(): Lsn {
    return ((BigInt(this.startHigh) << 32n) | BigInt(this.startLow)) as Lsn;
  }

  /** How far the server's WAL reaches. */
  get end(): Lsn {
    return ((BigInt(this.endHigh) << 32n) | BigInt(this.endLow)) as Lsn;
  }

  #piece(): WalEvent {
    if (this.#at === this.#end) return WAL_EVENT.needBytes;
    this.from = this.#at;
    this.to = Math.min(this.#end, this.#at + this.#left);
    return WAL_EVENT.walBytes;
  }

  /** Reads what stands before the content; undefined: nothing to tell, look again. */
  #envelope(): WalEvent | undefined {
    const wanted = this.#headerBytes();
    if (wanted === undefined) return WAL_EVENT.needBytes;
    const header = this.#stashed > 0 ? this.#stash : this.buffer;
    const at = this.#stashed > 0 ? 0 : this.#at;
    if (wanted === 0) {
      this.#state = STATE.ended;
      return WAL_EVENT.streamEnds;
    }
    const length = header.readUInt32BE(at + 1);
    const kind = header[at + 5];
    if (this.#stashed > 0) this.#stashed = 0;
    else this.#at += wanted;
    if (wanted === WAL_HEADER_BYTES) {
      this.startHigh = header.readUInt32BE(at + 6);
      this.startLow = header.readUInt32BE(at + 10);
      this.endHigh = header.readUInt32BE(at + 14);
      this.endLow = header.readUInt32BE(at + 18);
      this.length = this.#left = length + 1 - WAL_HEADER_BYTES;
      this.#state = STATE.wal;
      return WAL_EVENT.walBegins;
    }
    if (wanted === KEEPALIVE_BYTES && kind === CODE.keepalive) {
      this.endHigh = header.readUInt32BE(at + 6);
      this.endLow = header.readUInt32BE(at + 10);
      this.replyRequested = header[at + 22] !== 0;
      return WAL_EVENT.keepalive;
    }
    this.#left = length - 4;
    this.#state = STATE.skipping;
    return undefined;
  }

  /**
   * How many bytes stand before the content, once they are here (in the stash where a buffer's end cut them): 5 of a message
   * to skip, 0 where the stream ends. Undefined: not here yet, all that came is stashed.
   */
  #headerBytes(): number | undefined {
    if (!this.#gather(1)) return undefined;
    const type = this.#peek(0);
    if (type === CODE.notice || type === CODE.parameter || type === CODE.notification) {
      if (!this.#gather(5)) return undefined;
      this.#checkedLength(4);
      return 5;
    }
    if (type !== CODE.copyData) return 0;
    if (!this.#gather(ENVELOPE_BYTES)) return undefined;
    const kind = this.#peek(5);
    if (kind === CODE.wal) {
      this.#checkedLength(WAL_HEADER_BYTES - 1);
      return this.#gather(WAL_HEADER_BYTES) ? WAL_HEADER_BYTES : undefined;
    }
    if (kind !== CODE.keepalive) throw broken(`copy data of kind ${kind}`);
    if (this.#checkedLength(KEEPALIVE_BYTES - 1) !== KEEPALIVE_BYTES - 1) throw broken("a keepalive of another length");
    return this.#gather(KEEPALIVE_BYTES) ? KEEPALIVE_BYTES : undefined;
  }

  /** The length that the message states. */
  #checkedLength(least: number): number {
    const length = this.#stashed > 0 ? this.#stash.readUInt32BE(1) : this.buffer.readUInt32BE(this.#at + 1);
    if (length < least || length > LONGEST_MESSAGE_BYTES) throw broken(`a message of ${length} bytes`);
    return length;
  }

  #peek(index: number): number {
    return (this.#stashed > 0 ? this.#stash[index] : this.buffer[this.#at + index]) ?? 0;
  }

  /** Whether the first `count` bytes of the message are here; stashes what came otherwise. */
  #gather(count: number): boolean {
    const have = this.#end - this.#at;
    if (this.#stashed === 0 && have >= count) return true;
    if (this.#stashed >= count) return true;
    const moved = Math.min(count - this.#stashed, have);
    this.buffer.copy(this.#stash, this.#stashed, this.#at, this.#at + moved);
    this.#stashed += moved;
    this.#at += moved;
    return this.#stashed === count;
  }
}

/** Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

export interface StandbyStatus {
  /** End of what was handed to the operating system. */
  readonly write: Lsn;
  /** End of what is durable: a synchronous commit returns by it. */
  readonly flush: Lsn;
  /** End of what was replayed; 0/0 for a receiver that replays nothing (it then never satisfies remote_apply). */
  readonly apply: Lsn;
  /** The sender's wall time, milliseconds since the Unix epoch. */
  readonly wallMs: number;
  /** Asks the server for a keepalive. */
  readonly replyRequested: boolean;
}

/** A standby status message in its envelope, ready for the socket. */
export function encodeStandbyStatus(status: StandbyStatus): Buffer {
  const message = Buffer.allocUnsafe(39);
  message[0] = CODE.copyData;
  message.writeUInt32BE(38, 1);
  message[5] = CODE.status;
  message.writeBigUInt64BE(status.write, 6);
  message.writeBigUInt64BE(status.flush, 14);
  message.writeBigUInt64BE(status.apply, 22);
  message.writeBigInt64BE(BigInt(Math.floor(status.wallMs) - POSTGRES_EPOCH_MS) * 1_000n, 30);
  message[38] = status.replyRequested ? 1 : 0;
  return message;
}

function broken(what: string): TidemarkError {
  return new TidemarkError("TM-PG-PROTOCOL", `read the server's stream of WAL: it holds ${what}`);
}
