// The role that the observer logs in with: what monitoring may read, and the one table that the canary writes. The primary's agent makes
// it, with the cluster or, where the cluster is older than the role, later.
import { ENSURE_CANARY_SQL } from "../../canary/canary-table.ts";
import { OBSERVER_USER, derivedPassword } from "../store-secrets.ts";
import { drop } from "./node-database.ts";
import type { PostgresNode } from "./postgres-node.ts";

const IS_THERE_SQL = `
  SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '${OBSERVER_USER}') AS role,
    coalesce(has_table_privilege((SELECT oid FROM pg_roles WHERE rolname = '${OBSERVER_USER}'), to_regclass('tidemark_canary.beat'), 'INSERT'), false) AS canary`;

const GRANT_SQL = `
GRANT pg_monitor TO ${OBSERVER_USER};
GRANT USAGE ON SCHEMA tidemark_canary TO ${OBSERVER_USER};
GRANT SELECT, INSERT, UPDATE ON tidemark_canary.beat TO ${OBSERVER_USER};`;

/** Makes what is missing, on a primary; waits for no other copy. Rejects with what PostgreSQL says. */
export async function ensureObserver(node: PostgresNode): Promise<void> {
  const { store, storeName, token } = node.world;
  const client = node.database.open({ database: store.database, synchronous: "local" });
  try {
    const [there] = await client.unsafe<{ role: boolean; canary: boolean }[]>(IS_THERE_SQL);
    if (there?.role === true && there.canary) return;
    if (there?.role !== true) {
      const password = derivedPassword(token, storeName, OBSERVER_USER);
      // The password is quoted by the server itself: CREATE ROLE takes no parameters.
      const [row] = await client.unsafe<{ statement: string }[]>(
        "SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text) AS statement",
        [OBSERVER_USER, password.reveal()],
      );
      await client.unsafe(row?.statement ?? "");
    }
    await client.unsafe(`${ENSURE_CANARY_SQL}${GRANT_SQL}`).simple();
  } finally {
    drop(client);
  }
}
