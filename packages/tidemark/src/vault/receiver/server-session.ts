// A connection to a server with what it says of itself at the beginning: asked anew at every connect (traps 3, 8, 9).
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { Redacted } from "@tidemark/kernel/redacted";
import { ReplicationConnection } from "@tidemark/postgres/connection";
import { ReplicationClient } from "@tidemark/postgres/replication-client";
import { readHistoryContent } from "./history-chain.ts";
import type { ReceiverTarget } from "./receiver-port.ts";
import type { ServerWal } from "./stream-plan.ts";

export interface ServerSession {
  readonly connection: ReplicationConnection;
  readonly client: ReplicationClient;
  readonly applicationName: string;
  readonly server: ServerWal;
  /** The server's history file of its timeline, byte for byte; undefined on the first. */
  readonly historyContent: Uint8Array | undefined;
  /** idle_replication_slot_timeout, as SHOW prints it, where it is not 0 (PostgreSQL 18, trap 6). */
  readonly idleTimeout: string | undefined;
}

const CONNECT_TIMEOUT_MS = 3_000;
/** The oldest server whose slots can be read over the replication protocol. */
const OLDEST_MAJOR = 15;

/** Rejects with TM-PG-CONNECTION, TM-PG-AUTHENTICATION, TM-PG-VERSION and the like. The caller destroys the connection. */
export async function openSession(
  target: ReceiverTarget,
  options: { applicationName: string; clock: Clock; signal: AbortSignal },
): Promise<ServerSession> {
  const connection = await ReplicationConnection.open({
    host: target.host,
    port: target.port,
    user: target.user,
    password: new Redacted(target.password),
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    ...options,
  });
  try {
    return await greet(connection, options.applicationName);
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

/** What the server says of itself by now, on the same connection. */
export function lookAgain({ connection, applicationName }: ServerSession): Promise<ServerSession> {
  return greet(connection, applicationName);
}

async function greet(connection: ReplicationConnection, applicationName: string): Promise<ServerSession> {
  if (connection.serverMajor < OLDEST_MAJOR)
    throw new TidemarkError("TM-PG-VERSION", `the server is of version ${connection.serverMajor}, older than PostgreSQL ${OLDEST_MAJOR}`);
  const client = new ReplicationClient(connection);
  const facts = await client.identifySystem();
  const segmentBytes = bytesOf(await client.show("wal_segment_size"));
  const historyContent = facts.timeline === 1 ? undefined : await client.timelineHistoryFile(facts.timeline);
  const idle = connection.serverMajor >= 18 ? await client.show("idle_replication_slot_timeout") : "0";
  return {
    connection,
    client,
    applicationName,
    server: { ...facts, segmentBytes, history: historyContent === undefined ? [] : readHistoryContent(historyContent) },
    historyContent,
    idleTimeout: idle === "0" ? undefined : idle,
  };
}

/** A size as SHOW prints it, such as `16MB`. */
function bytesOf(text: string): number {
  const match = /^(\d+)(kB|MB|GB)$/.exec(text);
  const unit = { kB: 1_024, MB: 1_048_576, GB: 1_073_741_824 }[match?.[2] ?? ""];
  if (match === null || unit === undefined)
    throw new TidemarkError("TM-PG-PROTOCOL", `the server says that its wal_segment_size is ${text}`);
  return Number(match[1]) * unit;
}
