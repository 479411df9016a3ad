// The vault's own WAL as the archive sees it: which sealed segments, endings and histories are here, and how far the growing
// segment is durable. Reads the folder; writes nothing.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import { hasCode, type ErrorCode, type TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseHistoryName, parseSegmentName, segmentName, segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { SharedFrontier } from "../receiver/shared-frontier.ts";
import { PARTIAL, type WalFolder } from "../wal-folder.ts";
import type { WalRange } from "./wal-range.ts";

export type SegmentPlace = { readonly timeline: Timeline; readonly start: Lsn };

/** What a look into the folder found. */
export interface LocalListing {
  readonly sealed: readonly SegmentPlace[];
  /** Segments that were growing when they were left: all partial ones. */
  readonly partials: readonly SegmentPlace[];
  readonly histories: readonly Timeline[];
}

/** What is wrong with a local segment by itself, whatever its archive says. */
export const LOCAL_FAULTS: readonly ErrorCode[] = ["TM-VAULT-DAMAGED", "TM-VAULT-SEGMENT-MISSING", "TM-VAULT-SEGMENT-UNREADABLE"];

export function isLocalFault(error: unknown): error is TidemarkError {
  return LOCAL_FAULTS.some((code) => hasCode(error, code));
}

/** WAL that came by archive_command and not by the receiver lies beside the receiver's folder. */
const PUSHED = "pushed";

export class LocalWal {
  readonly segmentBytes: number;
  readonly #folder: WalFolder;
  readonly #frontier: SharedFrontier;

  constructor(folder: WalFolder, frontier: SharedFrontier) {
    this.segmentBytes = folder.segmentBytes;
    this.#folder = folder;
    this.#frontier = frontier;
  }

  async list(): Promise<LocalListing> {
    const own = await this.#folder.segments();
    const sealed = own.filter((segment) => segment.sealed);
    const here = new Set(sealed.map(({ name }) => name));
    const pushed = (await this.#pushedNames()).filter((name) => !here.has(name));
    const pushedSegments = pushed.flatMap((name) => parseSegmentName(name, this.segmentBytes) ?? []);
    const histories = [...(await this.#folder.histories()), ...pushed.flatMap((name) => parseHistoryName(name) ?? [])];
    return {
      sealed: [...sealed, ...pushedSegments].map(({ timeline, start }) => ({ timeline, start })).sort(inOrder),
      partials: own.filter((segment) => !segment.sealed).map(({ timeline, start }) => ({ timeline, start })),
      histories: [...new Set(histories)].sort((a, b) => a - b),
    };
  }

  /** What of the growing segment is durable here; undefined while nothing of it is. */
  growing(): WalRange | undefined {
    const { timeline, flushed } = this.#frontier.read();
    if (timeline === 0) return undefined;
    const start = segmentStart(flushed, this.segmentBytes);
    return flushed > start ? { timeline, start, end: flushed } : undefined;
  }

  /** Everything before it is durable here. */
  frontier(): { readonly timeline: Timeline | 0; readonly flushed: Lsn } {
    return this.#frontier.read();
  }

  /** Whether the receiver is past the segment: from there on it is the archive's to keep. Its own run is the receiver's alone. */
  isBehind(place: SegmentPlace): boolean {
    const { timeline, flushed } = this.#frontier.read();
    return timeline !== 0 && place.timeline <= timeline && place.start + BigInt(this.segmentBytes) <= flushed;
  }

  /** Where a sealed segment is; undefined when it is in neither folder. */
  async sealedPath(place: SegmentPlace): Promise<string | undefined> {
    const paths = [this.receivedPath(place), join(this.#folder.directory, PUSHED, this.name(place))];
    for (const path of paths) {
      if (await isFile(path)) return path;
    }
    return undefined;
  }

  /** Where the receiver puts the sealed segment. */
  receivedPath(place: SegmentPlace): string {
    return this.#folder.segment({ timeline: place.timeline, lsn: place.start }, true);
  }

  /** The growing segment's file: it may be sealed at any moment, and then has another name. */
  async growingPath(place: SegmentPlace): Promise<string | undefined> {
    const partial = this.#folder.segment({ timeline: place.timeline, lsn: place.start }, false);
    return (await isFile(partial)) ? partial : this.sealedPath(place);
  }

  async history(timeline: Timeline): Promise<string | undefined> {
    const received = this.#folder.history(timeline);
    for (const path of [received, join(this.#folder.directory, PUSHED, received.slice(received.lastIndexOf("/") + 1))]) {
      const content = await readFile(path, "utf8").catch(absent);
      if (content !== undefined) return content;
    }
    return undefined;
  }

  name(place: SegmentPlace): string {
    return segmentName({ timeline: place.timeline, lsn: place.start }, this.segmentBytes);
  }

  get directory(): string {
    return this.#folder.directory;
  }

  /** Where the receiver's segments are. */
  get wal(): string {
    return this.#folder.wal;
  }

  async #pushedNames(): Promise<string[]> {
    const names = (await readdir(join(this.#folder.directory, PUSHED)).catch(absent)) ?? [];
    return names.filter((name) => !name.endsWith(PARTIAL));
  }
}

export function inOrder(a: SegmentPlace, b: SegmentPlace): number {
  return a.timeline - b.timeline || (a.start < b.start ? -1 : a.start > b.start ? 1 : 0);
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(absent))?.isFile() === true;
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT") return undefined;
  throw error;
}
