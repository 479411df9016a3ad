// A real pgBackRest (Debian's) with a repository of its own beside a test's server.
import { execFile } from "node:child_process";
import { chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { choosePostgresUser, spawnIdentity } from "@tidemark/postgres/unprivileged-user";
import postgres from "postgres";

export const PGBACKREST = "/usr/bin/pgbackrest";
/** A command may run for so long, milliseconds; the machine may be busy. */
const COMMAND_MS = 60_000;

export interface PgbackrestRepository {
  /** `pgbackrest info --output=json` of a stanza, as anybody who may read the repository runs it. */
  readonly info: (stanza?: string) => readonly [string, ...string[]];
  /** Has the server archive into the repository (which restarts it) and makes the stanza `main`. */
  readonly attach: () => Promise<void>;
  /** Takes a full backup. */
  readonly backup: () => Promise<void>;
}

/** The repository's folders and configuration; nothing is in it yet. */
export async function pgbackrestRepository(primary: TestServer): Promise<PgbackrestRepository> {
  const { folder, connection } = primary;
  const user = choosePostgresUser();
  const own = async (path: string): Promise<void> => {
    if (user.switches) await chown(path, user.uid, user.gid);
  };
  const passfile = join(folder, "pgpass");
  const config = join(folder, "pgbackrest.conf");
  const password = connection.password.replaceAll("\\", "\\\\").replaceAll(":", "\\:");
  await writeFile(passfile, `*:*:*:*:${password}\n`, { mode: 0o600 });
  await own(passfile);
  for (const name of ["repo", "log", "lock"]) {
    await mkdir(join(folder, name));
    await own(join(folder, name));
  }
  const lines = [
    "[global]",
    `repo1-path=${join(folder, "repo")}`,
    "repo1-retention-full=2",
    `log-path=${join(folder, "log")}`,
    `lock-path=${join(folder, "lock")}`,
    "start-fast=y",
    "[main]",
    `pg1-path=${join(folder, "data")}`,
    `pg1-port=${connection.port}`,
    `pg1-user=${connection.user}`,
  ];
  await writeFile(config, [...lines, ""].join("\n"));
  await own(config);
  const run = async (...args: readonly string[]): Promise<void> => {
    await promisify(execFile)(PGBACKREST, [`--config=${config}`, "--stanza=main", ...args], {
      ...spawnIdentity(user),
      // The server has no socket in the file system: pgBackRest, which names no host, takes libpq's default from here.
      env: { PATH: process.env["PATH"], LC_ALL: "C", PGPASSFILE: passfile, PGHOST: connection.host, HOME: folder },
      timeout: COMMAND_MS,
    });
  };
  return {
    info: (stanza = "main") => [PGBACKREST, `--config=${config}`, `--stanza=${stanza}`, "info", "--output=json"],
    async attach() {
      const sql = postgres({ ...connection, max: 1, fetch_types: false, onnotice: () => undefined });
      await sql.unsafe(`ALTER SYSTEM SET archive_command = '${PGBACKREST} --config=${config} --stanza=main archive-push %p'`);
      await sql.unsafe("ALTER SYSTEM SET archive_mode = on");
      await sql.end();
      await primary.server.stop("fast");
      await primary.server.start({ awaitReady: "accepting" });
      await run("stanza-create");
    },
    backup: () => run("--type=full", "backup"),
  };
}
