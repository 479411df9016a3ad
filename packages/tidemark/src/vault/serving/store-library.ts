// Gives WAL files straight from one object store, without a vault: what `tidemark wal fetch` does where no vault answers. It
// knows no more than the store's objects. That the store has nothing at or after a place means that its WAL ends there,
// which is not to say that there never was more: whoever asks decides whether that end may count (trap 33).
import { createHash } from "node:crypto";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn, type Lsn } from "@tidemark/kernel/lsn";
import { parseTimelineHistory, type TimelineSwitch } from "@tidemark/postgres/timeline-history";
import { parseSegmentName } from "@tidemark/postgres/wal/segment-name";
import { KeySpace } from "../archive/archive-key.ts";
import type { ObjectStore } from "../../object-stores/object-store.ts";
import { parseWalFileName, type WalFileName } from "./wal-file-name.ts";
import type { GivenFile } from "./wal-library.ts";

/** What an object opens to. `start` and `end` are of a segment, whole or partial. */
export interface OpenedObject {
  readonly raw: Uint8Array;
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly start?: Lsn;
  readonly end?: Lsn;
}

export interface StoreLibraryParts {
  readonly store: Pick<ObjectStore, "get" | "list">;
  /** Its name in the configuration. */
  readonly name: string;
  /** Opens and checks an object. Rejects with TM-SEAL-*. */
  readonly open: (object: Uint8Array) => Promise<OpenedObject>;
  /** Whose WAL. Undefined: the only one in the store. */
  readonly systemIdentifier?: SystemIdentifier;
}

/**
 * The size of segments stands in what is found. Until then names are taken as those of the smallest segments, which every size's
 * names are among; positions are not computed from it.
 */
const ANY_SEGMENT_BYTES = 1_048_576;

/** How often a partial object that went away is looked for again. */
const PARTIAL_ATTEMPTS = 5;

const SEGMENT_KEY = /\/([0-9A-F]{24})(?:\.partial-([0-9A-F]{16}))?$/;

type SegmentName = Extract<WalFileName, { kind: "segment" }>;

export class StoreLibrary {
  readonly #parts: StoreLibraryParts;
  #system: Promise<SystemIdentifier> | undefined;

  constructor(parts: StoreLibraryParts) {
    this.#parts = parts;
  }

  /**
   * Gives a file. Rejects with TM-VAULT-END-OF-WAL where this store's WAL ends before it; otherwise with TM-VAULT-HOLE, TM-VAULT-DAMAGED,
   * TM-VAULT-OTHER-HISTORY, TM-VAULT-OTHER-SYSTEM, TM-VAULT-UNSURE, TM-VAULT-WAL-NAME, TM-OBJECT-*, TM-SEAL-*.
   */
  async give(fileName: string): Promise<GivenFile> {
    const name = parseWalFileName(fileName, ANY_SEGMENT_BYTES);
    this.#system ??= this.#findSystem();
    const systemIdentifier = await this.#system;
    if (name.kind === "segment") return this.#segment(name, systemIdentifier);
    if (name.kind === "history") return this.#history(name, systemIdentifier);
    if (name.kind === "label") throw new TidemarkError("TM-VAULT-END-OF-WAL", `${fileName} is not kept in object stores`);
    throw new TidemarkError("TM-VAULT-WAL-NAME", `${fileName} is evidence of a timeline that was left, and no WAL to recover from`);
  }

  async #segment(name: SegmentName, system: SystemIdentifier): Promise<GivenFile> {
    const keys = keySpace(system);
    const lines = await this.#timelines(system);
    const key = keys.segment(name);
    // A vault may be sealing it meanwhile: then the partial one goes away once the whole one is there.
    const object = (await this.#get(key)) ?? (await this.#newestPartial(key)) ?? (await this.#get(key));
    if (object !== undefined) return this.#checked(name.name, await this.#open(object, system), lines);
    return this.#missing(name, lines, keys);
  }

  /** Full size, with zeros from the end of what is known to belong to the history. */
  #checked(name: string, opened: OpenedObject, lines: Lines): GivenFile {
    const segmentBytes = segmentBytesOf(opened.raw);
    const place = parseSegmentName(name, segmentBytes);
    const { start, end } = opened;
    if (place === undefined || start !== place.start || opened.timeline !== place.timeline || end === undefined)
      throw new TidemarkError("TM-VAULT-DAMAGED", `${name} in store ${this.#parts.name} is another piece of WAL than its name says`);
    const fork = forkOf(place.timeline, lines, name);
    if (fork !== undefined && place.start >= fork) throw beyond(name, place.timeline, fork);
    // A whole object that ends early, or a partial one of a timeline that went on: zeros in it would pass for the end of the WAL.
    const until = fork !== undefined && fork < end ? fork : end;
    const expected = fork ?? end;
    if (until < expected && until < place.start + BigInt(segmentBytes)) throw hole(name, place.timeline, { start: until, end: expected });
    const complete = until === fork || until === place.start + BigInt(segmentBytes);
    const bytes = new Uint8Array(segmentBytes);
    bytes.set(opened.raw.subarray(0, Number(until - place.start)));
    return this.#given(name, bytes, { timeline: place.timeline, end: until, complete });
  }

  /** Neither whole nor partial is there: the end, or a hole. */
  async #missing({ name, timeline, ...place }: SegmentName, lines: Lines, keys: KeySpace): Promise<GivenFile> {
    if (lines.newest < timeline) throw new TidemarkError("TM-VAULT-UNSURE", `store ${this.#parts.name} does not know timeline ${timeline}`);
    const fork = forkOf(timeline, lines, name);
    const after = await this.#firstAfter(keys.segment({ timeline, ...place }));
    if (fork === undefined && after === undefined) {
      if (await this.#hasAny(keys.root))
        throw new TidemarkError("TM-VAULT-END-OF-WAL", `the WAL of timeline ${timeline} in store ${this.#parts.name} ends before ${name}`);
      throw new TidemarkError("TM-VAULT-UNSURE", `store ${this.#parts.name} has nothing of cluster ${keys.root.replace("/", "")}`);
    }
    const segmentBytes = await this.#segmentBytes(keys);
    const start = segmentBytes === undefined ? undefined : parseSegmentName(name, segmentBytes)?.start;
    const next = segmentBytes === undefined || after === undefined ? undefined : parseSegmentName(after, segmentBytes)?.start;
    if (fork !== undefined && start !== undefined && start >= fork) throw beyond(name, timeline, fork);
    if (start === undefined) throw new TidemarkError("TM-VAULT-HOLE", `${name} is not in store ${this.#parts.name}, and later WAL is`);
    throw hole(name, timeline, { start, end: next ?? fork ?? start });
  }

  async #history(name: Extract<WalFileName, { kind: "history" }>, system: SystemIdentifier): Promise<GivenFile> {
    const keys = keySpace(system);
    const object = await this.#get(keys.history(name.timeline));
    if (object !== undefined) {
      const opened = await this.#open(object, system);
      return this.#given(name.name, opened.raw, { timeline: name.timeline, complete: true });
    }
    const lines = await this.#timelines(system);
    if (name.timeline === 1 || name.timeline > lines.newest)
      throw new TidemarkError("TM-VAULT-END-OF-WAL", `store ${this.#parts.name} has no timeline ${name.timeline}`);
    if (lines.history.some(({ timeline }) => timeline === name.timeline))
      throw new TidemarkError("TM-VAULT-HOLE", `the history of timeline ${name.timeline} is missing in store ${this.#parts.name}`);
    throw otherHistory(name.name, lines);
  }

  /** The newest timeline that has a history file, or the first, and its ancestors. */
  async #timelines(system: SystemIdentifier): Promise<Lines> {
    const keys = keySpace(system);
    let newest = 1 as Timeline;
    for await (const { key } of this.#parts.store.list(`${keys.root}timeline/`)) {
      const parsed = keys.parse(key);
      if (parsed?.kind === "history" && parsed.timeline > newest) newest = parsed.timeline;
    }
    if (newest === 1) return { newest, history: [] };
    const object = await this.#get(keys.history(newest));
    if (object === undefined) throw new TidemarkError("TM-VAULT-UNSURE", `the history of timeline ${newest} went away while it was read`);
    const opened = await this.#open(object, system);
    return { newest, history: parseTimelineHistory(Buffer.from(opened.raw).toString("utf8")) };
  }

  async #newestPartial(segmentKey: string): Promise<Uint8Array | undefined> {
    for (let attempt = 0; attempt < PARTIAL_ATTEMPTS; attempt++) {
      let found: { key: string; end: string } | undefined;
      for await (const { key } of this.#parts.store.list(`${segmentKey}.partial-`)) {
        const end = SEGMENT_KEY.exec(key)?.[2];
        if (end !== undefined && (found === undefined || end > found.end)) found = { key, end };
      }
      if (found === undefined) return undefined;
      const object = await this.#get(found.key);
      if (object !== undefined) return object;
      // A newer one took its place between the two requests.
    }
    throw new TidemarkError("TM-VAULT-UNSURE", `the partial segment in store ${this.#parts.name} is replaced faster than it is read`);
  }

  /** The name of the next segment of the timeline. Names sort like positions, whatever the size of segments. */
  async #firstAfter(key: string): Promise<string | undefined> {
    for await (const object of this.#parts.store.list(`${key.slice(0, key.lastIndexOf("/"))}/`, { after: key })) {
      const name = SEGMENT_KEY.exec(object.key)?.[1];
      if (name !== undefined && !key.endsWith(name)) return name;
    }
    return undefined;
  }

  async #hasAny(root: string): Promise<boolean> {
    for await (const object of this.#parts.store.list(`${root}wal/`)) return object !== undefined;
    return false;
  }

  async #segmentBytes(keys: KeySpace): Promise<number | undefined> {
    for await (const { key } of this.#parts.store.list(`${keys.root}wal/`)) {
      if (!SEGMENT_KEY.test(key)) continue;
      const object = await this.#get(key);
      if (object !== undefined) return segmentBytesOf((await this.#parts.open(object)).raw);
    }
    return undefined;
  }

  async #findSystem(): Promise<SystemIdentifier> {
    if (this.#parts.systemIdentifier !== undefined) return this.#parts.systemIdentifier;
    const found = new Set<string>();
    for await (const { key } of this.#parts.store.list("")) {
      const system = /^(\d{1,20})\//.exec(key)?.[1];
      if (system !== undefined) found.add(system);
      if (found.size > 1) break;
    }
    const [only, second] = [...found];
    if (only === undefined) throw new TidemarkError("TM-VAULT-UNSURE", `store ${this.#parts.name} is empty`);
    if (second !== undefined)
      throw new TidemarkError("TM-VAULT-OTHER-SYSTEM", `store ${this.#parts.name} has WAL of several clusters`, {
        hint: "Run it in the data directory, as restore_command does, or name the cluster with --system.",
      });
    return only as SystemIdentifier;
  }

  async #open(object: Uint8Array, system: SystemIdentifier): Promise<OpenedObject> {
    const opened = await this.#parts.open(object);
    if (opened.systemIdentifier !== system)
      throw new TidemarkError("TM-VAULT-OTHER-SYSTEM", `an object of cluster ${system} holds WAL of ${opened.systemIdentifier}`);
    return opened;
  }

  async #get(key: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#parts.store.get(key);
    } catch (error) {
      if (hasCode(error, "TM-OBJECT-MISSING")) return undefined;
      throw error;
    }
  }

  #given(name: string, bytes: Uint8Array, facts: Pick<GivenFile, "timeline" | "end" | "complete">): GivenFile {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return { name, bytes, sha256, source: `archive:${this.#parts.name}`, ...facts };
  }
}

interface Lines {
  readonly newest: Timeline;
  readonly history: readonly TimelineSwitch[];
}

/** Undefined: the timeline has not ended. */
function forkOf(timeline: Timeline, lines: Lines, name: string): Lsn | undefined {
  if (timeline >= lines.newest) return undefined;
  const fork = lines.history.find((entry) => entry.timeline === timeline)?.switchLsn;
  if (fork === undefined) throw otherHistory(name, lines);
  return fork;
}

/** A segment says its own size in its first page, at byte 32. Source: XLogLongPageHeaderData. */
function segmentBytesOf(raw: Uint8Array): number {
  const bytes = raw.length < 36 ? 0 : new DataView(raw.buffer, raw.byteOffset, raw.byteLength).getUint32(32, true);
  if (!Number.isInteger(Math.log2(bytes)) || bytes < raw.length)
    throw new TidemarkError("TM-VAULT-DAMAGED", "an archived segment does not begin like one");
  return bytes;
}

function keySpace(systemIdentifier: SystemIdentifier): KeySpace {
  return new KeySpace({ prefix: "", systemIdentifier, segmentBytes: ANY_SEGMENT_BYTES });
}

function beyond(name: string, timeline: Timeline, fork: Lsn): TidemarkError {
  return new TidemarkError("TM-VAULT-END-OF-WAL", `${name} begins beyond the fork of timeline ${timeline} at ${formatLsn(fork)}`);
}

function otherHistory(name: string, lines: Lines): TidemarkError {
  return new TidemarkError("TM-VAULT-OTHER-HISTORY", `${name} is of no ancestor of timeline ${lines.newest}, the newest`);
}

function hole(name: string, timeline: Timeline, range: { start: Lsn; end: Lsn }): TidemarkError {
  return new TidemarkError(
    "TM-VAULT-HOLE",
    `${name} cannot be given: WAL is missing here, timeline ${timeline} from ${formatLsn(range.start)} to ${formatLsn(range.end)}`,
  );
}
