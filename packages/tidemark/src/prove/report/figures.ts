import type { LedgerEntry } from "../ledger/ledger-entry.ts";
import type { TableRow } from "../verdict/table-row.ts";

/** The moments of a run, wall time in milliseconds; all processes of a proof share the machine's clock. */
export interface Marks {
  readonly startMs: number;
  /** When the fault began and when its last signal was sent. */
  readonly faultBeganMs: number;
  readonly faultEndedMs: number;
  /** When what the fault broke worked again and the applier had caught up. Absent: not within the time that was waited. */
  readonly healedMs?: number;
  /** When the load ended. */
  readonly endMs: number;
}

export type Phase = "before" | "during" | "after";

/** Latencies in milliseconds from the scheduled time to the receipt. Absent when nothing was acknowledged. */
export interface LatencyFigures {
  readonly acknowledged: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly maxMs?: number;
  /** Good writes that were turned away, and writes that were never answered: they have no latency and must not be hidden by it. */
  readonly refused: number;
  readonly unanswered: number;
}

/** Equal slices of the run. The lists have one figure per slice. */
export interface Timeline {
  readonly startMs: number;
  readonly sliceMs: number;
  readonly acknowledged: readonly number[];
  readonly committed: readonly number[];
  readonly refused: readonly number[];
  /** Of writes scheduled in the slice; null where none was acknowledged. */
  readonly p50Ms: readonly (number | null)[];
  readonly maxMs: readonly (number | null)[];
}

/** How long something stood still around the fault. */
export interface Pause {
  /** From the fault to the end of the pause. */
  readonly ms: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** The nearest-rank percentile of sorted numbers. */
export function percentile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

/** Latencies by when a write was due: a write due during the fault counts there, however late it was answered. */
export function latencyByPhase(ledger: readonly LedgerEntry[], marks: Marks): Record<Phase, LatencyFigures> {
  const groups = Map.groupBy(ledger, ({ intent }) => phaseOf(intent.scheduledAtMs, marks));
  const of = (phase: Phase): LatencyFigures => latencyFigures(groups.get(phase) ?? []);
  return { before: of("before"), during: of("during"), after: of("after") };
}

function phaseOf(atMs: number, marks: Marks): Phase {
  if (atMs < marks.faultBeganMs) return "before";
  return marks.healedMs === undefined || atMs < marks.healedMs ? "during" : "after";
}

function latencyFigures(entries: readonly LedgerEntry[]): LatencyFigures {
  const latencies: number[] = [];
  let [refused, unanswered] = [0, 0];
  for (const { intent, answer } of entries) {
    if (answer?.kind === "acknowledged") latencies.push(answer.latencyMs);
    else if (answer?.kind === "refused") refused += intent.purpose === "invalid" || intent.purpose === "conflict" ? 0 : 1;
    else unanswered++;
  }
  latencies.sort((a, b) => a - b);
  const [p50Ms, p99Ms, maxMs] = [percentile(latencies, 0.5), percentile(latencies, 0.99), latencies.at(-1)];
  return {
    acknowledged: latencies.length,
    ...(p50Ms === undefined || p99Ms === undefined || maxMs === undefined ? {} : { p50Ms, p99Ms, maxMs }),
    refused,
    unanswered,
  };
}

/** From the fault to the first commit after its last signal: on the new primary, for the old one could not commit any more. */
export function firstCommitAfter(rows: readonly TableRow[], marks: Marks): Pause | undefined {
  let [last, first] = [marks.startMs, Number.POSITIVE_INFINITY];
  for (const { committedAtMs } of rows) {
    if (committedAtMs > marks.faultEndedMs) first = Math.min(first, committedAtMs);
    else last = Math.max(last, committedAtMs);
  }
  return first === Number.POSITIVE_INFINITY ? undefined : { ms: first - marks.faultBeganMs, fromMs: last, toMs: first };
}

/** The longest time without any of `times` that overlaps the fault and what followed; counted from the fault on. */
export function longestPause(times: readonly number[], marks: Marks): Pause | undefined {
  const sorted = times.toSorted((a, b) => a - b);
  const untilMs = marks.healedMs ?? marks.endMs;
  let longest: Pause | undefined;
  for (const [index, toMs] of sorted.entries()) {
    const fromMs = sorted[index - 1] ?? marks.startMs;
    if (toMs <= marks.faultBeganMs || fromMs >= untilMs) continue;
    if (longest === undefined || toMs - fromMs > longest.toMs - longest.fromMs)
      longest = { ms: toMs - Math.max(fromMs, marks.faultBeganMs), fromMs, toMs };
  }
  return longest;
}

/** At most so many slices, so that a drawing of them can be read. */
const MOST_SLICES = 240;

export function timelineOf(ledger: readonly LedgerEntry[], rows: readonly TableRow[], marks: Marks): Timeline {
  const sliceMs = Math.max(100, Math.ceil((marks.endMs - marks.startMs) / MOST_SLICES / 50) * 50);
  const slices = Math.max(1, Math.ceil((marks.endMs - marks.startMs) / sliceMs));
  const zeros = (): number[] => Array.from({ length: slices }, () => 0);
  const [acknowledged, committed, refused] = [zeros(), zeros(), zeros()];
  const latencies: number[][] = Array.from({ length: slices }, () => []);
  const slice = (atMs: number): number => Math.floor((atMs - marks.startMs) / sliceMs);
  const add = (to: number[], atMs: number): void => {
    const at = slice(atMs);
    if (at >= 0 && at < slices) to[at] = (to[at] ?? 0) + 1;
  };
  for (const { intent, answer } of ledger) {
    if (answer?.kind === "acknowledged") {
      add(acknowledged, answer.atMs);
      latencies[slice(intent.scheduledAtMs)]?.push(answer.latencyMs);
    } else if (answer?.kind === "refused" && intent.purpose !== "invalid" && intent.purpose !== "conflict") add(refused, answer.atMs);
  }
  for (const { committedAtMs } of rows) add(committed, committedAtMs);
  for (const list of latencies) list.sort((a, b) => a - b);
  return {
    startMs: marks.startMs,
    sliceMs,
    acknowledged,
    committed,
    refused,
    p50Ms: latencies.map((list) => percentile(list, 0.5) ?? null),
    maxMs: latencies.map((list) => list.at(-1) ?? null),
  };
}
