// Asks a node's PostgreSQL itself, when its agent is silent: a dead agent is no reason to fail over.
import type { Clock } from "@tidemark/kernel/clock";
import type { Redacted } from "@tidemark/kernel/redacted";
import postgres from "postgres";
import type { NodeConfig, StoreConfig } from "../config/config.ts";

/** What PostgreSQL said. */
export interface DirectAnswer {
  readonly inRecovery: boolean;
  /** The newest reign in its database; undefined when there is none. */
  readonly epoch?: number;
}

export interface QuestionTarget {
  readonly store: StoreConfig;
  readonly node: NodeConfig;
  readonly password: Redacted<string>;
}

/** Undefined when there is no answer in time. Connects as the store's user, whose password control may read. */
export async function askDirectly(target: QuestionTarget, clock: Clock, timeoutMs: number): Promise<DirectAnswer | undefined> {
  const client = postgres({
    host: target.node.host,
    port: target.node.port,
    database: target.store.database,
    user: target.store.user,
    password: target.password.reveal(),
    max: 1,
    connect_timeout: Math.max(1, Math.ceil(timeoutMs / 1_000)),
    backoff: false,
    fetch_types: false,
    onnotice: () => undefined,
    connection: { application_name: "tidemark-control" },
  });
  const end = (): void => void client.end({ timeout: 0 }).catch(() => undefined);
  const timer = clock.setTimer(timeoutMs, end, { keepAlive: false });
  try {
    const [row] = await client.unsafe<{ recovering: boolean; epoch: string | null }[]>(
      "SELECT pg_is_in_recovery() AS recovering, (SELECT max(epoch) FROM tidemark.reign)::text AS epoch",
    );
    if (row === undefined) return undefined;
    return { inRecovery: row.recovering, ...(row.epoch === null ? {} : { epoch: Number(row.epoch) }) };
  } catch {
    // Refused, silent or broken: to the one who asks it is all the same, no answer.
    return undefined;
  } finally {
    timer.clear();
    end();
  }
}
