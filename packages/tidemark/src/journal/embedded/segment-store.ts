import { join } from "node:path";
import type { Files, JournalFile } from "./files.ts";
import { writeManifest, type Manifest } from "./manifest.ts";
import type { Recovered } from "./recovery.ts";
import type { KeptSegment } from "./segment-chain.ts";
import { makeSegment, preparingName, segmentName } from "./segment-file.ts";

/** A segment that takes, or will take, groups. */
export interface WriteSegment {
  readonly number: number;
  readonly bytes: number;
  /** Absent until the file is made; the groups planned into it wait. */
  file: JournalFile | undefined;
  /** Set when its first group is planned. */
  kept: KeptSegment | undefined;
}

/**
 * The files of the journal: makes segments ahead of their use and removes trimmed ones, one change at a time, each in the
 * order that recovery relies on (see manifest.ts). Knows nothing of records.
 */
export class SegmentStore {
  readonly #files: Files;
  readonly #directory: string;
  readonly #segmentBytes: number;
  #manifest: Manifest;
  /** Begun segments, oldest first, including the one being written. */
  readonly kept: KeptSegment[];
  readonly #ready: WriteSegment[] = [];
  /** Planned by the writer before they were made. */
  readonly #wanted: WriteSegment[] = [];
  #usedBytes = 0;
  #nextNumber: number;
  #changes: Promise<unknown> = Promise.resolve();

  constructor(files: Files, directory: string, start: { segmentBytes: number; recovered: Recovered }) {
    this.#files = files;
    this.#directory = directory;
    this.#segmentBytes = start.segmentBytes;
    this.#manifest = start.recovered.manifest;
    this.kept = start.recovered.kept;
    this.#nextNumber = this.#manifest.lastSegment + 1;
    for (const { number, bytes } of start.recovered.ready) this.#ready.push({ number, bytes, file: undefined, kept: undefined });
    for (const { bytes } of [...this.kept, ...this.#ready]) this.#usedBytes += bytes;
  }

  get manifest(): Manifest {
    return this.#manifest;
  }

  /** Bytes of all files, prepared ones included. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get segmentBytes(): number {
    return this.#segmentBytes;
  }

  /** Prepared segments that nobody has taken. */
  get ready(): readonly WriteSegment[] {
    return this.#ready;
  }

  /** Bytes of the segments that were taken before they were made. */
  get wantedBytes(): number {
    return this.#wanted.length * this.#segmentBytes;
  }

  /** The next segment in order; its file may not be there yet. The caller has checked that the quota allows it. */
  take(): WriteSegment {
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    const wanted: WriteSegment = { number: this.#nextNumber++, bytes: this.#segmentBytes, file: undefined, kept: undefined };
    this.#wanted.push(wanted);
    return wanted;
  }

  get isWanted(): boolean {
    return this.#wanted.length > 0;
  }

  /** Opens the file of a segment that exists for writing. */
  async openFile(segment: { number: number }): Promise<JournalFile> {
    return await this.#files.open(join(this.#directory, segmentName(segment.number)), "update");
  }

  /** Makes the next segment: the oldest wanted one, or one ahead. Resolves when it and its mention in the manifest are durable. */
  prepare(): Promise<void> {
    return this.#change(async () => {
      const segment = this.#wanted[0] ?? { number: this.#nextNumber, bytes: this.#segmentBytes, file: undefined, kept: undefined };
      const { number, bytes } = segment;
      await this.#removeIfThere(preparingName(number));
      await makeSegment(this.#files, this.#directory, { number, bytes });
      await this.#writeManifest({ ...this.#manifest, lastSegment: number, lastSegmentBytes: bytes });
      segment.file = await this.openFile(segment);
      this.#usedBytes += bytes;
      // It may have been taken by the writer while it was being made.
      if (this.#wanted[0]?.number === number) {
        const wanted = this.#wanted.shift();
        if (wanted !== undefined) wanted.file = segment.file;
        return;
      }
      this.#nextNumber = number + 1;
      this.#ready.push(segment);
    });
  }

  /** Forgets the `count` oldest segments. The one being written stays. */
  trim(count: number): Promise<void> {
    return this.#change(async () => {
      const gone = this.kept.slice(0, Math.min(count, this.kept.length - 1));
      const oldest = this.kept[gone.length];
      if (gone.length === 0 || oldest === undefined) return;
      await this.#writeManifest({ ...this.#manifest, firstSegment: oldest.number, firstSequence: oldest.firstSequence });
      this.kept.splice(0, gone.length);
      for (const segment of gone) {
        await this.#files.remove(join(this.#directory, segmentName(segment.number)));
        this.#usedBytes -= segment.bytes;
      }
      await this.#files.syncDirectory(this.#directory);
    });
  }

  /** Waits for the change in hand and closes the files of prepared segments. */
  async close(): Promise<void> {
    await this.#changes;
    for (const segment of [...this.#ready, ...this.#wanted]) await segment.file?.close();
  }

  async #removeIfThere(name: string): Promise<void> {
    if ((await this.#files.list(this.#directory)).includes(name)) await this.#files.remove(join(this.#directory, name));
  }

  async #writeManifest(manifest: Manifest): Promise<void> {
    await writeManifest(this.#files, this.#directory, manifest);
    this.#manifest = manifest;
  }

  #change(run: () => Promise<void>): Promise<void> {
    const done = this.#changes.then(run);
    this.#changes = done.catch(() => undefined); // Reported to the caller; the next change starts from what is on disk.
    return done;
  }
}
