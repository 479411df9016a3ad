// The keys of a vault's objects: docs/vault-format.md, "Object keys". Keys of one timeline sort by position, so that a page
// of a listing is a stretch of WAL.
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { assert } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { historyName, parseHistoryName, parseSegmentName, segmentName } from "@tidemark/postgres/wal/segment-name";

/** What a key stands for. */
export type ArchiveKey =
  | { readonly kind: "segment"; readonly name: string; readonly timeline: Timeline; readonly start: Lsn; readonly end: Lsn }
  | { readonly kind: "partial"; readonly name: string; readonly timeline: Timeline; readonly start: Lsn; readonly end: Lsn }
  | { readonly kind: "history"; readonly name: string; readonly timeline: Timeline }
  /** Other bytes under a name that was taken (`conflict`), or bytes that failed their check (`damaged`): kept, never served. */
  | { readonly kind: "evidence"; readonly of: string };

export interface KeySpaceFacts {
  /** Before every key, such as `orders/`; may be empty. */
  readonly prefix: string;
  readonly systemIdentifier: SystemIdentifier;
  readonly segmentBytes: number;
}

/** The keys of one system in one store. */
export class KeySpace {
  readonly root: string;
  readonly #segmentBytes: number;

  constructor(facts: KeySpaceFacts) {
    assert(/^\d{1,20}$/.test(facts.systemIdentifier), "a system identifier is a decimal number");
    this.root = `${facts.prefix}${facts.systemIdentifier}/`;
    this.#segmentBytes = facts.segmentBytes;
  }

  segment(place: { timeline: Timeline; start: Lsn }): string {
    return `${this.root}wal/${hex(place.timeline, 8)}/${this.name(place)}`;
  }

  partial(place: { timeline: Timeline; start: Lsn }, end: Lsn): string {
    return `${this.segment(place)}.partial-${hex(end, 16)}`;
  }

  history(timeline: Timeline): string {
    return `${this.root}timeline/${historyName(timeline)}`;
  }

  /** Where bytes are kept that must not replace what is under `key`. */
  evidence(key: string, why: "conflict" | "damaged", sha256: string): string {
    return `${key}.${why}-${sha256.slice(0, 16)}`;
  }

  /** The key that evidence lies beside. */
  evidenceOf(key: string): string {
    return key.replace(/\.(?:conflict|damaged)-[0-9a-f]{16}$/, "");
  }

  name(place: { timeline: Timeline; start: Lsn }): string {
    return segmentName({ timeline: place.timeline, lsn: place.start }, this.#segmentBytes);
  }

  /** Undefined for a key that no vault writes here. */
  parse(key: string): ArchiveKey | undefined {
    if (!key.startsWith(this.root)) return undefined;
    const rest = key.slice(this.root.length);
    const evidence = /^(.*)\.(?:conflict|damaged)-[0-9a-f]{16}$/.exec(rest);
    if (evidence !== null) return { kind: "evidence", of: this.root + (evidence[1] ?? "") };
    const history = /^timeline\/([^/]+)$/.exec(rest)?.[1];
    if (history !== undefined) {
      const timeline = parseHistoryName(history);
      return timeline === undefined ? undefined : { kind: "history", name: history, timeline };
    }
    const match = /^wal\/([0-9A-F]{8})\/([0-9A-F]{24})(?:\.partial-([0-9A-F]{16}))?$/.exec(rest);
    const [, folder, name, end] = match ?? [];
    const place = name === undefined ? undefined : parseSegmentName(name, this.#segmentBytes);
    if (name === undefined || place === undefined || hex(place.timeline, 8) !== folder) return undefined;
    const whole = (place.start + BigInt(this.#segmentBytes)) as Lsn;
    if (end === undefined) return { kind: "segment", name, ...place, end: whole };
    const until = BigInt(`0x${end}`) as Lsn;
    return until <= place.start || until > whole ? undefined : { kind: "partial", name, ...place, end: until };
  }
}

function hex(value: number | bigint, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}
