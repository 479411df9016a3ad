// What a primary's answer says of its store and of the copies that it feeds. Pure.
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { DEFAULT_SEGMENT_BYTES, parseSegmentName } from "@tidemark/postgres/wal/segment-name";
import type { Timeline } from "@tidemark/kernel/brands";
import type { CopyFacts, Figure, RecoveryPoint, StoreFacts } from "../probe-result.ts";
import { known, unknown } from "../probe-result.ts";
import type { Look } from "./node-looks.ts";
import { notGrantedTo } from "./node-looks.ts";
import type { PrimaryAnswer, Replica } from "./postgresql-answers.ts";
import { map, serverFigures } from "./server-figures.ts";
import type { Standing } from "./synchronous-watch.ts";

export interface PrimaryLook extends Look {
  readonly answer: PrimaryAnswer;
  readonly standings: ReadonlyMap<number, Standing>;
  readonly releasedAtMs: number | undefined;
  /** When the primary was last seen to have committed something, observer's wall time, and how much earlier it may have been. */
  readonly lastCommit: { readonly ms: number; readonly errorMs: number };
}

export function primaryStore(look: PrimaryLook): Partial<Omit<StoreFacts, "store" | "copies" | "atMs">> {
  const { answer, atMs, observation, clockOffset, lastCommit, settings, releasedAtMs } = look;
  const rate = observation.positions.transactionRate();
  const place = { lsn: formatLsn(answer.flushLsn), timeline: answer.timeline };
  return {
    newestCommit:
      answer.canary === undefined
        ? known({ commitMs: lastCommit.ms, ...place }, { atMs, method: "position-history", errorMs: lastCommit.errorMs })
        : known({ commitMs: answer.canary.writtenMs, ...place }, { atMs, method: "canary", errorMs: atMs - look.sentMs }),
    clockOffset,
    commitRate:
      rate === undefined
        ? unknown("it was not looked at long enough", atMs)
        : known(rate.perSecond, { atMs, method: "position-history", errorMs: rate.overMs }),
    systemIdentifier: settings.systemIdentifier,
    ...(releasedAtMs === undefined ? {} : { releasedWithoutCopiesAtMs: releasedAtMs }),
  };
}

export function primaryCopies(look: PrimaryLook): CopyFacts[] {
  const copies = [primaryItself(look), ...replicas(look).map((replica) => replicaCopy(look, replica))];
  const archive = archiveCopy(look);
  if (archive !== undefined) copies.push(archive);
  return copies;
}

/** States in which a connection is no copy yet, or never: a backup under way, and one that asks something before it streams, if it does. */
const NO_COPY_IN: ReadonlySet<string | undefined> = new Set(["backup", "startup"]);
/** What a backup under way receives beside its files. It ends with the backup, and nobody misses it then. */
const OF_A_BACKUP = "pg_basebackup";

/** Replicas that are copies: not subscribers, which stream changes, and not backups under way. */
function replicas(look: PrimaryLook): Replica[] {
  const logical = new Set(look.answer.slots.flatMap((slot) => (slot.type === "logical" && slot.pid !== undefined ? [slot.pid] : [])));
  return look.answer.replicas.filter(({ pid, state, name }) => !logical.has(pid) && !NO_COPY_IN.has(state) && name !== OF_A_BACKUP);
}

function primaryItself(look: PrimaryLook): CopyFacts {
  const { answer, node, sentMs, atMs, settings } = look;
  const measured = { atMs, method: "position-history" as const, errorMs: atMs - sentMs };
  const risky = settings.settings["fsync"] === "off";
  // Commits that do not wait for the disk are acknowledged before they are on it.
  const early = settings.settings["synchronous_commit"] === "off" || settings.weakened.some(({ value }) => value === "off");
  const unflushed = early ? Number(answer.insertLsn - answer.flushLsn) : 0;
  return {
    name: node.name,
    kind: "primary",
    domain: node.domain,
    outlivesProcess: true,
    recoveryPoint: known(
      { commitMs: sentMs, complete: unflushed === 0, lsn: formatLsn(answer.flushLsn), timeline: answer.timeline },
      measured,
    ),
    missingBytes: known(unflushed, measured),
    missingTransactions: unflushed === 0 ? known(0, measured) : unknown("commits that do not wait for the disk are not counted", atMs),
    synchronous: known(!early, { ...measured, method: "reported" }),
    remarks: [
      ...(risky ? ["fsync is off: nothing is known to be on its disk"] : []),
      ...(early ? ["some commits do not wait for its disk (synchronous_commit is off)"] : []),
    ],
  };
}

/** A server that takes writes on a timeline which the store has left. Some of what it has is of nobody else, and some of the store's it lacks. */
export function formerPrimary(look: Look, answer: PrimaryAnswer): CopyFacts {
  const { node, atMs, observation } = look;
  const why = `it is a former primary, on timeline ${answer.timeline}; the store is on ${observation.positions.timeline ?? "another"}`;
  const figure = unknown<never>(why, atMs);
  const shared = { name: node.name, kind: "standby" as const, domain: node.domain, outlivesProcess: true };
  return {
    ...shared,
    recoveryPoint: figure,
    missingBytes: figure,
    missingTransactions: figure,
    synchronous: figure,
    remarks: [`${why}, and it takes writes`],
  };
}

/** Of a copy that has no name of its own; the number of its process follows. */
export const NAMELESS = "walsender";

function replicaCopy(look: PrimaryLook, replica: Replica): CopyFacts {
  const { node, answer, atMs, standings } = look;
  // A connection may well have given an empty name.
  const streamsAs = replica.name === "" ? undefined : replica.name;
  const expected = streamsAs === undefined ? undefined : node.copyKnownAs?.(streamsAs);
  const hides = notGrantedTo(look.settings, "pg_read_all_stats");
  const standing = standings.get(replica.pid);
  const receives = replica.replayLsn === undefined;
  const kind = expected?.kind ?? (receives ? "vault" : "standby");
  const shared = {
    // Nameless ones are told apart by their process: two of them must not become one.
    name: expected?.name ?? streamsAs ?? `${NAMELESS} ${replica.pid}`,
    domain: expected?.domain ?? {},
  };
  if (replica.state === undefined) {
    const figure = unknown<never>(hides, atMs);
    return {
      ...shared,
      kind: expected?.kind ?? "standby",
      recoveryPoint: figure,
      missingBytes: figure,
      missingTransactions: figure,
      synchronous: figure,
      remarks: [],
    };
  }
  const synchronous = known(standing?.demanded === true, { atMs, method: "reported", errorMs: atMs - look.sentMs });
  if (replica.flushLsn === undefined) {
    const figure = unknown<never>("it has not said how far it is", atMs);
    return {
      ...shared,
      kind,
      recoveryPoint: figure,
      missingBytes: figure,
      missingTransactions: figure,
      synchronous,
      remarks: standing?.remarks ?? [],
    };
  }
  const behind = answer.flushLsn > replica.flushLsn ? Number(answer.flushLsn - replica.flushLsn) : 0;
  return {
    ...shared,
    kind,
    ...(kind === "vault" ? { holds: "wal" as const } : {}),
    outlivesProcess: true,
    ...positionFigures(look, { timeline: answer.timeline, lsn: replica.flushLsn }),
    ...(standing?.demanded === true && standing.caughtUp ? synchronousPoint(look, replica.flushLsn) : {}),
    missingBytes: known(behind, { atMs, method: "reported", errorMs: atMs - look.sentMs }),
    synchronous,
    remarks: [...(replica.state === "streaming" ? [] : [`it is in state ${replica.state}`]), ...(standing?.remarks ?? [])],
  };
}

function synchronousPoint(look: PrimaryLook, lsn: Lsn): { recoveryPoint: Figure<RecoveryPoint>; missingTransactions: Figure<number> } {
  const measured = { atMs: look.atMs, method: "synchronous" as const, errorMs: look.atMs - look.sentMs };
  return {
    recoveryPoint: known({ commitMs: look.serverMs, complete: true, lsn: formatLsn(lsn), timeline: look.answer.timeline }, measured),
    // What it has not flushed, nobody was told to be safe.
    missingTransactions: known(0, measured),
  };
}

/** When the primary was where a copy is. */
export function positionFigures(
  look: Look,
  place: { timeline: Timeline; lsn: Lsn },
): { recoveryPoint: Figure<RecoveryPoint>; missingTransactions: Figure<number> } {
  const { observation, atMs } = look;
  const time = observation.positions.timeOf(place.timeline, place.lsn);
  if (!time.found) {
    const figure = unknown<never>(time.why, atMs);
    return { recoveryPoint: figure, missingTransactions: figure };
  }
  // A copy that lacks nothing lacks nothing as of when the primary was seen last: after that the figure grows old.
  const measured = {
    atMs: time.complete ? time.untilMs : atMs,
    method: "position-history" as const,
    errorMs: time.gapMs + (atMs - look.sentMs),
  };
  return {
    recoveryPoint: known(
      { commitMs: time.untilMs, complete: time.complete, lsn: formatLsn(place.lsn), timeline: place.timeline },
      measured,
    ),
    missingTransactions: known(time.complete ? 0 : time.missingTransactions, {
      ...measured,
      atMs: observation.positions.newest?.untilMs ?? atMs,
    }),
  };
}

/** What archive_command has put away, by the server's word: nothing was read back (trap 14). */
function archiveCopy(look: PrimaryLook): CopyFacts | undefined {
  const { answer, settings, atMs, node } = look;
  const { lastWal } = answer.archiver;
  const mode = settings.settings["archive_mode"];
  if (mode === "off" && lastWal === undefined) return undefined;
  const expected = node.copyKnownAs?.("archive");
  const segmentBytes = Number(settings.settings["wal_segment_size"] ?? DEFAULT_SEGMENT_BYTES);
  const segment = lastWal === undefined ? undefined : parseSegmentName(lastWal, segmentBytes);
  const shared = {
    name: expected?.name ?? "archive",
    kind: expected?.kind ?? ("archive" as const),
    domain: expected?.domain ?? {},
    holds: "wal" as const,
    basesUnknown: true,
    outlivesProcess: true,
    synchronous: known(false, { atMs, method: "reported" as const, errorMs: 0 }),
    remarks: [
      "as archive_command reports it: whether the files can be read back is not known",
      ...(mode === "off" ? ["archive_mode is off now"] : []),
      ...(isFailing(answer) ? [`archiving fails since ${answer.archiver.lastFailedWal ?? "an unnamed file"}`] : []),
    ],
  };
  if (segment === undefined) {
    const why = lastWal === undefined ? "nothing was archived yet" : `the last file that was archived, ${lastWal}, is no whole segment`;
    const figure = unknown<never>(why, atMs);
    return { ...shared, recoveryPoint: figure, missingBytes: figure, missingTransactions: figure };
  }
  const end = (segment.start + BigInt(segmentBytes)) as Lsn;
  const behind = answer.flushLsn > end ? Number(answer.flushLsn - end) : 0;
  return {
    ...shared,
    ...positionFigures(look, { timeline: segment.timeline, lsn: end }),
    missingBytes:
      segment.timeline === answer.timeline
        ? known(behind, { atMs, method: "reported", errorMs: atMs - look.sentMs })
        : unknown(`its last file is of timeline ${segment.timeline}`, atMs),
  };
}

function isFailing({ archiver }: PrimaryAnswer): boolean {
  return archiver.lastFailedMs !== undefined && (archiver.lastMs === undefined || archiver.lastFailedMs > archiver.lastMs);
}

export function primaryFigures(look: PrimaryLook): Record<string, Figure<number>> {
  const { answer, atMs, settings, walFolder } = look;
  const said = (value: number): Figure<number> => known(value, { atMs, method: "reported", errorMs: atMs - look.sentMs });
  const segmentBytes = Number(settings.settings["wal_segment_size"] ?? DEFAULT_SEGMENT_BYTES);
  const kept = answer.slots.flatMap(({ restartLsn }) => (restartLsn === undefined ? [] : [Number(answer.flushLsn - restartLsn)]));
  const { prepared, archiver } = answer;
  return {
    ...serverFigures(look, answer),
    postgresql_replicas: said(replicas(look).length),
    postgresql_synchronous_replicas: settings.seesStatistics
      ? said([...look.standings.values()].filter(({ demanded }) => demanded).length)
      : unknown(notGrantedTo(look.settings, "pg_read_all_stats"), atMs),
    postgresql_prepared_transactions: said(prepared.count),
    postgresql_oldest_prepared_ms: said(prepared.oldestMs ?? 0),
    postgresql_archive_failures_total: said(Number(archiver.failed)),
    postgresql_archiving_fails: said(isFailing(answer) ? 1 : 0),
    ...(archiver.lastAgeMs === undefined ? {} : { postgresql_last_archived_age_ms: said(archiver.lastAgeMs) }),
    postgresql_archive_backlog_bytes: map(walFolder, ({ ready }) => ready * segmentBytes),
    postgresql_slot_most_kept_bytes: said(Math.max(0, ...kept)),
    postgresql_timeline: said(answer.timeline),
  };
}
