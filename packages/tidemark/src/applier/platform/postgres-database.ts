import type { Epoch, JournalId, Partition, Sequence, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { PrimaryRoute } from "../../cluster/cluster-record.ts";
import {
  DatabaseError,
  type ApplyOutcome,
  type ApplyUnit,
  type Database,
  type DatabaseIdentity,
  type DatabaseSession,
  type PendingLetter,
  type PositionRow,
  type StreamingCopy,
} from "../database.ts";
import { SCHEMA_VERSION, TIDEMARK_SCHEMA_SQL } from "../schema.ts";
import type { Trouble } from "../trouble-table.ts";
import { DatabaseConnection, type DatabaseAddress } from "./database-connection.ts";
import { TransactionPipeline } from "./transaction-pipeline.ts";

const IDENTITY_SQL = `
SELECT pg_is_in_recovery() AS in_recovery, (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
  CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())::bigint
       ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END::text AS timeline,
  to_regclass('tidemark.reign') IS NOT NULL AS has_reigns`;

/** PostgreSQL through the `postgres` driver. */
export class PostgresDatabase implements Database {
  readonly #login: Pick<DatabaseAddress, "database" | "user" | "password">;

  constructor(login: Pick<DatabaseAddress, "database" | "user" | "password">) {
    this.#login = login;
  }

  async open(route: PrimaryRoute): Promise<DatabaseSession> {
    return new PostgresSession(await DatabaseConnection.open({ ...this.#login, host: route.host, port: route.port }));
  }
}

/** One connection; see {@link DatabaseSession}. */
export class PostgresSession implements DatabaseSession {
  readonly #connection: DatabaseConnection;
  readonly #pipeline: TransactionPipeline;

  constructor(connection: DatabaseConnection) {
    this.#connection = connection;
    this.#pipeline = new TransactionPipeline(connection);
  }

  async identify(): Promise<DatabaseIdentity> {
    const [row] = await this.#connection.query(IDENTITY_SQL, []);
    const newest =
      row?.["has_reigns"] === true
        ? (await this.#connection.query("SELECT max(epoch)::text AS epoch FROM tidemark.reign", []))[0]?.["epoch"]
        : undefined;
    return {
      inRecovery: row?.["in_recovery"] === true,
      systemIdentifier: row?.["system_identifier"] as SystemIdentifier,
      timeline: Number(row?.["timeline"]) as Timeline,
      newestEpoch: typeof newest === "string" ? (Number(newest) as Epoch) : undefined,
    };
  }

  async ensureSchema(): Promise<void> {
    const [there] = await this.#connection.query("SELECT to_regclass('tidemark.schema_version') IS NOT NULL AS there", []);
    const version =
      there?.["there"] === true
        ? Number(
            (await this.#connection.query("SELECT coalesce(max(version), 0) AS version FROM tidemark.schema_version", []))[0]?.["version"],
          )
        : 0;
    if (version > SCHEMA_VERSION)
      throw new TidemarkError("TM-APPLIER-SCHEMA", `the database has schema version ${version}, this applier knows ${SCHEMA_VERSION}`);
    if (version === SCHEMA_VERSION) return;
    try {
      await this.#connection.script(TIDEMARK_SCHEMA_SQL);
    } catch (error) {
      await this.#connection.script("ROLLBACK").catch(() => undefined);
      if (error instanceof DatabaseError && error.trouble.reaction !== "reconnect") {
        throw new DatabaseError(
          { ...error.trouble, reaction: "wait", code: "TM-APPLIER-SCHEMA", message: `making the schema: ${error.message}` },
          { cause: error },
        );
      }
      throw error;
    }
  }

  async positions(journal: JournalId): Promise<PositionRow[]> {
    const rows = await this.#connection.query(
      "SELECT generation, partition, sequence::text AS sequence FROM tidemark.position WHERE journal = $1",
      [journal],
    );
    return rows.map((row) => ({
      generation: row["generation"] as number,
      partition: row["partition"] as number,
      sequence: BigInt(row["sequence"] as string) as Sequence,
    }));
  }

  async otherJournals(journal: JournalId): Promise<JournalId[]> {
    const rows = await this.#connection.query("SELECT DISTINCT journal::text AS journal FROM tidemark.position WHERE journal <> $1", [
      journal,
    ]);
    return rows.map((row) => row["journal"] as JournalId);
  }

  async pendingLetters(journal: JournalId): Promise<PendingLetter[]> {
    const rows = await this.#connection.query(
      "SELECT sequence::text AS sequence, key, partition, origin::text AS origin, stops_key FROM tidemark.dead_letter WHERE journal = $1 AND state IN ('rejected', 'parked') ORDER BY sequence",
      [journal],
    );
    return rows.map((row) => ({
      sequence: BigInt(row["sequence"] as string) as Sequence,
      key: row["key"] as string,
      partition: row["partition"] as number as Partition,
      origin: BigInt(row["origin"] as string) as Sequence,
      stopsKey: row["stops_key"] === true,
    }));
  }

  apply(unit: ApplyUnit): Promise<ApplyOutcome> {
    return this.#pipeline.run(unit, false);
  }

  barrier(unit: Omit<ApplyUnit, "steps">): Promise<ApplyOutcome> {
    return this.#pipeline.run({ ...unit, steps: [] }, true);
  }

  async streamingCopies(): Promise<StreamingCopy[]> {
    const rows = await this.#connection.query(
      "SELECT application_name AS name, flush_lsn::text AS flushed FROM pg_stat_replication WHERE state = 'streaming' AND flush_lsn IS NOT NULL",
      [],
    );
    return rows.map((row) => ({ name: row["name"] as string, flushed: parseLsn(row["flushed"] as string) }));
  }

  async forgetKeys(ageMs: number, most: number): Promise<number> {
    const answer = await this.#connection.query(
      `DELETE FROM tidemark.idempotency WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM tidemark.idempotency WHERE applied_at < clock_timestamp() - make_interval(secs => $1::float8 / 1000) LIMIT $2::int))`,
      [String(ageMs), String(most)],
    );
    return answer.count ?? 0;
  }

  onLost(listener: (trouble: Trouble) => void): void {
    this.#connection.onLost(listener);
  }

  abandon(): void {
    this.#connection.abandon();
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
