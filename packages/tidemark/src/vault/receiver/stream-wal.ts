// The vault's stream of WAL: what comes is written at once, and made durable and acknowledged in groups. A group is all that
// one turn of the event loop brought: the socket is read until it is empty, then one flush, then one answer.
//   - Caught up, every group is flushed: a commit on the primary waits for it.
//   - While the server is far ahead, nobody waits: segments are flushed as they fill, at least every FLUSH_AT_LEAST_MS.
//   - A full disk (trap 13): nothing more is read, so that the server is held back by TCP; what is durable is stated again
//     and again, which also keeps wal_sender_timeout from dropping us; reading goes on when there is room.
// `write` and `apply` are never ahead of the truth either: the status says the durable position for both `write` and `flush`,
// and 0/0 for `apply`, because nothing is replayed here.
import type { Clock, Timer } from "@tidemark/kernel/clock";
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { INVALID_LSN, formatLsn } from "@tidemark/kernel/lsn";
import type { ReplicationConnection } from "@tidemark/postgres/connection";
import { endReplication, startReplication } from "@tidemark/postgres/protocol/start-replication";
import { WAL_EVENT, WalStreamDecoder, encodeStandbyStatus } from "@tidemark/postgres/protocol/wal-stream";
import type { SealedSegment, SegmentWriter } from "./segment-writer.ts";
import type { SharedFrontier } from "./shared-frontier.ts";

export interface StreamOrder {
  readonly connection: ReplicationConnection;
  readonly slot: string | undefined;
  readonly timeline: Timeline;
  readonly start: Lsn;
  /** Opened at `timeline` and `start`; the caller closes it afterwards. */
  readonly writer: SegmentWriter;
  readonly frontier: SharedFrontier;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The server agreed to send from `start` on. */
  readonly onBegun?: () => void;
  /** Called once for each, in order, when it is whole, durable and renamed. */
  readonly onSealed: (segment: SealedSegment) => void;
  /** The disk got full, or has room again. */
  readonly onFull?: (full: boolean) => void;
  /** How often our position is stated unasked, milliseconds; well below half of wal_sender_timeout. Default 1 s. */
  readonly statusEveryMs?: number;
  /** A server that says nothing for so long, though it is asked with every status, is lost, milliseconds. Default 30 s. */
  readonly silenceTimeoutMs?: number;
}

export type StreamEnd =
  | { readonly kind: "timeline-ended"; readonly nextTimeline: Timeline; readonly nextStart: Lsn }
  | { readonly kind: "stopped" };

/** A server that is ahead by more bytes than this is being caught up with: groups are not flushed one by one. */
export const CATCHING_UP_BYTES = 4 * 1_048_576;
/** Also while catching up, what was received is durable after so many milliseconds. */
const FLUSH_AT_LEAST_MS = 1_000;
const STATUS_EVERY_MS = 1_000;
const SILENCE_TIMEOUT_MS = 30_000;
/** How often a full disk is tried again, milliseconds. */
const ROOM_CHECK_MS = 250;
/** Answers that the server does not take pile up to so many bytes; then the next is left out until it has taken them. */
const MOST_UNSENT_BYTES = 65_536;

/**
 * Streams until the timeline ends or `signal` aborts; by the time the promise has settled, nothing is flushed or
 * acknowledged any more (R3). Rejects with TM-PG-* when the connection or the server fails, TM-VAULT-STREAM-GAP,
 * TM-VAULT-OTHER-BYTES, TM-VAULT-FAIL-STOP. After a timeline's end the connection can be used for the next one; else it is closed.
 */
export async function streamWal(order: StreamOrder): Promise<StreamEnd> {
  const { connection, signal } = order;
  const destroy = (): void => connection.destroy();
  signal.addEventListener("abort", destroy, { once: true });
  try {
    if (signal.aborted) destroy();
    const ended = await startReplication(connection, order);
    if (ended !== undefined) return { kind: "timeline-ended", ...ended };
    order.onBegun?.();
    const stream = new WalStream(order);
    if ((await stream.run()) === "stopped") return { kind: "stopped" };
    return { kind: "timeline-ended", ...(await endReplication(connection)) };
  } catch (error) {
    destroy();
    if (signal.aborted && error instanceof TidemarkError && error.code === "TM-PG-CONNECTION") return { kind: "stopped" };
    throw error;
  } finally {
    signal.removeEventListener("abort", destroy);
    await order.writer.settled();
  }
}

class WalStream {
  readonly #order: StreamOrder;
  readonly #decoder = new WalStreamDecoder();
  #settle: { resolve(end: "timeline-ended" | "stopped"): void; reject(error: unknown): void } | undefined;
  #over = false;
  /** Bytes were written, or the server asked, since the last answer. */
  #groupOpen = false;
  #replyWanted = false;
  /** The decoder's buffer is not read out: the socket waits. */
  #held = false;
  #full = false;
  #serverEnded = false;
  #laterPending = false;
  /** The position that the server was told last. */
  #acknowledged: Lsn = INVALID_LSN;
  #heardSinceTick = false;
  #heardAtMs: number;
  #flushedAtMs: number;
  #tick: Timer | undefined;
  #roomCheck: Timer | undefined;

  constructor(order: StreamOrder) {
    this.#order = order;
    this.#heardAtMs = this.#flushedAtMs = order.clock.monotonicMs();
  }

  async run(): Promise<"timeline-ended" | "stopped"> {
    const { connection, writer, signal } = this.#order;
    const end = new Promise<"timeline-ended" | "stopped">((resolve, reject) => (this.#settle = { resolve, reject }));
    const onAbort = (): void => this.#end(() => this.#settle?.resolve("stopped"));
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      writer.listen({
        sealed: (segment) => {
          this.#order.onSealed(segment);
          this.#later();
        },
        free: () => this.#goOn(),
        failed: (error) => this.#end(() => this.#settle?.reject(error)),
      });
      connection.handTo({
        receive: (bytes, length) => this.#receive(bytes, length),
        ended: (error) => this.#end(() => this.#settle?.reject(connection.lost(error ?? new Error("the server closed the connection")))),
      });
      this.#sayStatus(false);
      this.#nextTick();
      return await end;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Whatever happens after this, nothing is written, flushed or acknowledged. */
  #end(settle: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#tick?.clear();
    this.#roomCheck?.clear();
    settle();
  }

  /** Runs a step of the stream; its failure ends it. */
  #step(work: () => boolean): boolean {
    if (this.#over) return false;
    try {
      return work();
    } catch (error) {
      this.#end(() => this.#settle?.reject(error));
      return false;
    }
  }

  #receive(bytes: Buffer, length: number): boolean {
    this.#heardSinceTick = true;
    return this.#step(() => {
      this.#decoder.feed(bytes, length);
      const more = this.#readOut();
      // A read that did not fill the buffer has emptied the socket: the group is whole, and a turn of the loop is saved.
      if (more && length < bytes.length) this.#endGroup();
      else this.#later();
      return more;
    });
  }

  /** Deals with all that the decoder has. False: not now, the socket is to wait. */
  #readOut(): boolean {
    const { writer } = this.#order;
    const decoder = this.#decoder;
    for (;;) {
      switch (decoder.next()) {
        case WAL_EVENT.needBytes:
          return true;
        case WAL_EVENT.walBegins:
          if (!writer.isAt(decoder.startHigh, decoder.startLow)) throw this.#gap();
          writer.catchingUp = this.#serverIsAhead();
          break;
        case WAL_EVENT.walBytes: {
          this.#groupOpen = true;
          const wanted = decoder.to - decoder.from;
          const taken = writer.write(decoder.buffer, decoder.from, decoder.to);
          decoder.took(taken);
          if (taken < wanted) return this.#hold();
          break;
        }
        case WAL_EVENT.keepalive:
          this.#groupOpen = true;
          this.#replyWanted ||= decoder.replyRequested;
          break;
        case WAL_EVENT.streamEnds:
          this.#serverEnded = true;
          return false;
      }
    }
  }

  #serverIsAhead(): boolean {
    const { endHigh, endLow, startHigh, startLow, length } = this.#decoder;
    return (endHigh - startHigh) * 0x1_0000_0000 + (endLow - startLow) - length > CATCHING_UP_BYTES;
  }

  /** The writer took less than it was given. */
  #hold(): false {
    const { writer, clock, onFull } = this.#order;
    this.#held = true;
    this.#later();
    if (writer.obstacle === "full") {
      if (!this.#full) onFull?.(true);
      this.#full = true;
      this.#roomCheck = clock.setTimer(ROOM_CHECK_MS, () => this.#goOn());
    }
    return false;
  }

  /** Tries again what could not be taken. */
  #goOn(): void {
    if (!this.#held) return;
    this.#step(() => {
      this.#held = false;
      this.#later();
      if (!this.#readOut()) return false;
      if (this.#full) this.#order.onFull?.(false);
      this.#full = false;
      this.#order.connection.resume();
      return true;
    });
  }

  /** Ends the group when the turn of the event loop is over. */
  #later(): void {
    if (this.#laterPending) return;
    this.#laterPending = true;
    setImmediate(() => {
      this.#laterPending = false;
      this.#step(() => this.#endGroup());
    });
  }

  #endGroup(): boolean {
    const { writer, clock } = this.#order;
    const before = writer.flushed;
    if (writer.position !== before) {
      const nowMs = clock.monotonicMs();
      if (!writer.catchingUp || this.#held || this.#serverEnded || nowMs - this.#flushedAtMs >= FLUSH_AT_LEAST_MS) {
        if (writer.flush()) this.#flushedAtMs = nowMs;
      }
    }
    // What the other thread reads is never behind what the server was told.
    const moved = this.#acknowledged !== writer.flushed;
    if (this.#groupOpen || moved) this.#tellFrontier();
    if (moved || this.#replyWanted) this.#sayStatus(false);
    this.#groupOpen = false;
    if (this.#serverEnded && writer.flushed === writer.position) this.#endTimeline();
    return true;
  }

  #endTimeline(): void {
    this.#end(() => {
      this.#order.connection.takeBack(this.#decoder.unread());
      this.#settle?.resolve("timeline-ended");
    });
  }

  #tellFrontier(): void {
    const { frontier, writer, clock } = this.#order;
    frontier.write({ timeline: writer.timeline, flushed: writer.flushed, serverEnd: this.#decoder.end, heardAtMs: clock.wallMs() });
  }

  #sayStatus(replyRequested: boolean): void {
    const { connection, writer, clock } = this.#order;
    if (connection.unsentBytes > MOST_UNSENT_BYTES) return;
    this.#replyWanted = false;
    this.#acknowledged = writer.flushed;
    connection.send(
      encodeStandbyStatus({ write: writer.flushed, flush: writer.flushed, apply: INVALID_LSN, wallMs: clock.wallMs(), replyRequested }),
    );
  }

  #nextTick(): void {
    const { clock, statusEveryMs } = this.#order;
    this.#tick = clock.setTimer(statusEveryMs ?? STATUS_EVERY_MS, () => this.#step(() => this.#onTick()));
  }

  /** States our position unasked, and finds out whether the server is still there. */
  #onTick(): boolean {
    const { clock, silenceTimeoutMs, connection } = this.#order;
    const nowMs = clock.monotonicMs();
    // While the socket waits we cannot hear; a server that is gone then shows when we go on.
    if (this.#heardSinceTick || this.#held) this.#heardAtMs = nowMs;
    this.#heardSinceTick = false;
    const silentMs = nowMs - this.#heardAtMs;
    if (silentMs > (silenceTimeoutMs ?? SILENCE_TIMEOUT_MS))
      throw connection.lost(new Error(`the server was silent for ${Math.round(silentMs)} ms`));
    this.#endGroup();
    this.#sayStatus(true);
    this.#nextTick();
    return true;
  }

  #gap(): TidemarkError {
    const { writer } = this.#order;
    const [sent, next] = [formatLsn(this.#decoder.start), formatLsn(writer.position)];
    return new TidemarkError("TM-VAULT-STREAM-GAP", `the server sent WAL at ${sent}, the next byte here is at ${next}`, {
      details: { timeline: writer.timeline, sent, next },
    });
  }
}
