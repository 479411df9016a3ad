// The life of one write: when it passed each stage on its way to safety. Times are of one clock, the gateway's: when it knew that a
// stage was passed, which is a little later than it was, and never earlier. A stage that is not known to be passed has none.

/** In the order in which a write passes them; the last three may pass in any order. */
export const WRITE_STAGES = ["accepted", "journalled", "committed", "wal-received", "standby-flushed", "archived"] as const;

export type WriteStage = (typeof WRITE_STAGES)[number];

/** Stages that a position in the WAL passes, and with it every write up to there. */
export type FrontierStage = "wal-received" | "standby-flushed" | "archived";

/**
 * Spans as OpenTelemetry names them: low in cardinality, what is done to what. https://opentelemetry.io/docs/specs/otel/trace/api/#span
 */
export const WRITE_SPANS: Readonly<Record<WriteStage, { readonly name: string; readonly ends: string }>> = {
  accepted: { name: "tidemark.write.accept", ends: "the write is validated" },
  journalled: { name: "tidemark.journal.append", ends: "it is durable in the journal, and acknowledged" },
  committed: { name: "tidemark.applier.commit", ends: "PostgreSQL has committed it" },
  "wal-received": { name: "tidemark.vault.receive", ends: "its WAL is durable in a vault" },
  "standby-flushed": { name: "tidemark.standby.flush", ends: "its WAL is durable on a standby" },
  archived: { name: "tidemark.vault.archive", ends: "its WAL is in an object store, read again and compared" },
};

/** The span of the whole write. */
const WRITE_SPAN = "tidemark.write";

/** What the spans say besides their names and times. */
export const WRITE_ATTRIBUTES: Readonly<Record<string, { readonly of: "the write" | "a stage"; readonly value: string }>> = {
  "tidemark.write.id": { of: "the write", value: "its id, as in its receipt" },
  "tidemark.store": { of: "the write", value: "the store that it is of" },
  "tidemark.lsn": { of: "the write", value: "its commit's position, or one behind it; absent before the commit" },
  "tidemark.timeline": { of: "the write", value: "the timeline that the position is on" },
  "tidemark.write.end": { of: "the write", value: "`complete`, or `given-up`" },
  "tidemark.stage": { of: "a stage", value: "the stage" },
};

export interface WriteLife {
  /** The write's id, as in its receipt. */
  readonly id: string;
  readonly store: string;
  /** When the request came, wall time, milliseconds. */
  readonly startMs: number;
  /** When each stage was passed, wall time, milliseconds; a stage that was not seen is absent. */
  readonly passedMs: Readonly<Partial<Record<WriteStage, number>>>;
  /** Its commit's position, or one behind it, on `timeline`; once it is known. */
  readonly lsn?: string;
  readonly timeline?: number;
  /** `given-up`: not all stages were seen in time. */
  readonly end: "complete" | "given-up";
}

export interface WriteSpan {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Name of the span that it is part of; absent of the whole write. */
  readonly parent?: string;
  readonly attributes: Readonly<Record<string, string | number>>;
}

/** The whole write, and each stage that was seen, for a waterfall or an exporter. A stage begins where the last one before it ended. */
export function spansOf(life: WriteLife): WriteSpan[] {
  const attributes = {
    "tidemark.write.id": life.id,
    "tidemark.store": life.store,
    ...(life.lsn === undefined ? {} : { "tidemark.lsn": life.lsn }),
    ...(life.timeline === undefined ? {} : { "tidemark.timeline": life.timeline }),
  };
  const spans: WriteSpan[] = [];
  let startMs = life.startMs;
  for (const stage of WRITE_STAGES) {
    const passedMs = life.passedMs[stage];
    if (passedMs === undefined) continue;
    const endMs = Math.max(startMs, passedMs);
    spans.push({ name: WRITE_SPANS[stage].name, startMs, endMs, parent: WRITE_SPAN, attributes: { "tidemark.stage": stage } });
    // What waits for the commit goes on at the same time, from the commit on.
    if (stage === "accepted" || stage === "journalled" || stage === "committed") startMs = endMs;
  }
  const endMs = Math.max(life.startMs, ...spans.map((span) => span.endMs));
  return [{ name: WRITE_SPAN, startMs: life.startMs, endMs, attributes: { ...attributes, "tidemark.write.end": life.end } }, ...spans];
}

/** Kept lives, the slowest first. A write may be in both. */
export interface WriteLives {
  /** Of every minute some, each write with the same chance. */
  readonly sample: readonly WriteLife[];
  /** Of every minute those that were slowest to be journalled. */
  readonly slowest: readonly WriteLife[];
  /** Writes that should have been followed, and were not, because too many were under way. */
  readonly unfollowed: number;
}

/** The body of `GET /v1/write-lives`. */
export function describeWriteLives({ sample, slowest, unfollowed }: WriteLives): object {
  const withSpans = (life: WriteLife): object => ({ ...life, spans: spansOf(life) });
  return { sample: sample.map(withSpans), slowest: slowest.map(withSpans), unfollowed };
}

/** From the request until it was journalled, or where that was not seen until the last stage, milliseconds. */
export function slownessOf({ startMs, passedMs }: WriteLife): number {
  return Math.max(0, (passedMs.journalled ?? Math.max(startMs, ...Object.values(passedMs))) - startMs);
}
