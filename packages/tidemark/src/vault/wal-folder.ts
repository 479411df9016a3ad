// Where the vault keeps what it received: docs/vault-format.md, "The folder". The receiver's thread writes it; the archiver,
// the commit log and those who fetch read it.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { historyName, parseHistoryName, parseSegmentName, segmentName } from "@tidemark/postgres/wal/segment-name";

/** The ending of the segment that is being written. It has its full size from the beginning; zeros follow what was received. */
export const PARTIAL = ".partial";

export interface WalSegmentFile {
  readonly name: string;
  readonly path: string;
  readonly timeline: Timeline;
  readonly start: Lsn;
  /** Whole, durable and never written again. The other kind ends in {@link PARTIAL}. */
  readonly sealed: boolean;
}

/** The paths of a vault's folder. */
export class WalFolder {
  readonly directory: string;
  readonly segmentBytes: number;

  constructor(directory: string, segmentBytes: number) {
    this.directory = directory;
    this.segmentBytes = segmentBytes;
  }

  /** WAL that is served: segments, the growing partial one, history files. */
  get wal(): string {
    return join(this.directory, "wal");
  }

  /** WAL of an old primary past a fork: evidence, never served (trap 11). */
  get diverged(): string {
    return join(this.directory, "diverged");
  }

  segment(place: { timeline: Timeline; lsn: Lsn }, sealed: boolean): string {
    return join(this.wal, segmentName(place, this.segmentBytes) + (sealed ? "" : PARTIAL));
  }

  history(timeline: Timeline): string {
    return join(this.wal, historyName(timeline));
  }

  /** All segments here, by timeline and position. Empty when the folder is not there yet. */
  async segments(): Promise<WalSegmentFile[]> {
    const found: WalSegmentFile[] = [];
    for (const file of await this.#names()) {
      const sealed = !file.endsWith(PARTIAL);
      const name = sealed ? file : file.slice(0, -PARTIAL.length);
      const place = parseSegmentName(name, this.segmentBytes);
      if (place !== undefined) found.push({ name, path: join(this.wal, file), ...place, sealed });
    }
    return found.sort((a, b) => a.timeline - b.timeline || (a.start < b.start ? -1 : 1));
  }

  /** The timelines whose history files are here, ascending. */
  async histories(): Promise<Timeline[]> {
    const names = await this.#names();
    return names.flatMap((name) => parseHistoryName(name) ?? []).sort((a, b) => a - b);
  }

  async #names(): Promise<string[]> {
    return readdir(this.wal).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
  }
}
