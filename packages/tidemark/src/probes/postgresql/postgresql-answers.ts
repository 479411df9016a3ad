// The server's answers as plain, checked data. Undefined: the server did not say, because nothing is there or it may not tell.
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { Answer } from "./answer.ts";
import { ProbeFault } from "./postgresql-fault.ts";

export interface Replica {
  readonly pid: number;
  /** Its application_name; undefined with less than pg_read_all_stats. */
  readonly name?: string;
  readonly state?: string;
  readonly syncState?: string;
  readonly flushLsn?: Lsn;
  /** Undefined of what only receives, such as a vault. */
  readonly replayLsn?: Lsn;
  readonly repliedMs?: number;
}

export interface Slot {
  readonly name: string;
  readonly type: string;
  readonly active: boolean;
  readonly temporary: boolean;
  readonly pid?: number;
  readonly restartLsn?: Lsn;
  /** reserved, extended, unreserved or lost; undefined of a slot that holds nothing yet. */
  readonly walStatus?: string;
  /** WAL that may still be written before it loses some, bytes; undefined: without limit, or lost. */
  readonly safeBytes?: bigint;
  /** From PostgreSQL 17 on; undefined while it is active. */
  readonly inactiveForMs?: number;
  readonly invalidation?: string;
  readonly failover?: boolean;
  readonly synced?: boolean;
}

export interface CanaryBeat {
  readonly sequence: bigint;
  /** By the primary's clock, milliseconds. */
  readonly writtenMs: number;
}

export interface Archiver {
  readonly archived: bigint;
  readonly failed: bigint;
  readonly lastWal?: string;
  readonly lastAgeMs?: number;
  readonly lastMs?: number;
  readonly lastFailedWal?: string;
  readonly lastFailedMs?: number;
}

interface NodeAnswer {
  /** The server's clock when it had the question, milliseconds. */
  readonly clockMs: number;
  readonly slots: readonly Slot[];
  readonly canary?: CanaryBeat;
  readonly oldestTransactionMs: number;
}

export interface PrimaryAnswer extends NodeAnswer {
  readonly flushLsn: Lsn;
  readonly insertLsn: Lsn;
  readonly timeline: Timeline;
  readonly transactions: bigint;
  readonly standbyNames: string;
  readonly replicas: readonly Replica[];
  readonly archiver: Archiver;
  readonly prepared: { readonly count: number; readonly oldestMs?: number };
}

export interface StandbyAnswer extends NodeAnswer {
  readonly receivedLsn?: Lsn;
  readonly replayedLsn?: Lsn;
  /** Commit time of the newest commit that it replayed, by the primary's clock. */
  readonly replayedCommitMs?: number;
  readonly paused: boolean;
  readonly receiver?: { readonly status?: string; readonly timeline?: Timeline; readonly heardMs?: number };
  readonly checkpointTimeline: Timeline;
}

/** A role or database whose commits do not wait for what the server asks of others. */
export interface Weakened {
  readonly role?: string;
  readonly database?: string;
  readonly value: string;
}

export interface ServerSettingsAnswer {
  readonly settings: Readonly<Record<string, string>>;
  /** The probe's own session has another synchronous_commit than the server's default, which is then not known. */
  readonly ownSynchronousCommit: boolean;
  readonly weakened: readonly Weakened[];
  readonly systemIdentifier: SystemIdentifier;
  readonly user: string;
  readonly seesStatistics: boolean;
  readonly seesSettings: boolean;
  readonly listsWal: boolean;
  readonly canary: boolean;
}

export function readPrimary(row: unknown): PrimaryAnswer {
  const answer = new Answer(row).part("answer");
  const prepared = answer.part("prepared");
  const archiver = answer.part("archiver");
  return {
    ...readNode(answer),
    flushLsn: answer.lsn("flushLsn"),
    insertLsn: answer.lsn("insertLsn"),
    timeline: readTimeline(answer.number("timeline")),
    transactions: answer.whole("transactions"),
    standbyNames: answer.text("standbyNames"),
    replicas: answer.list("replicas").map(readReplica),
    archiver: {
      archived: archiver.whole("archived"),
      failed: archiver.whole("failed"),
      ...present({
        lastWal: archiver.optionalText("lastWal"),
        lastMs: archiver.optionalNumber("lastMs"),
        lastAgeMs: archiver.optionalNumber("lastAgeMs"),
        lastFailedWal: archiver.optionalText("lastFailedWal"),
        lastFailedMs: archiver.optionalNumber("lastFailedMs"),
      }),
    },
    prepared: { count: prepared.number("count"), ...present({ oldestMs: prepared.optionalNumber("oldestMs") }) },
  };
}

export function readStandby(row: unknown): StandbyAnswer {
  const answer = new Answer(row).part("answer");
  const receiver = answer.optionalPart("receiver");
  const receivedTimeline = receiver?.optionalNumber("timeline");
  return {
    ...readNode(answer),
    paused: answer.flag("paused"),
    checkpointTimeline: readTimeline(answer.number("checkpointTimeline")),
    ...present({
      receivedLsn: answer.optionalLsn("receivedLsn"),
      replayedLsn: answer.optionalLsn("replayedLsn"),
      replayedCommitMs: answer.optionalNumber("replayedCommitMs"),
    }),
    ...(receiver === undefined
      ? {}
      : {
          receiver: present({
            status: receiver.optionalText("status"),
            timeline: receivedTimeline === undefined ? undefined : readTimeline(receivedTimeline),
            heardMs: receiver.optionalNumber("heardMs"),
          }),
        }),
  };
}

export function readSettings(row: unknown): ServerSettingsAnswer {
  const answer = new Answer(row).part("answer");
  return {
    settings: answer.part("settings").texts(),
    ownSynchronousCommit: answer.flag("ownSynchronousCommit"),
    weakened: answer.list("weakened").map((item) => ({
      value: item.text("value"),
      ...present({ role: item.optionalText("role"), database: item.optionalText("database") }),
    })),
    systemIdentifier: answer.whole("systemIdentifier").toString() as SystemIdentifier,
    user: answer.text("user"),
    seesStatistics: answer.flag("seesStatistics"),
    seesSettings: answer.flag("seesSettings"),
    listsWal: answer.flag("listsWal"),
    canary: answer.flag("canary"),
  };
}

export function readWalFolder(row: unknown): { readonly bytes: number; readonly ready: number } {
  const answer = new Answer(row).part("answer");
  return { bytes: Number(answer.whole("bytes")), ready: answer.number("ready") };
}

function readNode(answer: Answer): NodeAnswer {
  const beat = answer.optionalPart("canary");
  return {
    clockMs: answer.number("clockMs"),
    slots: answer.list("slots").map(readSlot),
    oldestTransactionMs: answer.number("oldestTransactionMs"),
    ...(beat === undefined ? {} : { canary: { sequence: beat.whole("sequence"), writtenMs: beat.number("writtenMs") } }),
  };
}

function readReplica(answer: Answer): Replica {
  return {
    pid: answer.number("pid"),
    ...present({
      name: answer.optionalText("name"),
      state: answer.optionalText("state"),
      syncState: answer.optionalText("syncState"),
      flushLsn: answer.optionalLsn("flushLsn"),
      replayLsn: answer.optionalLsn("replayLsn"),
      repliedMs: answer.optionalNumber("repliedMs"),
    }),
  };
}

function readSlot(answer: Answer): Slot {
  return {
    name: answer.text("name"),
    type: answer.text("type"),
    active: answer.flag("active"),
    temporary: answer.flag("temporary"),
    ...present({
      pid: answer.optionalNumber("pid"),
      restartLsn: answer.optionalLsn("restartLsn"),
      walStatus: answer.optionalText("walStatus"),
      safeBytes: answer.optionalWhole("safeBytes"),
      inactiveForMs: answer.optionalNumber("inactiveForMs"),
      invalidation: answer.optionalText("invalidation"),
      failover: answer.optionalFlag("failover"),
      synced: answer.optionalFlag("synced"),
    }),
  };
}

function readTimeline(value: number): Timeline {
  if (!Number.isInteger(value) || value < 1) throw new ProbeFault("TM-PROBE-GARBAGE", "it names a timeline that is none");
  return value as Timeline;
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without what is undefined, which is no value of an optional property. */
function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;
}
