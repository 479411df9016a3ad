// The agent's SQL on its own PostgreSQL: short questions with a deadline. A question that is not answered in time loses its
// connection, because the next one would queue behind it.
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import postgres from "postgres";
import type { MemberStatus } from "../agent-status.ts";
import { SUPERUSER } from "../store-secrets.ts";

export interface NodeFacts {
  readonly inRecovery: boolean;
  /** Primary: flushed. Standby: replayed. */
  readonly lsn: string;
  readonly receivedLsn?: string;
  readonly streaming: boolean;
  readonly receivers: readonly number[];
  /** What the startup process waits for. */
  readonly startupWait?: string;
  readonly members: readonly MemberStatus[];
  readonly timeline: Timeline;
  /** `synchronous_standby_names`, empty when commits wait for nobody. */
  readonly standbyNames: string;
  readonly systemIdentifier: SystemIdentifier;
}

/** The timeline comes from the name of the WAL file on a primary; a standby's is asked over the replication protocol where it matters. */
const FACTS_SQL = `
  SELECT r.recovering AS "inRecovery",
    (CASE WHEN r.recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)::text AS lsn,
    (CASE WHEN r.recovering THEN pg_last_wal_receive_lsn() END)::text AS "receivedLsn",
    coalesce((SELECT w.status = 'streaming' FROM pg_stat_wal_receiver w), false) AS streaming,
    (SELECT coalesce(json_agg(a.pid), '[]'::json) FROM pg_stat_activity a WHERE a.backend_type = 'walreceiver') AS receivers,
    (SELECT a.wait_event FROM pg_stat_activity a WHERE a.backend_type = 'startup') AS "startupWait",
    CASE WHEN r.recovering THEN coalesce((SELECT w.received_tli FROM pg_stat_wal_receiver w WHERE w.status = 'streaming'), 0)
      ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
    current_setting('synchronous_standby_names') AS "standbyNames",
    (SELECT s.system_identifier::text FROM pg_control_system() s) AS "systemIdentifier",
    CASE WHEN r.recovering THEN '[]'::json ELSE (SELECT coalesce(json_agg(json_build_object('identity', m.application_name, 'pid', m.pid, 'state', m.state,
      'syncState', m.sync_state, 'syncPriority', m.sync_priority, 'flushLsn', m.flush_lsn::text, 'replayLsn', m.replay_lsn::text, 'replyTime', m.reply_time::text)), '[]'::json)
      FROM pg_stat_replication m) END AS members
  FROM (SELECT pg_is_in_recovery() AS recovering) r`;

export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly password: Redacted<string>;
  readonly clock: Clock;
}

export class NodeDatabase {
  readonly #address: DatabaseAddress;
  #standing: postgres.Sql | undefined;

  constructor(address: DatabaseAddress) {
    this.#address = address;
  }

  /** A client of one connection. `database`: default postgres. The caller ends it. */
  open(options?: { database?: string; synchronous?: "local"; as?: { user: string; password: Redacted<string> } }): postgres.Sql {
    const { host, port } = this.#address;
    const login = options?.as ?? { user: SUPERUSER, password: this.#address.password };
    return postgres({
      host,
      port,
      user: login.user,
      password: login.password.reveal(),
      database: options?.database ?? "postgres",
      max: 1,
      idle_timeout: 0,
      connect_timeout: 2,
      backoff: false,
      fetch_types: false,
      onnotice: () => undefined,
      connection: {
        application_name: "tidemark-agent",
        // The agent's own rows must not wait for members: a reign begins closed.
        ...(options?.synchronous === undefined ? {} : { synchronous_commit: options.synchronous }),
      },
    });
  }

  /** Asks on the standing connection. Rejects with TM-CLUSTER-NOT-READY, also when `timeoutMs` is over. */
  async ask<T>(sql: string, parameters: readonly (string | number | null)[], timeoutMs: number): Promise<T[]> {
    const client = (this.#standing ??= this.open());
    try {
      return (await this.#within(client.unsafe(sql, [...parameters]) as unknown as Promise<T[]>, timeoutMs)).slice();
    } catch (cause) {
      if (this.#standing === client) this.#standing = undefined;
      drop(client);
      throw new TidemarkError("TM-CLUSTER-NOT-READY", "PostgreSQL did not answer the agent", { cause });
    }
  }

  async facts(timeoutMs: number): Promise<NodeFacts> {
    const [row] = await this.ask<NodeFacts>(FACTS_SQL, [], timeoutMs);
    if (row === undefined) throw new TidemarkError("TM-CLUSTER-NOT-READY", "PostgreSQL answered nothing about itself");
    return row;
  }

  /** Whether a new session can be had: a postmaster that is held does not answer, while old sessions go on. */
  async knock(timeoutMs: number): Promise<void> {
    const client = this.open();
    try {
      await this.#within(client.unsafe("SELECT 1"), timeoutMs);
    } catch (cause) {
      throw new TidemarkError("TM-CLUSTER-NOT-READY", "PostgreSQL gave no new session", { cause });
    } finally {
      drop(client);
    }
  }

  close(): void {
    if (this.#standing !== undefined) drop(this.#standing);
    this.#standing = undefined;
  }

  async #within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
    let clear: (() => void) | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const timer = this.#address.clock.setTimer(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs} ms`)), {
        keepAlive: false,
      });
      clear = () => timer.clear();
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clear?.();
      // The loser of the race may reject later: the connection is dropped then, and that is all there is to do.
      work.catch(() => undefined);
    }
  }
}

/** Ends the connection without waiting for whatever is asked on it. */
export function drop(client: postgres.Sql): void {
  client.end({ timeout: 0 }).catch(() => undefined);
}
