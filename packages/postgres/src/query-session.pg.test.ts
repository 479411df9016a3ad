import { execFileSync, spawnSync } from "node:child_process";
import { chown, readFile, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Redacted } from "@tidemark/kernel/redacted";
import { QuerySession, type QueryLogin } from "./query-session.ts";
import type { TestServer } from "./testing/cluster-fixture.ts";
import { startPrimary, TEST_SETTINGS } from "./testing/cluster-fixture.ts";
import { testMajors } from "./testing/test-majors.ts";

/** Only one test needs a certificate, and Node cannot make one. */
const HAS_OPENSSL = spawnSync("openssl", ["version"], { stdio: "ignore" }).status === 0;

describe.each(testMajors())("a session with PostgreSQL %i", (major) => {
  let server: TestServer;
  const open = new Set<Socket>();

  beforeAll(async () => {
    server = await startPrimary({ major });
  });
  afterAll(async () => {
    for (const socket of open) socket.destroy();
    await server.dispose();
  });

  const login = (over: Partial<QueryLogin> = {}): QueryLogin => {
    const { host, user, password, database } = server.connection;
    return {
      host,
      user,
      password: new Redacted(password),
      database,
      tls: "disable",
      settings: { application_name: "it's a test" },
      ...over,
    };
  };

  async function sessionAs(over: Partial<QueryLogin> = {}): Promise<QuerySession> {
    const socket = connect({ host: "127.0.0.1", port: server.connection.port });
    open.add(socket);
    await once(socket, "connect");
    return QuerySession.open(socket, login(over));
  }

  it("answers with booleans, numbers, JSON and text, and tells NULL from all of them", async () => {
    const session = await sessionAs();
    expect(session.version).toMatch(new RegExp(`^${major}\\.`));
    expect(
      await session.ask(
        `SELECT true AS yes, false AS no, 7::int2 AS small, -3 AS whole, 1.5::float8 AS real, 9007199254740993 AS large,
          json_build_object('a', 1, 'b', NULL) AS json, '[1]'::jsonb AS jsonb, $1::text AS said, NULL AS none, '' AS empty`,
        ["ü ' \\ \n"],
      ),
    ).toEqual([
      {
        yes: true,
        no: false,
        small: 7,
        whole: -3,
        real: 1.5,
        large: "9007199254740993",
        json: { a: 1, b: null },
        jsonb: [1],
        said: "ü ' \\ \n",
        none: null,
        empty: "",
      },
    ]);
    expect(await session.ask("SELECT current_setting('application_name') AS name", [])).toEqual([{ name: "it's a test" }]);
    expect(await session.ask("SELECT generate_series(1, 2) AS n", [])).toEqual([{ n: 1 }, { n: 2 }]);
    expect(await session.ask("CREATE TEMP TABLE t (n int)", [])).toEqual([]);
    session.destroy();
  });

  it("prepares a question once, also one that fails, and goes on after an error", async () => {
    const session = await sessionAs();
    for (let turn = 0; turn < 3; turn++) {
      expect(await session.ask("SELECT 1 AS one", [])).toEqual([{ one: 1 }]);
      await expect(session.ask("SELECT 1 / $1::int AS none", ["0"])).rejects.toMatchObject({ code: "22012" });
      await expect(session.ask("SELECT nothing", [])).rejects.toMatchObject({ code: "42703" });
    }
    expect(await session.ask("SELECT count(*)::int AS count FROM pg_prepared_statements", [])).toEqual([{ count: 3 }]);
    session.destroy();
  });

  it("prepares a question anew whose answer has other columns now", async () => {
    const session = await sessionAs();
    await session.ask("CREATE TEMP TABLE changing (a int)", []);
    expect(await session.ask("SELECT * FROM changing", [])).toEqual([]);
    await session.ask("ALTER TABLE changing ADD b int DEFAULT 1", []);
    await expect(session.ask("SELECT * FROM changing", [])).rejects.toMatchObject({ code: "0A000" });
    await session.ask("INSERT INTO changing VALUES (1)", []);
    expect(await session.ask("SELECT * FROM changing", [])).toEqual([{ a: 1, b: 1 }]);
    session.destroy();
  });

  it("logs in by MD5 where the server still keeps such a password, and not with a wrong one", async () => {
    const session = await sessionAs();
    await session.ask("SET password_encryption = 'md5'", []);
    await session.ask("CREATE ROLE old LOGIN PASSWORD 'of old'", []);
    session.destroy();
    const rules = join(server.server.options.dataDir, "pg_hba.conf");
    // The first rule that fits counts.
    await writeFile(rules, `host all old 127.0.0.1/32 md5\n${await readFile(rules, "utf8")}`);
    server.server.reload();
    await expect
      .poll(() => sessionAs({ user: "old", password: new Redacted("of old") }).then(({ hasEnded }) => hasEnded, String))
      .toBe(false);
    const right = await sessionAs({ user: "old", password: new Redacted("of old") });
    expect(await right.ask("SELECT current_user::text AS me", [])).toEqual([{ me: "old" }]);
    right.destroy();
    await expect(sessionAs({ user: "old", password: new Redacted("wrong") })).rejects.toMatchObject({ code: "28P01" });
    await expect(sessionAs({ password: new Redacted("wrong") })).rejects.toMatchObject({ code: "28P01" });
  });

  it("ends with the server's word for why, and answers nothing after it", async () => {
    const session = await sessionAs();
    const [row] = await session.ask("SELECT pg_backend_pid() AS pid", []);
    const sleeping = session.ask("SELECT pg_sleep(60)", []);
    const other = await sessionAs();
    await Promise.all([
      expect(sleeping).rejects.toMatchObject({ code: "57P01" }),
      other.ask("SELECT pg_terminate_backend($1::int)", [String(row?.["pid"])]),
    ]);
    expect(session.hasEnded).toBe(true);
    await expect(session.ask("SELECT 1", [])).rejects.toMatchObject({ code: "57P01" });
    other.destroy();
    await expect.poll(() => other.hasEnded).toBe(true);
  });

  it("demands TLS where it was asked for, and does without where it may", async () => {
    await expect(sessionAs({ tls: "require" })).rejects.toMatchObject({ code: "ERR_TLS_NOT_OFFERED" });
    const session = await sessionAs({ tls: "prefer" });
    expect(await session.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", [])).toEqual([{ ssl: false }]);
    session.destroy();
  });

  it.runIf(HAS_OPENSSL)("speaks TLS where the server does, and checks its certificate where it is to", async () => {
    const { dataDir, user } = server.server.options;
    const [certificate, key] = [join(dataDir, "server.crt"), join(dataDir, "server.key")];
    const form = ["req", "-new", "-x509", "-days", "1", "-nodes", "-subj", "/CN=localhost"];
    execFileSync("openssl", [...form, "-out", certificate, "-keyout", key], { stdio: "ignore" });
    if (user.switches) for (const path of [certificate, key]) await chown(path, user.uid, user.gid);
    execFileSync("chmod", ["600", key]);
    await server.server.configure({ ...TEST_SETTINGS, ssl: "on" });
    server.server.reload();
    for (const tls of ["prefer", "require"] as const)
      await expect
        .poll(async () => {
          const session = await sessionAs({ tls }).catch((error: { code?: string }) => error.code);
          if (!(session instanceof QuerySession)) return session;
          const rows = await session.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", []);
          session.destroy();
          return rows;
        })
        .toEqual([{ ssl: true }]);
    await expect(sessionAs({ tls: "verify-full" })).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  });
});
