// What the receiver's thread knows, readable from the vault's main thread without a message: how far the WAL is durable
// here. One writer, any number of readers. A sequence lock, because timeline and position belong together.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";

const SLOT = { version: 0, timeline: 1, flushed: 2, serverEnd: 3, heardAtMs: 4 } as const;
const SLOTS = 5;
/** Writing takes well under a microsecond; a writer that was taken off its processor in between is back long before. */
const MOST_ATTEMPTS = 50_000_000;

export interface Frontier {
  /** 0 before anything was received. */
  readonly timeline: Timeline | 0;
  /** Everything before it is durable here: the position that was, or may be, acknowledged (ACK-DURABLE). */
  readonly flushed: Lsn;
  /** How far the server said that its WAL reaches; 0 before it did. */
  readonly serverEnd: Lsn;
  /** Wall time of the last message of the server, milliseconds; 0 before the first. */
  readonly heardAtMs: number;
}

export class SharedFrontier {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: BigInt64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(SLOTS * 8)) {
    this.buffer = buffer;
    this.#cells = new BigInt64Array(buffer);
  }

  /** Rejects (a bug) when a writer stopped in the middle of writing: a thread that was ended there never finishes. */
  read(): Frontier {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const version = Atomics.load(this.#cells, SLOT.version);
      const read = {
        timeline: Number(Atomics.load(this.#cells, SLOT.timeline)) as Timeline | 0,
        flushed: Atomics.load(this.#cells, SLOT.flushed) as Lsn,
        serverEnd: Atomics.load(this.#cells, SLOT.serverEnd) as Lsn,
        heardAtMs: Number(Atomics.load(this.#cells, SLOT.heardAtMs)),
      };
      if ((version & 1n) === 0n && Atomics.load(this.#cells, SLOT.version) === version) return read;
    }
    throw new Error("assertion failed: the frontier's writer stopped in the middle of writing it");
  }

  /** To be called by the one writer, after the bytes are durable. */
  write(frontier: Frontier): void {
    // Whatever can throw does so before the lock is taken: a reader would wait for its end for ever.
    const timeline = BigInt(frontier.timeline);
    const heardAtMs = BigInt(Math.floor(frontier.heardAtMs));
    Atomics.add(this.#cells, SLOT.version, 1n);
    Atomics.store(this.#cells, SLOT.timeline, timeline);
    Atomics.store(this.#cells, SLOT.flushed, frontier.flushed);
    Atomics.store(this.#cells, SLOT.serverEnd, frontier.serverEnd);
    Atomics.store(this.#cells, SLOT.heardAtMs, heardAtMs);
    Atomics.add(this.#cells, SLOT.version, 1n);
  }
}
