// The commands of the replication protocol, each as a method. Source: PostgreSQL documentation, "Streaming Replication
// Protocol". Streaming WAL is in protocol/start-replication.ts: it takes the connection over.
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { BaseBackupEvent, BaseBackupOptions } from "./protocol/base-backup-stream.ts";
import { baseBackupCommand, streamBaseBackup } from "./protocol/base-backup-stream.ts";
import type { CommandResult, ReplicationLogin } from "./connection.ts";
import { ReplicationConnection } from "./connection.ts";
import type { TimelineSwitch } from "./timeline-history.ts";
import { parseTimelineHistory } from "./timeline-history.ts";

/** The oldest server that answers BASE_BACKUP in the form used here. */
const OLDEST_MAJOR = 15;

export interface SystemFacts {
  readonly systemIdentifier: SystemIdentifier;
  readonly timeline: Timeline;
  /** How far the server has flushed its WAL (a standby: what it has received and flushed). */
  readonly flushLsn: Lsn;
}

export interface SlotFacts {
  readonly type: "physical" | "logical";
  /** Absent while the slot keeps no WAL. */
  readonly restartLsn?: Lsn;
  readonly restartTimeline?: Timeline;
}

export class ReplicationClient {
  readonly #connection: ReplicationConnection;

  constructor(connection: ReplicationConnection) {
    this.#connection = connection;
  }

  /** For what takes the connection over, such as a stream of WAL. */
  get connection(): ReplicationConnection {
    return this.#connection;
  }

  /** Connects; rejects as {@link ReplicationConnection.open} does, and with TM-PG-VERSION when the server is too old. */
  static async connect(login: ReplicationLogin): Promise<ReplicationClient> {
    const connection = await ReplicationConnection.open(login);
    if (connection.serverMajor >= OLDEST_MAJOR) return new ReplicationClient(connection);
    connection.close();
    throw new TidemarkError("TM-PG-VERSION", `the server at ${login.host}:${login.port} is older than PostgreSQL ${OLDEST_MAJOR}`);
  }

  async identifySystem(): Promise<SystemFacts> {
    const row = await this.#row("IDENTIFY_SYSTEM", ["systemid", "timeline", "xlogpos"]);
    return {
      systemIdentifier: required(row["systemid"]) as SystemIdentifier,
      timeline: timelineOf(required(row["timeline"])),
      flushLsn: parseLsn(required(row["xlogpos"])),
    };
  }

  /** A setting, as SHOW prints it. Rejects with TM-PG-SERVER when there is none of that name. */
  async show(name: string): Promise<string> {
    const [result] = await this.#connection.command(`SHOW ${identifier(name)}`);
    return required(result?.rows[0]?.[0]?.toString("utf8"));
  }

  /** Makes a physical slot. `reserveWal`: it keeps WAL from now on, not from its first use (trap 4). Rejects with TM-PG-SERVER (42710) when it exists. */
  async createPhysicalSlot(name: string, options?: { reserveWal?: boolean; temporary?: boolean }): Promise<void> {
    const temporary = options?.temporary === true ? " TEMPORARY" : "";
    const reserve = options?.reserveWal === true ? " (RESERVE_WAL)" : "";
    await this.#connection.command(`CREATE_REPLICATION_SLOT ${identifier(name)}${temporary} PHYSICAL${reserve}`);
  }

  /** Rejects with TM-PG-SERVER when it does not exist (42704) or is in use (55006). */
  async dropSlot(name: string): Promise<void> {
    await this.#connection.command(`DROP_REPLICATION_SLOT ${identifier(name)}`);
  }

  /** Undefined when there is no such slot. Rejects with TM-PG-SERVER for a logical one. */
  async readSlot(name: string): Promise<SlotFacts | undefined> {
    const row = await this.#row(`READ_REPLICATION_SLOT ${identifier(name)}`, ["slot_type", "restart_lsn", "restart_tli"]);
    const { slot_type: type, restart_lsn: lsn, restart_tli: timeline } = row;
    if (type === undefined) return undefined;
    return {
      type: type === "logical" ? "logical" : "physical",
      ...(lsn === undefined ? {} : { restartLsn: parseLsn(lsn) }),
      ...(timeline === undefined ? {} : { restartTimeline: timelineOf(timeline) }),
    };
  }

  /** The ancestry of a timeline; timeline 1 has none. Rejects as {@link timelineHistoryFile} does. */
  async timelineHistory(timeline: Timeline): Promise<TimelineSwitch[]> {
    if (timeline === 1) return [];
    return parseTimelineHistory((await this.timelineHistoryFile(timeline)).toString("utf8"));
  }

  /** A timeline's history file, byte for byte. Rejects with TM-PG-SERVER (58P01) when the server has none: timeline 1 never has. */
  async timelineHistoryFile(timeline: Timeline): Promise<Buffer> {
    const [result] = await this.#connection.command(`TIMELINE_HISTORY ${wholeNumber(timeline)}`);
    const content = result?.rows[0]?.[result.fields.indexOf("content")];
    if (content === undefined || content === null)
      throw new TidemarkError("TM-PG-PROTOCOL", "TIMELINE_HISTORY was answered without a content");
    return content;
  }

  /** Streams a base backup. One at a time; leaving the loop early closes the connection. */
  async *baseBackup(options: BaseBackupOptions): AsyncGenerator<BaseBackupEvent, void, void> {
    let whole = false;
    try {
      yield* streamBaseBackup(this.#connection, baseBackupCommand(options));
      whole = true;
    } finally {
      if (!whole) this.#connection.destroy();
    }
  }

  close(): void {
    this.#connection.close();
  }

  /** The one row of a command with named columns; a NULL is left out. */
  async #row(command: string, columns: readonly string[]): Promise<Record<string, string>> {
    const [result] = await this.#connection.command(command);
    const row = result?.rows[0];
    if (row === undefined) throw new TidemarkError("TM-PG-PROTOCOL", `${command} was answered without a row`);
    return columnsOf(result as CommandResult, columns);
  }
}

function columnsOf(result: CommandResult, columns: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [index, name] of result.fields.entries()) {
    const value = result.rows[0]?.[index];
    if (columns.includes(name) && value !== null && value !== undefined) found[name] = value.toString("utf8");
  }
  return found;
}

function required(value: string | undefined): string {
  if (value === undefined) throw new TidemarkError("TM-PG-PROTOCOL", "the server left out a column that its answer must have");
  return value;
}

export function timelineOf(text: string): Timeline {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new TidemarkError("TM-PG-PROTOCOL", `the server named "${text}" as a timeline`);
  return Number(text) as Timeline;
}

function wholeNumber(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new TidemarkError("TM-PG-SETTING", `${value} is not a whole number`);
  return String(value);
}

/** Replication commands have no parameters to bind, so names are held to the letters that need no quoting. */
export function identifier(name: string): string {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(name)) throw new TidemarkError("TM-PG-SETTING", `"${name}" has other characters than a-z, 0-9 and _`);
  return name;
}
