// What an object store has of WAL, from its keys and a few headers alone: for `tidemark wal status` where no vault answers. Needs no
// encryption key. What it cannot know it leaves out: an object that is there may still be damaged inside.
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn, type Lsn } from "@tidemark/kernel/lsn";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";
import { DEFAULT_SEGMENT_BYTES } from "@tidemark/postgres/wal/segment-name";
import { KeySpace, type ArchiveKey } from "../archive/archive-key.ts";
import type { FaultStatus, HoleStatus, RecoveryPointStatus, WalRangeStatus } from "../archive/archive-status.ts";
import { findHoles, newestReach, type Coverage } from "../archive/hole-check.ts";
import { RangeSet, type LsnRange } from "../archive/wal-range.ts";
import type { ObjectFacts, ObjectStore } from "../../object-stores/object-store.ts";
import type { SealedHeader } from "../sealing/sealed-header.ts";

export interface SystemSurvey {
  readonly systemIdentifier: string;
  readonly recoveryPoint?: RecoveryPointStatus;
  /** When the store got its newest object, by its own clock, milliseconds. */
  readonly newestAtMs?: number;
  readonly objects: number;
  readonly storedBytes: number;
  readonly holes: readonly HoleStatus[];
  readonly faults: readonly FaultStatus[];
}

export interface SurveyParts {
  readonly store: Pick<ObjectStore, "list">;
  readonly name: string;
  /** The header of an object. Rejects with TM-SEAL-*. */
  readonly header: (key: string) => Promise<SealedHeader>;
  /** The ancestors of a timeline, from its history object. Rejects with TM-SEAL-* where a key is missing. */
  readonly history: (key: string) => Promise<readonly TimelineSwitch[]>;
  readonly nowMs: number;
}

/** One entry for each cluster that has WAL in the store. */
export async function surveyStore(parts: SurveyParts): Promise<SystemSurvey[]> {
  const systems = new Map<string, ObjectFacts[]>();
  for await (const object of parts.store.list("")) {
    const system = /^(\d{1,20})\//.exec(object.key)?.[1];
    if (system === undefined) continue;
    const objects = systems.get(system) ?? [];
    objects.push(object);
    systems.set(system, objects);
  }
  const surveys: SystemSurvey[] = [];
  for (const [system, objects] of systems) surveys.push(await surveySystem(parts, system as SystemIdentifier, objects));
  return surveys;
}

type SegmentKey = Extract<ArchiveKey, { kind: "segment" | "partial" }>;

async function surveySystem(parts: SurveyParts, system: SystemIdentifier, objects: readonly ObjectFacts[]): Promise<SystemSurvey> {
  const faults: FaultStatus[] = [];
  const note = (code: FaultStatus["code"], subject: string, message: string): void => {
    const range = rangeOf(keys.parse(subject), keys);
    faults.push({
      code,
      where: parts.name,
      subject,
      message,
      ...(range === undefined ? {} : { range }),
      sinceMs: parts.nowMs,
      seenMs: parts.nowMs,
    });
  };
  const segmentBytes = await findSegmentBytes(parts, objects);
  const keys = new KeySpace({ prefix: "", systemIdentifier: system, segmentBytes });
  const covered = new Map<Timeline, RangeSet>();
  const histories = new Map<Timeline, readonly TimelineSwitch[]>();
  const segments: { object: ObjectFacts; key: SegmentKey }[] = [];
  for (const object of objects) {
    const key = keys.parse(object.key);
    if (key === undefined) note("TM-VAULT-WAL-NAME", object.key, `${object.key} is none of a vault's objects`);
    else if (key.kind === "evidence")
      note(
        object.key.includes(".conflict-") ? "TM-VAULT-OTHER-BYTES" : "TM-VAULT-DAMAGED",
        object.key,
        `${object.key} was kept as evidence`,
      );
    else if (key.kind === "history") {
      const history = await parts.history(object.key).catch((error: unknown) => {
        if (!(error instanceof TidemarkError)) throw error;
        note(error.code, object.key, error.message);
        return undefined;
      });
      if (history !== undefined) histories.set(key.timeline, history);
    } else {
      segments.push({ object, key });
      const set = covered.get(key.timeline) ?? new RangeSet();
      set.add(key);
      covered.set(key.timeline, set);
    }
  }
  const ranges = new Map<Timeline, readonly LsnRange[]>([...covered].map(([timeline, set]) => [timeline, set.ranges]));
  const coverage: Coverage = { segmentBytes, covered: ranges, histories };
  const recoveryPoint = await recoveryPointOf(parts, coverage, segments);
  return {
    systemIdentifier: system,
    ...(recoveryPoint === undefined ? {} : { recoveryPoint }),
    ...(objects.length === 0 ? {} : { newestAtMs: Math.max(...objects.map(({ modifiedAtMs }) => modifiedAtMs)) }),
    objects: objects.length,
    storedBytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
    holes: findHoles(coverage).map(({ kind, timeline, start, end }) => ({
      where: parts.name,
      kind,
      timeline,
      start: formatLsn(start),
      end: formatLsn(end),
      recordedGap: false,
    })),
    faults,
  };
}

/** Of the WAL that a key is about; of evidence, of the WAL that it is not. */
function rangeOf(key: ArchiveKey | undefined, keys: KeySpace): WalRangeStatus | undefined {
  const about = key?.kind === "evidence" ? keys.parse(key.of) : key;
  if (about?.kind !== "segment" && about?.kind !== "partial") return undefined;
  return { timeline: about.timeline, start: formatLsn(about.start), end: formatLsn(about.end) };
}

async function recoveryPointOf(
  parts: SurveyParts,
  coverage: Coverage,
  segments: readonly { object: ObjectFacts; key: SegmentKey }[],
): Promise<RecoveryPointStatus | undefined> {
  const reach = newestReach(coverage);
  if (reach === undefined) return undefined;
  const commitTimeMs = await lastCommit(
    parts,
    segments.filter(({ key }) => key.timeline === reach.timeline && key.end <= reach.to),
  );
  return {
    timeline: reach.timeline,
    from: formatLsn(reach.from),
    lsn: formatLsn(reach.to),
    ...(commitTimeMs === undefined ? {} : { commitTimeMs }),
  };
}

/** Segments without a commit are rare; so many are looked through before the time is left open. */
const MOST_HEADERS_READ = 16;

async function lastCommit(parts: SurveyParts, segments: readonly { object: ObjectFacts; key: SegmentKey }[]): Promise<number | undefined> {
  const newest = segments.toSorted((a, b) => order(b.key.end, a.key.end)).slice(0, MOST_HEADERS_READ);
  for (const { object } of newest) {
    const header = await parts.header(object.key).catch(isSealError);
    const last = header?.facts.commits?.last;
    if (last !== undefined) return last.timeMs;
  }
  return undefined;
}

/** From a whole segment's header; partial ones do not say it. */
async function findSegmentBytes(parts: SurveyParts, objects: readonly ObjectFacts[]): Promise<number> {
  const whole = objects.filter(({ key }) => /\/[0-9A-F]{24}$/.test(key)).slice(0, MOST_HEADERS_READ);
  for (const { key } of whole) {
    const header = await parts.header(key).catch(isSealError);
    if (header !== undefined) return header.rawBytes;
  }
  return DEFAULT_SEGMENT_BYTES;
}

function isSealError(error: unknown): undefined {
  if (error instanceof TidemarkError && error.code.startsWith("TM-SEAL-")) return undefined;
  throw error;
}

function order(a: Lsn, b: Lsn): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
