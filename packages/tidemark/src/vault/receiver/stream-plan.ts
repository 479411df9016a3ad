// What a vault does with the server that it has just connected to: the whole decision, made again at every connect (trap 3).
// Positions are compared only along a line of timelines (R11): the server's own history, and the one stored with our WAL.
// Pure.
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { ErrorCode } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { SlotFacts } from "@tidemark/postgres/replication-client";
import type { TimelineSwitch } from "@tidemark/postgres/timeline-history";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";

/** A position with the timeline that makes it comparable. */
export interface WalPoint {
  readonly timeline: Timeline;
  readonly lsn: Lsn;
}

/** What this vault has. */
export interface LocalWal {
  readonly systemIdentifier?: SystemIdentifier;
  readonly segmentBytes?: number;
  /** The contiguous run that is being continued: absent before the first one. */
  readonly run?: {
    readonly from: WalPoint;
    /** Everything from `from` to here is durable. */
    readonly frontier: WalPoint;
    /** Ancestry of the frontier's timeline. */
    readonly history: readonly TimelineSwitch[];
  };
}

/** What the cluster's record says of the primary to follow; where there is no record, nothing is expected. */
export interface ExpectedPrimary {
  readonly systemIdentifier: SystemIdentifier;
  readonly timeline: Timeline;
  /** Where the record says that this timeline forked off; 0/0 for the first. */
  readonly forkLsn: Lsn;
}

/** What the server says of itself. */
export interface ServerWal {
  readonly systemIdentifier: SystemIdentifier;
  readonly segmentBytes: number;
  readonly timeline: Timeline;
  readonly flushLsn: Lsn;
  readonly history: readonly TimelineSwitch[];
}

export interface PlanInput {
  readonly local: LocalWal;
  readonly expected: ExpectedPrimary | undefined;
  readonly server: ServerWal;
  /** Our slot there; absent: there is none. */
  readonly slot: SlotFacts | undefined;
  /** The server said that the slot cannot be used any more, though it stands there (invalidated, PostgreSQL 18). */
  readonly slotInvalid: boolean;
  /** The slot was made in this very attempt. */
  readonly slotIsNew: boolean;
  /** The server answered that WAL from our frontier on was removed. */
  readonly walRemoved: boolean;
}

export type Plan =
  /** Make our slot, with WAL reserved from now on (trap 4), and plan again. */
  | { readonly kind: "create-slot" }
  /** Drop a slot that keeps nothing any more, say so, and plan again. */
  | { readonly kind: "replace-slot" }
  /** Nothing is here: a first run begins. */
  | { readonly kind: "begin"; readonly at: WalPoint }
  /** Go on from exactly where our WAL ends. */
  | { readonly kind: "stream"; readonly at: WalPoint }
  /** Move what lies past `at` to the evidence and plan again; `at` absent: all of the run is off the server's line (trap 11). */
  | { readonly kind: "cut"; readonly at?: WalPoint }
  /** WAL between `from` and `to` is gone: record it, ask for a base backup, begin a new run at `to`. */
  | { readonly kind: "gap"; readonly from: WalPoint; readonly to: WalPoint }
  /** Take nothing from this server. */
  | { readonly kind: "refuse"; readonly code: ErrorCode; readonly why: string };

export function planStream(input: PlanInput): Plan {
  return refusal(input) ?? divergence(input) ?? slotStep(input) ?? position(input);
}

/** Another cluster (trap 9): asked before anything at all is taken from the server. */
export function clusterRefusal({
  local,
  expected,
  server,
}: {
  local: LocalWal;
  expected: ExpectedPrimary | undefined;
  server: Pick<ServerWal, "systemIdentifier" | "segmentBytes">;
}): Extract<Plan, { kind: "refuse" }> | undefined {
  const known = local.systemIdentifier ?? expected?.systemIdentifier;
  for (const identifier of [known, expected?.systemIdentifier]) {
    if (identifier !== undefined && identifier !== server.systemIdentifier)
      return refuse("TM-VAULT-SYSTEM-IDENTIFIER", `the server is of cluster ${server.systemIdentifier}, this vault of ${identifier}`);
  }
  if (local.segmentBytes !== undefined && local.segmentBytes !== server.segmentBytes)
    return refuse("TM-VAULT-SEGMENT-SIZE", `the server's segments have ${server.segmentBytes} bytes, ours ${local.segmentBytes}`);
  return undefined;
}

/** Another cluster, or a primary that is not the recorded one. */
export function refusal({
  local,
  expected,
  server,
}: Pick<PlanInput, "local" | "expected" | "server">): Extract<Plan, { kind: "refuse" }> | undefined {
  const foreign = clusterRefusal({ local, expected, server });
  if (foreign !== undefined) return foreign;
  const wanted = Math.max(expected?.timeline ?? 0, local.run?.frontier.timeline ?? 0);
  if (server.timeline < wanted)
    return refuse("TM-VAULT-OLD-TIMELINE", `the server is on timeline ${server.timeline}, awaited was ${wanted}`);
  if (expected === undefined) return undefined;
  if (server.timeline !== expected.timeline)
    return refuse("TM-VAULT-TIMELINE-CONFLICT", `the server is on timeline ${server.timeline}, recorded is ${expected.timeline}`);
  const fork = server.history.at(-1)?.switchLsn;
  if (fork !== undefined && fork !== expected.forkLsn)
    return refuse(
      "TM-VAULT-TIMELINE-CONFLICT",
      `timeline ${server.timeline} of the server began at ${formatLsn(fork)}, recorded is ${formatLsn(expected.forkLsn)}`,
    );
  return undefined;
}

/** Where our run leaves the server's line, and a server that has less than we. */
function divergence({ local, server }: PlanInput): Plan | undefined {
  if (local.run === undefined) return undefined;
  const { frontier, from } = local.run;
  const ours = lineOf(frontier.timeline, local.run.history, frontier.lsn);
  const theirs = lineOf(server.timeline, server.history, undefined);
  const common = commonPoint(ours, theirs);
  if (server.timeline === frontier.timeline && common?.timeline !== server.timeline)
    return refuse("TM-VAULT-TIMELINE-CONFLICT", `timeline ${server.timeline} of the server has another ancestry than ours`);
  if (common === undefined) return { kind: "cut" };
  if (common.timeline !== frontier.timeline || common.lsn < frontier.lsn) {
    // The run's beginning must lie on what remains; all timelines of `ours` up to the common one are shared.
    const keeps = from.timeline <= common.timeline && from.lsn <= common.lsn;
    return keeps ? { kind: "cut", at: common } : { kind: "cut" };
  }
  if (frontier.timeline === server.timeline && frontier.lsn > server.flushLsn)
    return refuse(
      "TM-VAULT-PRIMARY-BEHIND",
      `the server ends at ${formatLsn(server.flushLsn)}, this vault has up to ${formatLsn(frontier.lsn)}`,
    );
  return undefined;
}

function slotStep({ slot, slotInvalid, slotIsNew }: PlanInput): Plan | undefined {
  if (slot === undefined) return { kind: "create-slot" };
  if (slot.type !== "physical") return refuse("TM-VAULT-SLOT", "the slot of our name is a logical one");
  if (!slotInvalid && slot.restartLsn !== undefined) return undefined;
  if (slotIsNew) return refuse("TM-VAULT-SLOT", "the slot that was just made keeps no WAL");
  return { kind: "replace-slot" };
}

function position({ local, server, slot, slotIsNew, walRemoved }: PlanInput): Plan {
  const restart = slot?.restartLsn as Lsn;
  // A slot reserves whole segments: the file that holds its position is there from the first byte.
  const reserved: WalPoint = { timeline: timelineAt(server, restart), lsn: segmentStart(restart, server.segmentBytes) };
  if (local.run === undefined) return { kind: "begin", at: reserved };
  const { frontier } = local.run;
  // Not reserved is not removed: after a promotion the new slot begins at the last checkpoint, and the WAL before it is
  // usually still there. From our frontier first (trap 7); the server says if it is gone.
  if (!walRemoved) return { kind: "stream", at: frontier };
  if (reserved.lsn > frontier.lsn) return { kind: "gap", from: frontier, to: reserved };
  if (!slotIsNew) return { kind: "replace-slot" };
  return refuse(
    "TM-VAULT-SLOT",
    `the server removed WAL at ${formatLsn(frontier.lsn)} although a slot reserves it from ${formatLsn(restart)}`,
  );
}

/** The timeline of the server's line on which `lsn` was written. */
function timelineAt(server: ServerWal, lsn: Lsn): Timeline {
  return server.history.find((step) => lsn < step.switchLsn)?.timeline ?? server.timeline;
}

interface Reach {
  readonly timeline: Timeline;
  /** Where the line leaves this timeline; undefined: not at all yet. */
  readonly end: Lsn | undefined;
}

function lineOf(timeline: Timeline, history: readonly TimelineSwitch[], end: Lsn | undefined): Reach[] {
  return [...history.map((step) => ({ timeline: step.timeline, end: step.switchLsn })), { timeline, end }];
}

/** The last point that lies on both lines; undefined when they share no timeline. */
function commonPoint(ours: readonly Reach[], theirs: readonly Reach[]): WalPoint | undefined {
  let common: WalPoint | undefined;
  for (const [index, own] of ours.entries()) {
    const other = theirs[index];
    if (own.end === undefined || other?.timeline !== own.timeline) return common;
    const end = other.end !== undefined && other.end < own.end ? other.end : own.end;
    common = { timeline: own.timeline, lsn: end };
    if (other.end !== own.end) return common;
  }
  return common;
}

function refuse(code: ErrorCode, why: string): Extract<Plan, { kind: "refuse" }> {
  return { kind: "refuse", code, why };
}
