// Turns the server's JSON into the survey's parts. The server may be anything that speaks PostgreSQL's protocol, so that
// nothing is taken for granted: what is not of the expected form makes its part unknown.
import type {
  ArchiverSeen,
  ClusterSeen,
  DatabaseSeen,
  OwnRights,
  PreparedSeen,
  RecoverySeen,
  ReplicaSeen,
  SettingOverride,
  SettingSeen,
  SlotSeen,
  TransactionSeen,
} from "./server-survey.ts";
import type { PositionSample } from "./position-watch.ts";

/** An answer is not of the form that PostgreSQL gives it. */
export class Unreadable extends Error {
  constructor(what: string) {
    super(`the server's answer makes no sense: ${what}`);
  }
}

type Fields = Readonly<Record<string, unknown>>;

export function identity(value: unknown): {
  versionNumber: number;
  inRecovery: boolean;
  address: string | null;
  pid: number;
  self: OwnRights;
} {
  const row = fields(value);
  return {
    versionNumber: number(row, "versionNumber"),
    inRecovery: flag(row, "inRecovery"),
    address: textOrNull(row, "address"),
    pid: number(row, "pid"),
    self: { user: text(row, "user"), superuser: row["superuser"] === true, monitor: row["monitor"] === true },
  };
}

export function cluster(value: unknown): ClusterSeen {
  const row = fields(value);
  return {
    systemIdentifier: text(row, "system_identifier"),
    timeline: number(row, "timeline"),
    readOnly: flag(row, "read_only"),
    started: text(row, "started"),
  };
}

export function settings(value: unknown): Record<string, SettingSeen> {
  return Object.fromEntries(
    Object.entries(fields(value)).map(([name, entry]) => [
      name,
      { value: text(fields(entry), "value"), unit: textOrNull(fields(entry), "unit") },
    ]),
  );
}

export function overrides(value: unknown): SettingOverride[] {
  return list(value).map((row) => ({
    database: textOrNull(row, "database"),
    role: textOrNull(row, "role"),
    name: text(row, "name"),
    value: text(row, "value"),
  }));
}

export function replicas(value: unknown): ReplicaSeen[] {
  return list(value).map((row) => ({
    pid: number(row, "pid"),
    name: textOrNull(row, "name") ?? "",
    address: textOrNull(row, "address"),
    state: textOrNull(row, "state") ?? "",
    syncState: textOrNull(row, "sync_state") ?? "",
    receiverOnly: flag(row, "receiver_only"),
    logical: flag(row, "logical"),
    missingBytes: bytesOrNull(row, "missing_bytes"),
    flushLagMs: numberOrNull(row, "flush_lag_ms"),
    replayLagMs: numberOrNull(row, "replay_lag_ms"),
  }));
}

export function slots(value: unknown): SlotSeen[] {
  return list(value).map((row) => {
    const slot = fields(row["slot"]);
    return {
      name: text(slot, "slot_name"),
      type: text(slot, "slot_type") === "logical" ? "logical" : "physical",
      plugin: textOrNull(slot, "plugin"),
      database: textOrNull(slot, "database"),
      active: flag(slot, "active"),
      temporary: slot["temporary"] === true,
      walStatus: textOrNull(slot, "wal_status"),
      retainedBytes: bytesOrNull(row, "retained_bytes"),
      safeBytes: numberOrNull(slot, "safe_wal_size"),
      inactiveForMs: numberOrNull(row, "inactive_ms"),
      invalidationReason: textOrNull(slot, "invalidation_reason"),
      failover: typeof slot["failover"] === "boolean" ? slot["failover"] : null,
      synced: slot["synced"] === true,
    };
  });
}

const HEX_8 = 2n ** 32n;

/** `segmentBytes` is wal_segment_size; NaN when it was not seen. */
export function archiver(value: unknown, segmentBytes: number): ArchiverSeen {
  const row = fields(value);
  const wal = textOrNull(row, "last_archived_wal");
  const end = wal === null || !Number.isSafeInteger(segmentBytes) ? null : endOfWalFile(wal, BigInt(segmentBytes));
  const missing = end === null ? null : Number(position(row, "position") - end);
  return {
    archived: number(row, "archived"),
    failed: number(row, "failed"),
    lastArchivedWal: wal,
    lastArchivedAgoMs: numberOrNull(row, "last_archived_ago_ms"),
    lastFailedWal: textOrNull(row, "last_failed_wal"),
    lastFailedAgoMs: numberOrNull(row, "last_failed_ago_ms"),
    missingBytes: missing === null ? null : Math.max(0, missing),
  };
}

/** The position after a WAL file's last byte; null for files that hold no WAL, such as `.history` and `.backup`. */
function endOfWalFile(name: string, segmentBytes: bigint): bigint | null {
  const match = /^[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})$/.exec(name);
  return match === null ? null : BigInt(`0x${match[1]}`) * HEX_8 + (BigInt(`0x${match[2]}`) + 1n) * segmentBytes;
}

export function transactions(value: unknown): TransactionSeen[] {
  return list(value).map((row) => ({
    pid: number(row, "pid"),
    user: textOrNull(row, "user"),
    database: textOrNull(row, "database"),
    application: text(row, "application"),
    state: textOrNull(row, "state"),
    ageMs: number(row, "age_ms"),
  }));
}

export function prepared(value: unknown): PreparedSeen[] {
  return list(value).map((row) => ({
    gid: text(row, "gid"),
    owner: text(row, "owner"),
    database: text(row, "database"),
    ageMs: number(row, "age_ms"),
  }));
}

export function database(value: unknown): DatabaseSeen {
  const row = fields(value);
  const examples = row["examples"];
  return {
    name: text(row, "name"),
    unloggedTables: number(row, "unlogged"),
    unloggedExamples: Array.isArray(examples) ? examples.map(String) : [],
    sequences: number(row, "sequences"),
    publications: number(row, "publications"),
    others: number(row, "others"),
  };
}

export function walDirectory(value: unknown): { files: number; bytes: number } {
  const row = fields(value);
  return { files: number(row, "files"), bytes: number(row, "bytes") };
}

export function recovery(value: unknown): RecoverySeen {
  const row = fields(value);
  const receiver = textOrNull(row, "receiver");
  return {
    replayPaused: flag(row, "replay_paused"),
    // Without rights there is a process without a state: it runs, which is all that is known.
    receiver: receiver ?? (number(row, "receivers") > 0 ? "running" : null),
    unreplayedBytes: bytesOrNull(row, "unreplayed_bytes"),
  };
}

export function sample(value: unknown): Omit<PositionSample, "askedMs" | "answeredMs"> & { readonly clockMs: number } {
  const row = fields(value);
  return {
    clockMs: number(row, "clock_ms"),
    position: position(row, "position"),
    commits: numberOrNull(row, "commits"),
    replicas: list(row["replicas"]).map((replica) => ({
      pid: number(replica, "pid"),
      flushed: replica["flushed"] === null ? null : position(replica, "flushed"),
    })),
  };
}

function list(value: unknown): Fields[] {
  if (!Array.isArray(value)) throw new Unreadable("a list was expected");
  return value.map(fields);
}

function fields(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Unreadable("a row was expected");
  return value as Fields;
}

function text(row: Fields, name: string): string {
  const value = row[name];
  if (typeof value !== "string") throw new Unreadable(`${name} is no text`);
  return value;
}

function textOrNull(row: Fields, name: string): string | null {
  return row[name] === null || row[name] === undefined ? null : text(row, name);
}

function number(row: Fields, name: string): number {
  const value = row[name];
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Unreadable(`${name} is no number`);
  return value;
}

function numberOrNull(row: Fields, name: string): number | null {
  return row[name] === null || row[name] === undefined ? null : number(row, name);
}

/** A difference of positions; below 0 when the other side was read a moment later. */
function bytesOrNull(row: Fields, name: string): number | null {
  const value = numberOrNull(row, name);
  return value === null ? null : Math.max(0, value);
}

function flag(row: Fields, name: string): boolean {
  const value = row[name];
  if (typeof value !== "boolean") throw new Unreadable(`${name} is neither true nor false`);
  return value;
}

function position(row: Fields, name: string): bigint {
  const value = text(row, name);
  if (!/^\d+$/.test(value)) throw new Unreadable(`${name} is no position`);
  return BigInt(value);
}
