// What runbooks ask of a server can be asked: each block of SQL is run on the versions under test, by a login that may read statistics.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { describe, expect, it } from "vitest";
import { startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { testMajors } from "@tidemark/postgres/testing/test-majors";

const RUNBOOKS = fileURLToPath(new URL("../../../../docs/runbooks/", import.meta.url));

/** Blocks of SQL, each with the runbooks that it stands in. */
function blocks(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const file of readdirSync(RUNBOOKS).filter((name) => name.endsWith(".md"))) {
    for (const [, sql = ""] of readFileSync(`${RUNBOOKS}${file}`, "utf8").matchAll(/```sql\n([\s\S]*?)```/g))
      found.set(sql, [...(found.get(sql) ?? []), file]);
  }
  return found;
}

describe.each(testMajors())("the SQL of the runbooks, on PostgreSQL %s", (major) => {
  it("is answered to who may read statistics", async () => {
    await using primary = await startPrimary({ major });
    const admin = postgres({ ...primary.connection, max: 1, fetch_types: false });
    await admin.unsafe("CREATE ROLE person LOGIN PASSWORD 'person'; GRANT pg_monitor TO person");
    await admin.unsafe("SELECT pg_create_physical_replication_slot('one', true)");
    await admin.end();
    const person = postgres({ ...primary.connection, user: "person", password: "person", max: 1, fetch_types: false });
    const all = blocks();
    expect(all.size).toBeGreaterThan(1);
    for (const [sql, files] of all) {
      const answer = await person.unsafe(sql).catch((error: unknown) => {
        throw new Error(`${files.join(", ")}: ${String(error)}`, { cause: error });
      });
      expect(Array.isArray(answer)).toBe(true);
    }
    await person.end();
  });
});
