// The command as a person runs it, beside a real primary with a real standby.
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  startPrimary,
  startPrimaryWithStandby,
  TEST_PASSWORD,
  TEST_STANDBY,
  type TestPair,
} from "@tidemark/postgres/testing/cluster-fixture";
import type postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { change, session, urlOf } from "../check/testing/checked-server.ts";
import type { Config } from "../config/config.ts";
import { checkConfig, loadConfig } from "../config/load-config.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/tidemark.mjs", import.meta.url));
/** As it may stand in an output if it leaks: both plain and as a URL has it. */
const SECRETS = [TEST_PASSWORD, encodeURIComponent(TEST_PASSWORD)];

let pair: TestPair;
let sql: postgres.Sql;
let folder: string;
beforeAll(async () => {
  pair = await startPrimaryWithStandby({ synchronous: true, settings: { archive_mode: "on", archive_command: "/bin/true %p" } });
  sql = session(pair.primary.connection);
  // A base backup waits for its WAL to be archived: only from here on nothing archives.
  await change(sql, { archive_command: "" });
});
afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await pair?.dispose();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-init-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function tidemark(...args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const env = { ...process.env, COLUMNS: "80", PGPASSFILE: join(folder, "none") };
  const child = spawn(process.execPath, [LAUNCHER, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString("utf8")));
  child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString("utf8")));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  for (const secret of SECRETS) expect(out + err).not.toContain(secret);
  return { code, out, err };
}

const primaryUrl = (): string => urlOf(pair.primary.connection);
const standbyPlace = (): string => `${TEST_STANDBY}=127.0.0.1:${pair.standby.connection.port}`;

/** Comments as sentences, not as lines. */
function joined(yaml: string): string {
  return yaml.replaceAll(/\n *# /g, " ");
}

function configOf(yaml: string): Config {
  const checked = checkConfig(yaml, join(folder, "tidemark.yaml"));
  if ("problems" in checked) throw new Error(JSON.stringify(checked.problems, null, 2));
  return checked.config;
}

describe("tidemark init", () => {
  it("writes a configuration that validates, with the primary, the standby and what is not known of them", async () => {
    const first = await tidemark(
      "init",
      "--yes",
      "--owner",
      "shop",
      "--service",
      "shop",
      "--standby",
      standbyPlace(),
      "--zone",
      `${TEST_STANDBY}=b`,
      primaryUrl(),
    );
    expect(first).toMatchObject({ code: 0, err: "" });
    const text = await readFile(join(folder, "tidemark.yaml"), "utf8");
    for (const secret of SECRETS) expect(text).not.toContain(secret);
    const config = await loadConfig(join(folder, "tidemark.yaml"));
    expect(config.services["shop"]).toMatchObject({ owner: "shop", tier: "high", stores: ["shop-db"] });
    const { host, user, database, port } = pair.primary.connection;
    const source = { kind: "postgresql", host, user, database, tls: "disable", passwordFile: join(folder, "secrets", "shop-db.password") };
    expect(config.observed["shop-db"]).toMatchObject({
      canary: "positions",
      copies: [
        { domain: { machine: "localhost" }, source: { ...source, port } },
        { name: TEST_STANDBY, domain: { machine: "localhost", zone: "b" }, source: { ...source, port: pair.standby.connection.port } },
      ],
    });
    expect(text).toContain("# Commits waited for it when this was written (synchronous_standby_names).");
    expect(text).toContain("# Its zone, region and account are not known to PostgreSQL.");
    expect(text).toContain("# WAL is archived nowhere: nothing here goes back to before a bad write.");
    expect(text).toContain("# It was looked at as a superuser;");
    expect(text).not.toContain("TODO");
    // Nobody agreed to it, so that the password is nowhere.
    expect(await readdir(folder)).toEqual(["tidemark.schema.json", "tidemark.yaml"]);
    expect(first.out).toContain("wrote tidemark.schema.json");
    const schema = JSON.parse(await readFile(join(folder, "tidemark.schema.json"), "utf8")) as { $id?: string; type?: string };
    expect(schema.type).toBe("object");
    expect(first.out).toContain("Put the password into the file");
    expect((await tidemark("config", "validate")).code).toBe(0);
  });

  it("says of a standby on the same machine that nobody knows its port, and gives it no entry", async () => {
    const { code, out } = await tidemark("init", "--yes", "--dry-run", primaryUrl());
    expect(code).toBe(0);
    expect(joined(out)).toContain(
      `${TEST_STANDBY} streams from the same machine, and PostgreSQL does not say on which port it listens; --standby ${TEST_STANDBY}=host:port tells it.`,
    );
    expect(Object.values(configOf(out).observed)[0]?.copies).toHaveLength(1);
    expect(await readdir(folder)).toEqual([]);
  });

  it("writes the password to a file of mode 0600 when it is named, and replaces none", async () => {
    const args = ["init", "--yes", "--force", "--password-file", "own/monitor.password", primaryUrl()];
    expect((await tidemark(...args)).code).toBe(0);
    const file = join(folder, "own", "monitor.password");
    expect(await readFile(file, "utf8")).toBe(`${TEST_PASSWORD}\n`);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "own"))).mode & 0o777).toBe(0o700);
    expect(await readFile(join(folder, "tidemark.yaml"), "utf8")).toContain("passwordFile: own/monitor.password");
    await writeFile(file, "another\n");
    const again = await tidemark(...args);
    expect(again.code).toBe(0);
    expect(again.out).toContain("is there already and was left as it is");
    expect(await readFile(file, "utf8")).toBe("another\n");
  });

  it.each([
    [
      "HUSH_CIPHER=hush pgbackrest --stanza=shop-main archive-push %p",
      { name: "backups", source: { kind: "pgbackrest", stanza: "shop-main" } },
    ],
    ['barman-wal-archive -U hush backup1 shop-server "%p"', { name: "backups", source: { kind: "barman", server: "shop-server" } }],
  ])("names the repository that archive_command hands WAL to, and takes nothing else from its text: %s", async (command, copy) => {
    await change(sql, { archive_command: command });
    try {
      const { out } = await tidemark("init", "--yes", "--dry-run", "--service", "shop", primaryUrl());
      expect(configOf(out).observed["shop-db"]?.copies.at(-1)).toMatchObject({ ...copy, domain: {} });
      expect(out).not.toContain("hush");
    } finally {
      await change(sql, { archive_command: "" });
    }
  });

  it("tells a standby from what else answers at its address, and from what does not answer", async () => {
    await using other = await startPrimary();
    const stranger = await tidemark(
      "init",
      "--yes",
      "--dry-run",
      "--standby",
      `${TEST_STANDBY}=127.0.0.1:${other.connection.port}`,
      primaryUrl(),
    );
    expect(joined(stranger.out)).toContain(`what answers at 127.0.0.1:${other.connection.port} is another cluster`);
    expect(Object.values(configOf(stranger.out).observed)[0]?.copies).toHaveLength(1);
    const silent = await tidemark("init", "--yes", "--dry-run", "--standby", `${TEST_STANDBY}=127.0.0.1:1`, primaryUrl());
    expect(silent.out).toContain("# It did not answer:");
    expect(Object.values(configOf(silent.out).observed)[0]?.copies).toHaveLength(2);
  });

  it("says of a standby that its primary knows of the others", async () => {
    const { out } = await tidemark("init", "--yes", "--dry-run", urlOf(pair.standby.connection));
    expect(out).toContain("# A standby when this was written: give its primary to `tidemark init`");
    expect(Object.values(configOf(out).observed)[0]?.copies).toHaveLength(1);
  });

  it("says what was done as JSON, and what was given in business units", async () => {
    const { code, out } = await tidemark(
      "init",
      "--json",
      "--tier",
      "critical",
      "--rpo",
      "10s",
      "--unit",
      "orders",
      "--per-hour",
      "1200",
      "--revenue",
      "EUR:24000",
      "--canary",
      "--service",
      "shop",
      "--standby",
      standbyPlace(),
      primaryUrl(),
    );
    expect(code).toBe(0);
    const done = JSON.parse(out) as { formatVersion: number; file: string; written: boolean; copies: string[]; yaml: string };
    expect(done).toMatchObject({ formatVersion: 1, written: true, copies: [expect.any(String), TEST_STANDBY] });
    expect(await readFile(done.file, "utf8")).toBe(done.yaml);
    const config = configOf(done.yaml);
    expect(config.services["shop"]).toMatchObject({
      tier: "critical",
      objectives: { "process-loss": { rpoMs: 10_000, rtoMs: 300_000 }, "zone-loss": { rpoMs: 10_000 }, "bad-write": { rpoMs: 60_000 } },
      business: { unit: "orders", perHour: 1_200, revenue: { currency: "EUR", perHour: 24_000 } },
    });
    expect(config.observed["shop-db"]?.canary).toBe("write");
    expect(parse(done.yaml)).toMatchObject({ version: 1, name: "shop" });
  });

  it("replaces no file without --force, and asks nobody where nobody is", async () => {
    await writeFile(join(folder, "tidemark.yaml"), "mine\n");
    const there = await tidemark("init", "--yes", primaryUrl());
    expect(there.code).toBe(1);
    expect(there.err).toContain("TM-INIT-EXISTS");
    expect(await readFile(join(folder, "tidemark.yaml"), "utf8")).toBe("mine\n");
    const alone = await tidemark("init", "--out", "other.yaml", primaryUrl());
    expect(alone.code).toBe(64);
    expect(alone.err).toContain("TM-INIT-NO-TERMINAL");
    expect((await tidemark("init", "--yes", "--force", primaryUrl())).code).toBe(0);
    expect(await readFile(join(folder, "tidemark.yaml"), "utf8")).toContain("version: 1");
    expect(await readdir(folder)).toEqual(["tidemark.schema.json", "tidemark.yaml"]);
  });

  it("writes nothing when the server is away, the login is wrong, or what was given contradicts itself", async () => {
    const away = await tidemark("init", "--yes", `postgres://u:${encodeURIComponent(TEST_PASSWORD)}@127.0.0.1:1/d`);
    expect(away.code).toBe(69);
    const wrong = await tidemark("init", "--yes", primaryUrl().replace(encodeURIComponent(TEST_PASSWORD), "wrong"));
    expect(wrong.code).toBe(69);
    const usage = await tidemark("init", "--yes", "--unit", "orders", primaryUrl());
    expect(usage.code).toBe(64);
    expect(await readdir(folder)).toEqual([]);
  });

  it("lets Tidemark run the store where no server is named", async () => {
    const { code, out } = await tidemark("init", "--yes", "--tier", "near-zero");
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining("wrote tidemark.yaml") });
    const config = await loadConfig(join(folder, "tidemark.yaml"));
    expect(Object.keys(config.stores)).toEqual(["main-db"]);
    expect(config.services["main"]?.objectives).toEqual({ "process-loss": { rpoMs: 0, rtoMs: 60_000 } });
  });
});
