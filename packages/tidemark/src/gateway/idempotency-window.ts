/**
 * Which idempotency keys stand for which record (R15), bounded in time and count, in memory that is taken once.
 *
 * The naive way is a Map: a million keys are some 200 MB of small objects that the garbage collector walks again and
 * again. Here an entry is 40 bytes in typed arrays that are filled at the start, so that the memory of the gateway is as
 * large on the first write as on the millionth. Entries lie in a ring in order of acceptance, so forgetting is moving
 * the tail; an open-addressing table (linear probing, at most two thirds full) finds them by 128 bits of SHA-256 of
 * scope and key.
 */

/** What a remembered key stands for. */
export interface RememberedWrite {
  readonly sequence: bigint;
  readonly acceptedAtMs: number;
  /** Whether the content is the same as that which was asked about. */
  readonly sameContent: boolean;
}

/** How long keys are remembered: until either limit is reached. */
export interface WindowLimits {
  /** Milliseconds after acceptance. */
  readonly windowMs: number;
  /** Keys at most; one more makes it forget the oldest. At most 2^30. */
  readonly count: number;
}

const WORDS = 6;
const DIGEST_WORDS = 4;
const EMPTY = 0;

/** The identity of a key within its scope: 16 characters of Latin-1 from {@link keyDigest}. */
export type KeyDigest = string;

export class IdempotencyWindow {
  readonly #limits: WindowLimits;
  readonly #words: Uint32Array;
  readonly #sequences: BigUint64Array;
  readonly #times: Float64Array;
  /** Slot → place in the ring + 1; 0 is empty. */
  readonly #table: Uint32Array;
  readonly #mask: number;
  #tail = 0;
  #size = 0;

  constructor(limits: WindowLimits) {
    this.#limits = limits;
    // `fill` makes the operating system hand out the pages now, not one by one under load.
    this.#words = new Uint32Array(limits.count * WORDS).fill(0);
    this.#sequences = new BigUint64Array(limits.count).fill(0n);
    this.#times = new Float64Array(limits.count).fill(0);
    const slots = 2 ** Math.ceil(Math.log2(Math.max(16, limits.count * 1.5)));
    this.#table = new Uint32Array(slots).fill(EMPTY);
    this.#mask = slots - 1;
  }

  /** Keys remembered now. */
  get size(): number {
    return this.#size;
  }

  get limits(): WindowLimits {
    return this.#limits;
  }

  /** When the oldest remembered key was accepted. */
  get oldestAcceptedAtMs(): number | undefined {
    return this.#size === 0 ? undefined : this.#times[this.#tail];
  }

  /** Bytes of the window, all of them taken at the start. */
  get bytes(): number {
    return this.#words.byteLength + this.#sequences.byteLength + this.#times.byteLength + this.#table.byteLength;
  }

  /** What `digest` stands for, or undefined when it is unknown or older than the window. `contentHash` is hexadecimal, 16 characters or more. */
  find(digest: KeyDigest, contentHash: string, nowMs: number): RememberedWrite | undefined {
    const slot = this.#slotOf(digest);
    const place = (this.#table[slot] ?? EMPTY) - 1;
    if (place < 0) return undefined;
    const acceptedAtMs = this.#times[place] ?? 0;
    if (acceptedAtMs + this.#limits.windowMs <= nowMs) return undefined;
    const base = place * WORDS + DIGEST_WORDS;
    const sameContent = this.#words[base] === hashWord(contentHash, 0) && this.#words[base + 1] === hashWord(contentHash, 1);
    return { sequence: this.#sequences[place] ?? 0n, acceptedAtMs, sameContent };
  }

  /**
   * Remembers a key; the oldest is forgotten when the window is full. Calls come in order of acceptance. A key that is
   * remembered already stands for the newer record from now on (it was beyond the window in time).
   */
  remember(digest: KeyDigest, write: { contentHash: string; sequence: bigint; acceptedAtMs: number }): void {
    this.forgetUntil(write.acceptedAtMs - this.#limits.windowMs);
    if (this.#size === this.#limits.count) this.#forgetOldest();
    const place = (this.#tail + this.#size) % this.#limits.count;
    const base = place * WORDS;
    for (let word = 0; word < DIGEST_WORDS; word++) this.#words[base + word] = digestWord(digest, word);
    this.#words[base + DIGEST_WORDS] = hashWord(write.contentHash, 0);
    this.#words[base + DIGEST_WORDS + 1] = hashWord(write.contentHash, 1);
    this.#sequences[place] = write.sequence;
    this.#times[place] = write.acceptedAtMs;
    this.#table[this.#slotOf(digest)] = place + 1;
    this.#size++;
  }

  /** Forgets what was accepted at `wallMs` or before. */
  forgetUntil(wallMs: number): void {
    while (this.#size > 0 && (this.#times[this.#tail] ?? 0) <= wallMs) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const place = this.#tail;
    const slot = this.#slotOfPlace(place);
    if (slot >= 0) this.#clear(slot);
    this.#tail = (this.#tail + 1) % this.#limits.count;
    this.#size--;
  }

  /** The slot that holds `digest`, or the empty one where it would go. */
  #slotOf(digest: KeyDigest): number {
    const first = digestWord(digest, 0);
    for (let slot = first & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const place = (this.#table[slot] ?? EMPTY) - 1;
      if (place < 0) return slot;
      const base = place * WORDS;
      if (
        this.#words[base] === first &&
        this.#words[base + 1] === digestWord(digest, 1) &&
        this.#words[base + 2] === digestWord(digest, 2) &&
        this.#words[base + 3] === digestWord(digest, 3)
      ) {
        return slot;
      }
    }
  }

  /** The slot that points to `place`, or -1 when the key stands for a newer entry. */
  #slotOfPlace(place: number): number {
    for (let slot = (this.#words[place * WORDS] ?? 0) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const found = this.#table[slot] ?? EMPTY;
      if (found === place + 1) return slot;
      if (found === EMPTY) return -1;
    }
  }

  /** Empties a slot and moves up what had probed past it, so that no tombstones gather. */
  #clear(slot: number): void {
    let hole = slot;
    for (let next = (hole + 1) & this.#mask; ; next = (next + 1) & this.#mask) {
      const found = this.#table[next] ?? EMPTY;
      if (found === EMPTY) break;
      const home = (this.#words[(found - 1) * WORDS] ?? 0) & this.#mask;
      if (((next - home) & this.#mask) < ((next - hole) & this.#mask)) continue;
      this.#table[hole] = found;
      hole = next;
    }
    this.#table[hole] = EMPTY;
  }
}

function digestWord(digest: KeyDigest, word: number): number {
  const at = word * 4;
  return (
    ((digest.charCodeAt(at) << 24) | (digest.charCodeAt(at + 1) << 16) | (digest.charCodeAt(at + 2) << 8) | digest.charCodeAt(at + 3)) >>> 0
  );
}

function hashWord(contentHash: string, word: number): number {
  return Number.parseInt(contentHash.slice(word * 8, word * 8 + 8), 16);
}
