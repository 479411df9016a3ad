// A load whose WAL has records of nearly every kind: for tests that hold a reader against what the server itself says it wrote.
import type { Sql } from "postgres";
import type { ServerSettings } from "../../server-settings.ts";

/** What the load needs, and what keeps all of its WAL in pg_wal. */
export const VARIED_LOAD_SETTINGS: ServerSettings = {
  wal_level: "logical",
  max_prepared_transactions: "10",
  track_commit_timestamp: "on",
  wal_keep_size: "4GB",
  wal_recycle: "off",
  // The server's texts of times are compared.
  timezone: "UTC",
  log_timezone: "UTC",
  autovacuum_naptime: "1s",
};

export interface LoadFacts {
  /** The transactions that committed, with those that were prepared. */
  readonly committed: readonly number[];
  readonly aborted: readonly number[];
  /** One of the committed: it carries another server's commit time besides its own. */
  readonly fromElsewhere: number;
}

/** Runs the load once; `sql` has several connections. */
export async function runVariedLoad(sql: Sql): Promise<LoadFacts> {
  const committed: number[] = [];
  const aborted: number[] = [];
  const note = async (tx: Sql, list: number[]): Promise<void> => {
    const [row] = await tx<{ xid: string }[]>`SELECT pg_current_xact_id()::text AS xid`;
    list.push(Number(row?.xid));
  };
  await sql.unsafe(`
    CREATE TABLE rows (id serial PRIMARY KEY, body text, tags int[], place point, span int4range);
    CREATE INDEX ON rows USING gin (tags); CREATE INDEX ON rows USING gist (span); CREATE INDEX ON rows USING spgist (place);
    CREATE INDEX ON rows USING hash (body); CREATE INDEX ON rows USING brin (id); CREATE SEQUENCE numbers`);
  await manyRows(sql, note, committed);
  await subtransactions(sql, note, { committed, aborted });
  await sql`CHECKPOINT`;
  await sql`UPDATE rows SET place = point(id, id) WHERE id % 3 = 0`;
  await preparedTransactions(sql, note, { committed, aborted });
  await sql`SELECT pg_switch_wal()`;
  const fromElsewhere = await messages(sql, note, committed);
  await sql.unsafe("DELETE FROM rows WHERE id % 7 = 0");
  await sql`VACUUM ANALYZE rows`;
  await sql`SELECT pg_switch_wal()`;
  await sql`VACUUM FULL rows`;
  await sql`CREATE DATABASE other`;
  await sql`DROP DATABASE other`;
  await Promise.all(Array.from({ length: 400 }, () => sql`INSERT INTO rows (body) VALUES (md5(random()::text))`));
  return { committed, aborted, fromElsewhere };
}

type Note = (tx: Sql, list: number[]) => Promise<void>;

async function manyRows(sql: Sql, note: Note, committed: number[]): Promise<void> {
  await sql.begin(async (tx) => {
    await note(tx as unknown as Sql, committed);
    await tx`INSERT INTO rows (body, tags, place, span)
      SELECT md5(i::text), ARRAY[i % 10, i % 100], point(i, -i), int4range(i, i + 10) FROM generate_series(1, 4000) AS i`;
  });
  // Rows that go out of line, incompressible and compressible, above a page and above a segment's share.
  for (const size of [3, 300, 30_000, 400_000]) {
    await sql.begin(async (tx) => {
      await note(tx as unknown as Sql, committed);
      await tx`CREATE TABLE IF NOT EXISTS big (body text)`;
      await tx`INSERT INTO big SELECT string_agg(md5((i * random())::text), '') FROM generate_series(1, ${size}) AS i`;
      await tx`INSERT INTO big VALUES (repeat('x', ${size}))`;
    });
  }
}

async function subtransactions(sql: Sql, note: Note, lists: { committed: number[]; aborted: number[] }): Promise<void> {
  for (const fails of [false, true]) {
    await sql
      .begin(async (tx) => {
        await note(tx as unknown as Sql, fails ? lists.aborted : lists.committed);
        for (let index = 0; index < 150; index++) {
          await tx.savepoint(async (inner) => {
            await inner`INSERT INTO rows (body) VALUES (${`sub ${index}`})`;
            if (index % 10 === 0) await inner`SELECT nextval('numbers')`;
          });
        }
        if (fails) throw new Error("rolled back on purpose");
      })
      .catch((error: Error) => {
        if (error.message !== "rolled back on purpose") throw error;
      });
  }
}

async function preparedTransactions(sql: Sql, note: Note, lists: { committed: number[]; aborted: number[] }): Promise<void> {
  for (const name of ["kept", "kept with all", "dropped"]) {
    const one = await sql.reserve();
    await one`BEGIN`;
    await note(one, name === "dropped" ? lists.aborted : lists.committed);
    if (name === "kept with all") {
      // Subtransactions, files, statistics and invalidations: each a list before the xid in the record that commits it.
      await one.unsafe("CREATE TABLE prepared AS SELECT 1 AS a; CREATE INDEX ON prepared (a); DROP TABLE big");
      for (let index = 0; index < 70; index++) await one.unsafe(`SAVEPOINT s; INSERT INTO rows (body) VALUES ('p'); RELEASE SAVEPOINT s`);
    } else {
      await one.unsafe("INSERT INTO rows (body) VALUES ('p')");
    }
    await one.unsafe(`PREPARE TRANSACTION '${name}'`);
    await one.unsafe(name === "dropped" ? `ROLLBACK PREPARED '${name}'` : `COMMIT PREPARED '${name}'`);
    one.release();
  }
}

/** Records of the length that a page, several pages and more than a segment hold, and a commit that came from another server. */
async function messages(sql: Sql, note: Note, committed: number[]): Promise<number> {
  for (const length of [1, 8_000, 8_100, 8_192, 100_000, 20_000_000])
    await sql`SELECT pg_logical_emit_message(${length % 2 === 0}, 'load', repeat('m', ${length}))`;
  const one = await sql.reserve();
  await one`SELECT pg_replication_origin_create('elsewhere')`;
  await one`SELECT pg_replication_origin_session_setup('elsewhere')`;
  await one`BEGIN`;
  await note(one, committed);
  const fromElsewhere = committed.at(-1) ?? 0;
  await one`INSERT INTO rows (body) VALUES ('from elsewhere')`;
  await one`SELECT pg_replication_origin_xact_setup('0/4711', now())`;
  await one`COMMIT`;
  await one`SELECT pg_replication_origin_session_reset()`;
  one.release();
  return fromElsewhere;
}
