// Gives WAL files by name to those who recover: from the vault's folder, else from the archive. What it gives is checked first, because
// PostgreSQL takes a damaged or missing segment in the middle for the end of the WAL and opens the database, short (trap 34).
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { historyName } from "@tidemark/postgres/wal/segment-name";
import type { Archive } from "../archive/archive.ts";
import type { WalRange } from "../archive/wal-range.ts";
import type { WalFolder } from "../wal-folder.ts";
import type { SegmentCheck } from "./segment-check.ts";
import { gapsIn, judgeMissingHistory, judgeSegment, type ServingState } from "./serving-rules.ts";
import { parseWalFileName, type WalFileName } from "./wal-file-name.ts";

/** A WAL file, whole: a segment has the full size of a segment. */
export interface GivenFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** SHA-256 of `bytes`, hexadecimal. */
  readonly sha256: string;
  /** `local`: sealed and durable in the vault's folder. `partial`: the growing segment. `pushed`: from archive_command. */
  readonly source: "local" | "partial" | "pushed" | `archive:${string}`;
  readonly timeline?: Timeline;
  /** Of a segment: the WAL in it ends here, from here on there are zeros. */
  readonly end?: Lsn;
  /** Nothing follows: a whole segment, one that ends at a recorded fork, a history file. False for one that still grows. */
  readonly complete: boolean;
}

export interface AskedFile {
  readonly name: string;
  /** Nothing at or beyond it: zeros stand there. */
  readonly upTo?: Lsn;
  /** The cluster that it is for; another one is refused (trap 9). */
  readonly systemIdentifier?: string;
}

export interface WalLibraryParts {
  readonly folder: WalFolder;
  /** Its `end` is exact where less than `upTo` is known whole. Rejects with TM-VAULT-UNSURE while it is not known yet. */
  readonly state: (upTo?: Lsn) => Promise<ServingState>;
  readonly check: SegmentCheck;
  readonly archive?: Pick<Archive, "fetch">;
}

/** Where `wal push` puts what the receiver did not write: beside its folder, which is the receiver's alone. */
export function pushedFolder(folder: WalFolder): string {
  return join(folder.directory, "pushed");
}

interface Candidate {
  readonly path: string;
  readonly source: GivenFile["source"];
}

interface SegmentAsked {
  readonly name: Extract<WalFileName, { kind: "segment" }>;
  /** What of it the history has, exclusive. */
  readonly upTo: Lsn;
  readonly state: ServingState;
}

export class WalLibrary {
  readonly #parts: WalLibraryParts;

  constructor(parts: WalLibraryParts) {
    this.#parts = parts;
  }

  get segmentBytes(): number {
    return this.#parts.folder.segmentBytes;
  }

  /**
   * Gives a file. Rejects with TM-VAULT-END-OF-WAL only where the WAL surely ends; with TM-VAULT-HOLE, TM-VAULT-BEFORE-WAL, TM-VAULT-DAMAGED,
   * TM-VAULT-OTHER-HISTORY, TM-VAULT-OTHER-SYSTEM, TM-VAULT-UNSURE, TM-VAULT-WAL-NAME otherwise, or as the archive's `fetch` does.
   */
  async give(asked: AskedFile): Promise<GivenFile> {
    const name = parseWalFileName(asked.name, this.segmentBytes);
    const state = await this.#parts.state(name.kind === "segment" ? this.#segmentEnd(name) : undefined);
    if (asked.systemIdentifier !== undefined && asked.systemIdentifier !== state.systemIdentifier)
      throw new TidemarkError(
        "TM-VAULT-OTHER-SYSTEM",
        `${asked.name} was asked for by cluster ${asked.systemIdentifier}; this vault keeps the WAL of ${state.systemIdentifier}`,
      );
    if (name.kind === "segment") return cut(await this.#segment(name, state), name.start, asked.upTo);
    if (name.kind === "history") return this.#history(name, state);
    if (name.kind === "label") return this.#label(name);
    throw new TidemarkError("TM-VAULT-WAL-NAME", `${asked.name} is evidence of a timeline that was left, and no WAL to recover from`);
  }

  /** Reads a history file that must be there. */
  async history(timeline: Timeline): Promise<string> {
    const given = await this.give({ name: historyName(timeline) });
    return Buffer.from(given.bytes).toString("utf8");
  }

  async #segment(name: SegmentAsked["name"], state: ServingState): Promise<GivenFile> {
    const verdict = judgeSegment(name, this.segmentBytes, state);
    switch (verdict.kind) {
      case "give":
        return this.#present({ name, upTo: verdict.upTo, state });
      case "end":
        return this.#beyondEnd(name, state, verdict.end);
      case "unsure":
        throw new TidemarkError("TM-VAULT-UNSURE", `give ${name.name}: ${verdict.why}`);
      case "other-history":
        throw new TidemarkError("TM-VAULT-OTHER-HISTORY", `give ${name.name}: ${verdict.why}`);
    }
  }

  /** The WAL that was received ends before it. More may have been pushed, or archived before this folder was lost and begun anew. */
  async #beyondEnd(name: SegmentAsked["name"], state: ServingState, end: Lsn): Promise<GivenFile> {
    if (name.timeline === state.timeline) {
      const pushed = await this.#pushedWhole(name, state);
      if (pushed !== undefined) return pushed;
      const archived = await this.#fromArchive({ name, upTo: this.#segmentEnd(name), state });
      if (archived !== undefined) return archived;
    }
    throw new TidemarkError("TM-VAULT-END-OF-WAL", `${name.name} begins beyond the end of timeline ${name.timeline} at ${formatLsn(end)}`, {
      details: { end: formatLsn(end) },
    });
  }

  /** What came by archive_command is a whole segment, also where the receiver is behind. */
  async #pushedWhole(name: SegmentAsked["name"], state: ServingState): Promise<GivenFile | undefined> {
    if (state.vote !== undefined) return undefined;
    const end = this.#segmentEnd(name);
    const bytes = await this.#read(join(pushedFolder(this.#parts.folder), name.name));
    if (bytes === undefined || (await this.#damageOf(bytes, { name, upTo: end, state })) !== undefined) return undefined;
    return given(name, bytes, { source: "pushed", end, complete: true });
  }

  async #present(asked: SegmentAsked): Promise<GivenFile> {
    const { name, upTo, state } = asked;
    const grows = name.timeline === state.timeline && upTo < this.#segmentEnd(name);
    const pushed = grows ? await this.#pushedWhole(name, state) : undefined;
    if (pushed !== undefined) return pushed;
    const damages: TidemarkError[] = [];
    const range: WalRange = { timeline: name.timeline, start: name.start, end: upTo };
    const gaps = gapsIn(range, state.gaps);
    for (const candidate of this.#candidates(name)) {
      // What was never received is zeros in the receiver's file.
      if (gaps.length > 0 && candidate.source !== "pushed") continue;
      const bytes = await this.#read(candidate.path);
      if (bytes === undefined) continue;
      const damage = await this.#damageOf(bytes, asked);
      if (damage === undefined) {
        const complete = this.#isComplete(name, upTo, state);
        return given(name, zeroed(bytes, Number(upTo - name.start)), { source: candidate.source, end: upTo, complete });
      }
      damages.push(new TidemarkError("TM-VAULT-DAMAGED", `${candidate.path}: ${damage}`));
    }
    const archived = await this.#fromArchive(asked, damages);
    if (archived !== undefined) return archived;
    if (damages[0] !== undefined) throw damages[0];
    const hole = gaps[0] ?? range;
    throw holeError(name.name, hole);
  }

  /** Undefined when the archive surely has nothing of it. */
  async #fromArchive(asked: SegmentAsked, damages: TidemarkError[] = []): Promise<GivenFile | undefined> {
    const { name, upTo } = asked;
    const found = await this.#parts.archive?.fetch(name.name).catch((error: unknown) => {
      // The local copy's damage is what is to be told first; where the archive is merely away, trying again may help.
      if (damages[0] === undefined || !(error instanceof TidemarkError)) throw error;
      throw error.retry !== "never" ? error : new TidemarkError("TM-VAULT-DAMAGED", damages[0].message, { cause: error });
    });
    if (found === undefined || found.kind === "missing") return undefined;
    if (found.kind === "hole") throw holeError(name.name, found.range);
    if (found.kind === "diverged")
      throw new TidemarkError(
        "TM-VAULT-END-OF-WAL",
        `${name.name} begins beyond the fork of timeline ${name.timeline} at ${formatLsn(found.fork)}`,
      );
    const end = found.end ?? ((name.start + BigInt(found.bytes.length)) as Lsn);
    // A partial one that ends before what is known to exist is a segment with a hole at its end.
    const expected = this.#segmentEnd(name) === upTo && name.timeline === asked.state.timeline && upTo > asked.state.end ? end : upTo;
    if (end < expected) throw holeError(name.name, { timeline: name.timeline, start: end, end: expected });
    const bytes = new Uint8Array(this.segmentBytes);
    const until = end < upTo ? end : upTo;
    bytes.set(found.bytes.subarray(0, Number(until - name.start)));
    return given(name, bytes, { source: `archive:${found.store}`, end: until, complete: this.#isComplete(name, until, asked.state) });
  }

  /** Up to the segment's end, or up to where the recorded history leaves the timeline. */
  #isComplete(name: SegmentAsked["name"], upTo: Lsn, { timeline, history }: ServingState): boolean {
    if (upTo === this.#segmentEnd(name)) return true;
    return name.timeline < timeline && history.some((entry) => entry.timeline === name.timeline && entry.switchLsn === upTo);
  }

  #segmentEnd(name: { start: Lsn }): Lsn {
    return (name.start + BigInt(this.segmentBytes)) as Lsn;
  }

  #candidates(name: SegmentAsked["name"]): Candidate[] {
    const { folder } = this.#parts;
    const place = { timeline: name.timeline, lsn: name.start };
    const sealed: Candidate = { path: folder.segment(place, true), source: "local" };
    const partial: Candidate = { path: folder.segment(place, false), source: "partial" };
    // Sealing renames: what was partial when it was looked for may be sealed by now, so the sealed one is looked for twice.
    return [sealed, partial, sealed, { path: join(pushedFolder(folder), name.name), source: "pushed" }];
  }

  async #damageOf(bytes: Uint8Array, { name, upTo, state }: SegmentAsked): Promise<string | undefined> {
    if (bytes.length !== this.segmentBytes) return `it has ${bytes.length} bytes instead of ${this.segmentBytes}`;
    return this.#parts.check(bytes, { timeline: name.timeline, start: name.start, upTo, systemIdentifier: state.systemIdentifier });
  }

  async #history(name: Extract<WalFileName, { kind: "history" }>, state: ServingState): Promise<GivenFile> {
    const { folder } = this.#parts;
    // A history beyond the newest accepted timeline is that of a promotion that nobody recorded.
    if (name.timeline <= state.timeline) {
      const local = (await this.#read(folder.history(name.timeline))) ?? (await this.#read(join(pushedFolder(folder), name.name)));
      if (local !== undefined) return given(name, local, { source: "local", complete: true });
      const archived = await this.#parts.archive?.fetch(name.name);
      if (archived?.kind === "file") return given(name, archived.bytes, { source: `archive:${archived.store}`, complete: true });
    }
    const verdict = judgeMissingHistory(name.timeline, state);
    switch (verdict.kind) {
      case "end":
        throw new TidemarkError("TM-VAULT-END-OF-WAL", `there is no timeline ${name.timeline}; the newest is ${state.timeline}`);
      case "unsure":
        throw new TidemarkError("TM-VAULT-UNSURE", `give ${name.name}: ${verdict.why}`);
      case "other-history":
        throw new TidemarkError("TM-VAULT-OTHER-HISTORY", `give ${name.name}: ${verdict.why}`);
      case "hole":
        throw new TidemarkError("TM-VAULT-HOLE", `the history of timeline ${name.timeline} is missing, though the WAL goes on beyond it`);
    }
  }

  async #label(name: { kind: "label"; name: string }): Promise<GivenFile> {
    const bytes = await this.#read(join(pushedFolder(this.#parts.folder), name.name));
    if (bytes === undefined) throw new TidemarkError("TM-VAULT-END-OF-WAL", `nobody pushed ${name.name}`);
    return given(name, bytes, { source: "pushed", complete: true });
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw new TidemarkError("TM-VAULT-DAMAGED", `could not read ${path}`, { cause });
    }
  }
}

function given(name: WalFileName, bytes: Uint8Array, facts: Pick<GivenFile, "source" | "end" | "complete">): GivenFile {
  return {
    name: name.name,
    bytes,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    ...("timeline" in name ? { timeline: name.timeline } : {}),
    ...facts,
  };
}

function cut(file: GivenFile, start: Lsn, upTo: Lsn | undefined): GivenFile {
  if (upTo === undefined || file.end === undefined || file.end <= upTo) return file;
  const end = upTo > start ? upTo : start;
  const bytes = zeroed(file.bytes, Number(end - start));
  return { ...file, bytes, end, complete: false, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** The bytes with zeros from `from` on; in place. */
function zeroed(bytes: Uint8Array, from: number): Uint8Array {
  return from >= bytes.length ? bytes : bytes.fill(0, from);
}

function holeError(name: string, range: WalRange): TidemarkError {
  const words = `timeline ${range.timeline} from ${formatLsn(range.start)} to ${formatLsn(range.end)}`;
  return new TidemarkError("TM-VAULT-HOLE", `${name} cannot be given: WAL is missing here, ${words}`, {
    details: { timeline: range.timeline, start: formatLsn(range.start), end: formatLsn(range.end) },
  });
}
