import type { JournalId, Sequence } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import type { AppendedRecord, JournalEntry } from "../journal.ts";
import { partitionOfKey } from "../partition-of-key.ts";
import { FORMAT_VERSION, SECTOR_BYTES, recordBytes, toSector } from "../segment-format.ts";
import { Group } from "./group.ts";
import type { SegmentStore, WriteSegment } from "./segment-store.ts";

/** The most bytes of one group: a write long enough to use the disk well, short enough not to hold up the next. */
export const GROUP_BYTES = 2 * 1_048_576;
/** Group buffers kept for use again; more are given back to the memory. */
const SPARE_BUFFERS = 4;
const NOTHING = new Uint8Array(0);

interface Place {
  readonly segment: WriteSegment;
  readonly offset: number;
}

/**
 * The groups that wait for the disk, in order: gives each record its sequence and its place, lays it out in the buffer of
 * the group that collects, and goes on to the next group and segment when there is no room. Writes nothing.
 */
export class GroupLine {
  readonly #store: SegmentStore;
  readonly #clock: Clock;
  readonly #journal: { readonly id: JournalId; readonly seed: number; readonly partitions: number };
  readonly #sealed: Group[] = [];
  readonly #buffers: Buffer[] = [];
  #collecting: Group | undefined;
  /** Where the next group goes. */
  #plan: Place | undefined;
  #nextSequence: number;
  #pendingBytes = 0;
  generation: number;

  constructor(
    store: SegmentStore,
    clock: Clock,
    start: { journal: { id: JournalId; seed: number; partitions: number }; nextSequence: number; generation: number },
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#journal = start.journal;
    this.#nextSequence = start.nextSequence;
    this.generation = start.generation;
  }

  /** Goes on in a segment that has begun. */
  resumeAt(plan: Place): void {
    this.#plan = plan;
  }

  /** Bytes laid out and not yet released. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Bytes left for records in the segment that is being planned. */
  get room(): number {
    if (this.#plan === undefined) return 0;
    return this.#plan.segment.bytes - SECTOR_BYTES - (this.#collecting?.end ?? this.#plan.offset);
  }

  get isEmpty(): boolean {
    return this.#collecting === undefined && this.#sealed.length === 0;
  }

  /** The segment of the newest group. */
  get segment(): WriteSegment | undefined {
    return this.#plan?.segment;
  }

  /** Lays out the entries, which must have been admitted; answers where they go and the group that completes them. */
  add(entries: readonly JournalEntry[]): { appended: AppendedRecord[]; group: Group } | undefined {
    const { seed, partitions } = this.#journal;
    const { generation } = this;
    const appended: AppendedRecord[] = [];
    let group: Group | undefined;
    for (const { kind, key, payload, acceptedAtMs, partition = partitionOfKey(key, partitions) } of entries) {
      const keyBytes = Buffer.byteLength(key, "utf8");
      const sequence = this.#nextSequence++;
      const bytes = recordBytes(keyBytes, payload.length);
      group = this.#groupFor(bytes, sequence);
      group.add({
        place: { seed, sequence, groupStart: group.firstSequence, kind, generation, partition, acceptedAtMs },
        key,
        keyBytes,
        payload,
      });
      this.#pendingBytes += bytes;
      appended.push({ sequence: BigInt(sequence) as Sequence, partition, generation });
    }
    return group === undefined ? undefined : { appended, group };
  }

  /** A mark in a group of its own, where a sector is left for one. Only when nothing waits. */
  addMark(): void {
    const plan = this.#plan;
    if (plan === undefined || plan.offset === 0 || plan.offset + SECTOR_BYTES > plan.segment.bytes) return;
    const sequence = this.#nextSequence;
    const group = this.#newGroup(plan, sequence);
    const acceptedAtMs = Math.floor(this.#clock.wallMs());
    const place = {
      seed: this.#journal.seed,
      sequence,
      groupStart: sequence,
      kind: "mark",
      generation: this.generation,
      partition: 0,
      acceptedAtMs,
    } as const;
    group.add({ place, key: "", keyBytes: 0, payload: NOTHING });
    this.#pendingBytes += group.length;
    this.#collecting = group;
    this.#seal();
  }

  /** The group to write next, sealed. It stays until `shift`. */
  first(): Group | undefined {
    if (this.#sealed.length === 0) this.#seal();
    return this.#sealed[0];
  }

  shift(): void {
    this.#sealed.shift();
  }

  /** The group is durable: its bytes wait no longer and its buffer may be used again. */
  release(group: Group): void {
    this.#pendingBytes -= group.length;
    if (this.#buffers.length < SPARE_BUFFERS) this.#buffers.push(group.buffer);
  }

  /** Gives up everything that waits. */
  abandon(): Group[] {
    this.#seal();
    return this.#sealed.splice(0);
  }

  #groupFor(bytes: number, sequence: number): Group {
    const current = this.#collecting;
    if (current?.hasRoom(bytes) === true) return current;
    this.#seal();
    const plan = this.#plan;
    const fits = plan !== undefined && plan.offset + bytes <= plan.segment.bytes - SECTOR_BYTES;
    this.#collecting = fits ? this.#newGroup(plan, sequence) : this.#beginSegment(sequence);
    return this.#collecting;
  }

  #newGroup(plan: Place, sequence: number): Group {
    const buffer = this.#buffers.pop() ?? Buffer.allocUnsafeSlow(Math.min(GROUP_BYTES, toSector(this.#store.segmentBytes)));
    return new Group({ ...plan, buffer, firstSequence: sequence });
  }

  #beginSegment(sequence: number): Group {
    const { id, seed, partitions } = this.#journal;
    const segment = this.#store.take();
    const { number, bytes } = segment;
    const createdAtMs = Math.floor(this.#clock.wallMs());
    segment.kept = {
      number,
      bytes,
      firstSequence: sequence,
      lastSequence: sequence - 1,
      createdAtMs,
      firstAcceptedAtMs: createdAtMs,
      newestAcceptedAtMs: 0,
    };
    this.#plan = { segment, offset: 0 };
    const group = this.#newGroup(this.#plan, sequence);
    group.addHeader({
      version: FORMAT_VERSION,
      seed,
      journal: id,
      segment: number,
      firstSequence: sequence,
      createdAtMs,
      generation: this.generation,
      partitions,
      segmentBytes: bytes,
    });
    this.#pendingBytes += group.length;
    return group;
  }

  #seal(): void {
    const group = this.#collecting;
    if (group === undefined) return;
    this.#collecting = undefined;
    const before = group.length;
    group.seal();
    this.#pendingBytes += group.length - before;
    this.#sealed.push(group);
    this.#plan = { segment: group.segment, offset: group.end };
  }
}
