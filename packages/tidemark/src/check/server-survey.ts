// What one look at one PostgreSQL server found, as plain data. What could not be seen has no value in it, so that it cannot
// pass for none or for 0 (HONEST-NUMBER).

/** A part that was seen, or why it was not. */
export type Seen<T> = { readonly known: true; readonly value: T } | { readonly known: false; readonly why: string };

export interface ServerSurvey {
  /** `host:port/database as user`, without secrets. */
  readonly target: string;
  /** When it began, wall time of this machine, milliseconds. */
  readonly atMs: number;
  readonly tookMs: number;
  readonly server: ServerIdentity;
  readonly self: OwnRights;
  readonly cluster: Seen<ClusterSeen>;
  /** Settings by name; those that this version does not have, or that may not be seen, are absent. */
  readonly settings: Seen<Readonly<Record<string, SettingSeen>>>;
  /** `ALTER ROLE … SET` and `ALTER DATABASE … SET`, of the settings that durability depends on. */
  readonly overrides: Seen<readonly SettingOverride[]>;
  readonly replicas: Seen<readonly ReplicaSeen[]>;
  readonly slots: Seen<readonly SlotSeen[]>;
  readonly archiver: Seen<ArchiverSeen>;
  /** Open transactions of clients, the oldest first, at most 20. */
  readonly transactions: Seen<readonly TransactionSeen[]>;
  /** Prepared transactions, the oldest first, at most 20. */
  readonly prepared: Seen<readonly PreparedSeen[]>;
  /** Of the database that was connected to, only. */
  readonly database: Seen<DatabaseSeen>;
  readonly walDirectory: Seen<{ readonly files: number; readonly bytes: number }>;
  /** Absent on a primary. */
  readonly recovery?: Seen<RecoverySeen>;
  readonly clock: Seen<ClockSeen>;
  readonly watch: Seen<WatchSeen>;
}

export interface ServerIdentity {
  /** As in `server_version_num`: 180004. */
  readonly versionNumber: number;
  readonly major: number;
  readonly inRecovery: boolean;
  /** Where the server took this connection; null over a Unix socket or where it is not said. */
  readonly address: string | null;
  /** Something between here and the server shares its connections. */
  readonly pooled: boolean;
}

/** Which cluster it is and on which branch of it. */
export interface ClusterSeen {
  /** The same on every server of a cluster, from initdb on. */
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** `default_transaction_read_only`: it takes no writes from who does not insist. */
  readonly readOnly: boolean;
  /** When the server started, by its own clock: two addresses with the same answer are one server. */
  readonly started: string;
}

/** What the login that asked may do. */
export interface OwnRights {
  readonly user: string;
  readonly superuser: boolean;
  /** Has the rights of `pg_monitor`. */
  readonly monitor: boolean;
}

export interface SettingSeen {
  readonly value: string;
  /** `kB`, `ms`, `MB` … as in pg_settings; null without one. */
  readonly unit: string | null;
}

export interface SettingOverride {
  /** Null: every database. */
  readonly database: string | null;
  /** Null: every role. */
  readonly role: string | null;
  readonly name: string;
  readonly value: string;
}

export interface ReplicaSeen {
  readonly pid: number;
  readonly name: string;
  /** Null: a Unix socket. */
  readonly address: string | null;
  /** startup, catchup, streaming, backup or stopping. */
  readonly state: string;
  /** async, potential, sync or quorum. */
  readonly syncState: string;
  /** It reports no replay: it receives WAL and keeps it, and cannot serve. */
  readonly receiverOnly: boolean;
  /** It takes rows of some tables, not the cluster: no copy that the whole could be recovered from. */
  readonly logical: boolean;
  /** WAL that it has not flushed; null: it does not say. */
  readonly missingBytes: number | null;
  /** As PostgreSQL measured it at the last commit; null on an idle server. */
  readonly flushLagMs: number | null;
  readonly replayLagMs: number | null;
}

export interface SlotSeen {
  readonly name: string;
  readonly type: "physical" | "logical";
  readonly plugin: string | null;
  readonly database: string | null;
  readonly active: boolean;
  readonly temporary: boolean;
  /** reserved, extended, unreserved or lost; null: it holds no WAL yet. */
  readonly walStatus: string | null;
  /** WAL that it keeps, bytes. */
  readonly retainedBytes: number | null;
  /** WAL that may still be written before it is in danger; null: no limit. */
  readonly safeBytes: number | null;
  /** Since when nobody uses it; from 17 on. */
  readonly inactiveForMs: number | null;
  readonly invalidationReason: string | null;
  /** Whether standbys keep it too; null before 17. */
  readonly failover: boolean | null;
  /** On a standby: it was copied from the primary. */
  readonly synced: boolean;
}

export interface ArchiverSeen {
  readonly archived: number;
  readonly failed: number;
  readonly lastArchivedWal: string | null;
  readonly lastArchivedAgoMs: number | null;
  readonly lastFailedWal: string | null;
  readonly lastFailedAgoMs: number | null;
  /** WAL written after the end of the last archived file, bytes; null: none was archived, or it cannot be said. */
  readonly missingBytes: number | null;
}

export interface TransactionSeen {
  readonly pid: number;
  readonly user: string | null;
  readonly database: string | null;
  readonly application: string;
  readonly state: string | null;
  readonly ageMs: number;
}

export interface PreparedSeen {
  readonly gid: string;
  readonly owner: string;
  readonly database: string;
  readonly ageMs: number;
}

export interface DatabaseSeen {
  readonly name: string;
  readonly unloggedTables: number;
  /** At most three. */
  readonly unloggedExamples: readonly string[];
  readonly sequences: number;
  readonly publications: number;
  /** Other databases of this server, which were not looked into. */
  readonly others: number;
}

export interface RecoverySeen {
  readonly replayPaused: boolean;
  /** `streaming` and others as in pg_stat_wal_receiver; null: no receiver runs. */
  readonly receiver: string | null;
  readonly unreplayedBytes: number | null;
}

/** Server's clock minus this machine's: right within `errorMs`. */
export interface ClockSeen {
  readonly offsetMs: number;
  readonly errorMs: number;
}

export interface WatchSeen {
  /** For how long positions were watched. */
  readonly forMs: number;
  readonly walBytesPerSecond: number;
  /** Null: the counter did not move within the watch; PostgreSQL brings it up to date once a second or later. */
  readonly commitsPerSecond: number | null;
  readonly replicas: readonly WatchedReplica[];
}

export interface WatchedReplica {
  readonly pid: number;
  readonly lag: Lag;
}

/** How far behind in time something is. No number where none is known. */
export type Lag =
  | { readonly kind: "known"; readonly ms: number; readonly errorMs: number }
  | { readonly kind: "at-least"; readonly ms: number }
  | { readonly kind: "unknown"; readonly why: string };

/** A setting's value; undefined: not seen, or this version has none of that name. */
export function settingOf(survey: ServerSurvey, name: string): string | undefined {
  return survey.settings.known ? survey.settings.value[name]?.value : undefined;
}

/** What was seen of a list; empty when it was not seen, for findings that need one to be there. */
export function seenList<T>(part: Seen<readonly T[]>): readonly T[] {
  return part.known ? part.value : [];
}

/** Those that receive the whole cluster. */
export function wholeCopies(replicas: readonly ReplicaSeen[]): readonly ReplicaSeen[] {
  return replicas.filter(({ logical }) => !logical);
}

/** An address that leads back to the machine itself. */
export function onSameMachine(replica: ReplicaSeen, server: ServerIdentity): boolean {
  const { address } = replica;
  return address === null || address === "::1" || /^(::ffff:)?127\./.test(address) || address === server.address;
}
