// The first node makes the cluster: data, roles, database, schema, the store's own SQL files, and last the record. Until the
// record stands the data counts for nothing: a crash before it means to begin again from nothing.
import { readFile } from "node:fs/promises";
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import type postgres from "postgres";
import { bootstrapSql } from "../../applier/schema.ts";
import type { ClusterRecord } from "../cluster-record.ts";
import { recordKey } from "../cluster-record.ts";
import type { LeaseEntry, LeaseStore } from "../lease-store.ts";
import { CLOSED_SET } from "../quorum.ts";
import { REPLICATION_USER, derivedPassword } from "../store-secrets.ts";
import { drop } from "./node-database.ts";
import { ensureObserver } from "./observer-role.ts";
import type { PostgresNode } from "./postgres-node.ts";

/** Makes everything and writes the record of epoch 1. Rejects with TM-CLUSTER-BOOTSTRAP, or TM-CLUSTER-CONFLICT when another node was faster. */
export async function bootstrap(node: PostgresNode, store: LeaseStore, password: Redacted<string>): Promise<LeaseEntry> {
  try {
    await node.initialise();
    await node.startPrimary(CLOSED_SET);
    await makeRoles(node, password);
    await fillDatabase(node, password);
    await ensureObserver(node);
  } catch (cause) {
    throw new TidemarkError("TM-CLUSTER-BOOTSTRAP", `could not make the first node of ${node.world.storeName}`, { cause });
  }
  const facts = await node.database.facts(2_000);
  const record: ClusterRecord = {
    formatVersion: 1,
    store: node.world.storeName,
    systemIdentifier: facts.systemIdentifier,
    epoch: 1 as Epoch,
    primary: node.world.node.name,
    timeline: 1 as Timeline,
    forkLsn: "0/0",
    sets: [CLOSED_SET],
    nextTimeline: 2,
    reigns: [],
    beganAtMs: node.world.clock.wallMs(),
  };
  return store.compareAndSet(recordKey(node.world.storeName), 0, record);
}

async function makeRoles(node: PostgresNode, password: Redacted<string>): Promise<void> {
  const { store, storeName, token } = node.world;
  const client = node.database.open({ synchronous: "local" });
  try {
    await client.unsafe(
      await createRole(client, {
        role: REPLICATION_USER,
        attributes: "REPLICATION",
        password: derivedPassword(token, storeName, REPLICATION_USER),
      }),
    );
    await client.unsafe(await createRole(client, { role: store.user, attributes: "", password }));
    await client.unsafe(`CREATE DATABASE ${identifier(store.database)} OWNER ${identifier(store.user)}`);
  } finally {
    drop(client);
  }
}

/** The password is quoted by the server itself: CREATE ROLE takes no parameters. */
async function createRole(client: postgres.Sql, role: { role: string; attributes: string; password: Redacted<string> }): Promise<string> {
  const [row] = await client.unsafe<{ statement: string }[]>(
    `SELECT format('CREATE ROLE %I LOGIN ${role.attributes} PASSWORD %L', $1::text, $2::text) AS statement`,
    [role.role, role.password.reveal()],
  );
  if (row === undefined) throw new TidemarkError("TM-CLUSTER-BOOTSTRAP", "the server composed no statement");
  return row.statement;
}

/** The schema `tidemark`, and the store's files, run as the store's user, who owns what they make. */
async function fillDatabase(node: PostgresNode, password: Redacted<string>): Promise<void> {
  const { store } = node.world;
  const admin = node.database.open({ database: store.database, synchronous: "local" });
  try {
    await admin.unsafe(bootstrapSql(store.user)).simple();
    await admin.unsafe(`GRANT pg_monitor TO ${identifier(store.user)}`);
  } finally {
    drop(admin);
  }
  const owner = node.database.open({ database: store.database, synchronous: "local", as: { user: store.user, password } });
  try {
    for (const file of store.setup) {
      const text = await readFile(file, "utf8");
      try {
        await owner.unsafe(text).simple();
      } catch (cause) {
        throw new TidemarkError("TM-CLUSTER-BOOTSTRAP", `the setup file ${file} failed`, { cause });
      }
    }
  } finally {
    drop(owner);
  }
}

function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
