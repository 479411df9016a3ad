import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statfsSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { folderError } from "./folder-errors.ts";
import { openFolderStore } from "./folder-store.ts";
import type { ObjectStore } from "./object-store.ts";
import { objectBody } from "./testing/object-body.ts";
import { codeOf, storeWorld, temporaryFolder } from "./testing/store-world.ts";

const removals: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const remove of removals.splice(0)) await remove();
});

async function folder(): Promise<string> {
  const made = await temporaryFolder();
  removals.push(made.remove);
  return made.path;
}

const open = (directory: string, world = storeWorld()): Promise<ObjectStore> => openFolderStore({ kind: "folder", directory }, world);
const putProcess = fileURLToPath(new URL("testing/put-process.ts", import.meta.url));
const nodeFlags = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"];

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("")) keys.push(key);
  return keys;
}

/** Bytes that this process had the disk read. */
function bytesFromDisk(): number {
  return Number(/^read_bytes: (\d+)$/m.exec(readFileSync("/proc/self/io", "latin1"))?.[1]);
}

function canMount(): boolean {
  try {
    execFileSync("unshare", ["-m", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Where temporary files lie in memory there is no disk to read from. */
const temporaryIsMemory = statfsSync(tmpdir()).type === 0x0102_1994;

describe("a folder as an object store", () => {
  it.skipIf(temporaryIsMemory)("reads from the disk what it has just written, not from the page cache (trap 14)", async () => {
    const store = await open(await folder());
    expect(store.abilities.coldReads).toBe(true);
    const body = randomBytes(8 * 1_048_576);
    await store.put("fresh", body);
    const before = bytesFromDisk();
    expect(Buffer.compare(await store.get("fresh"), body)).toBe(0);
    expect(bytesFromDisk() - before).toBeGreaterThanOrEqual(body.length);
  });

  it("says so when it reads through the page cache, because the file system cannot do otherwise", async () => {
    if (!existsSync("/dev/shm")) return;
    const world = storeWorld();
    const directory = join("/dev/shm", `tidemark-objects-${randomBytes(6).toString("hex")}`);
    removals.push(async () => {
      const { rm } = await import("node:fs/promises");
      await rm(directory, { recursive: true, force: true });
    });
    const store = await open(directory, world);
    expect(store.abilities.coldReads).toBe(false);
    expect(world.lines.join()).toContain("through the page cache");
    await store.put("a", randomBytes(10_000));
    expect((await store.get("a")).length).toBe(10_000);
  });

  it("makes its folder, but not what it lies in: that would be an archive beside the disk that was meant", async () => {
    const directory = await folder();
    await open(join(directory, "archive"));
    expect(await codeOf(open(join(directory, "not-mounted", "archive")))).toBe("TM-OBJECT-NO-STORE");
    expect(await codeOf(openFolderStore({ kind: "folder", directory: join(directory, "absent") }, storeWorld(), "read"))).toBe(
      "TM-OBJECT-NO-STORE",
    );
    writeFileSync(join(directory, "file"), "x");
    expect(await codeOf(open(join(directory, "file")))).toBe("TM-OBJECT-NO-STORE");
  });

  it("stops when its folder is another one than when it was opened: a disk that was unmounted is no empty store", async () => {
    const directory = await folder();
    const root = join(directory, "archive");
    const store = await open(root);
    await store.put("a", randomBytes(10));
    renameSync(root, join(directory, "elsewhere"));
    const works = [
      () => store.get("a"),
      () => store.head("a"),
      () => store.put("b", randomBytes(1)),
      () => store.delete("a"),
      () => keysOf(store),
    ];
    for (const work of works) expect(await codeOf(work())).toBe("TM-OBJECT-NO-STORE");
    mkdirSync(root);
    for (const work of works) expect(await codeOf(work())).toBe("TM-OBJECT-NO-STORE");
  });

  it("follows no symbolic link out of the store", async () => {
    const directory = await folder();
    const outside = join(directory, "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "secret"), "secret");
    const store = await open(join(directory, "archive"));
    await store.put("real/object", randomBytes(10));
    symlinkSync(outside, join(directory, "archive", "linked"));
    symlinkSync(join(outside, "secret"), join(directory, "archive", "real", "file"));
    for (const work of [
      () => store.get("linked/secret"),
      () => store.head("linked/secret"),
      () => store.put("linked/new", randomBytes(1)),
      () => store.put("linked/deep/new", randomBytes(1)),
      () => store.delete("linked/secret"),
      () => store.get("real/file"),
    ])
      expect(await codeOf(work())).toBe("TM-OBJECT-STORE-DENIED");
    expect(await store.head("real/file")).toBeUndefined();
    expect(await keysOf(store)).toEqual(["real/object"]);
    expect(readdirSync(outside)).toEqual(["secret"]);
    // Replacing a link replaces the link, never what it leads to.
    await store.put("real/file", randomBytes(3));
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("secret");
  });

  it("says that a key names a folder, or a part of another key", async () => {
    const store = await open(await folder());
    await store.put("a/b", randomBytes(1));
    for (const work of [
      () => store.put("a", randomBytes(1)),
      () => store.put("a", randomBytes(1), { ifAbsent: true }),
      () => store.put("a/b/c", randomBytes(1)),
    ])
      expect(await codeOf(work())).toBe("TM-OBJECT-KEY");
    expect(await keysOf(store)).toEqual(["a/b"]);
  });

  it("passes over files that are no objects", async () => {
    const directory = await folder();
    const store = await open(directory);
    await store.put("a", randomBytes(1));
    writeFileSync(join(directory, ".DS_Store"), "x");
    writeFileSync(join(directory, "with space"), "x");
    mkdirSync(join(directory, "lost+found"), { mode: 0o000 });
    expect(await keysOf(store)).toEqual(["a"]);
  });

  it("clears away what interrupted puts left, and nothing of those that are under way", async () => {
    const directory = await folder();
    await open(directory);
    const own = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
    const gone = spawn(process.execPath, ["-e", ""]);
    await once(gone, "exit");
    const file = (machine: string, pid: number | undefined, ageMs: number): string => {
      const name = `put-${machine}-${pid}-${randomBytes(8).toString("hex")}`;
      const path = join(directory, ".tidemark", name);
      writeFileSync(path, "half");
      const seconds = (Date.now() - ageMs) / 1_000;
      utimesSync(path, seconds, seconds);
      return name;
    };
    const kept = [file(own, process.pid, 7_200_000), file("00000000", 1, 60_000)];
    file(own, gone.pid, 0);
    file("00000000", 1, 7_200_000);
    await open(directory);
    expect(readdirSync(join(directory, ".tidemark")).sort()).toEqual(kept.sort());
  });

  it("leaves no temporary file behind a put that failed", async () => {
    const directory = await folder();
    const store = await open(directory);
    await store.put("a/b", randomBytes(1));
    await codeOf(store.put("a/b/c", randomBytes(1)));
    await codeOf(store.put("a/b", randomBytes(1), { ifAbsent: true }));
    await codeOf(store.put("x", randomBytes(1), { signal: AbortSignal.abort(new Error("no")) }));
    expect(readdirSync(join(directory, ".tidemark"))).toEqual([]);
  });

  it("says that it is denied where it may not write", async () => {
    const directory = await folder();
    const store = await open(directory);
    await store.put("a/b", randomBytes(1));
    chmodSync(join(directory, "a"), 0o500);
    const asRoot = process.getuid?.() === 0;
    if (asRoot) {
      for (const path of ["", ".tidemark", "a", "a/b"]) chownSync(join(directory, path), 65_534, 65_534);
      process.seteuid?.(65_534);
    }
    try {
      expect(await codeOf(store.put("a/c", randomBytes(1)))).toBe("TM-OBJECT-STORE-DENIED");
      expect(await codeOf(store.delete("a/b"))).toBe("TM-OBJECT-STORE-DENIED");
    } finally {
      if (asRoot) process.seteuid?.(0);
      chmodSync(join(directory, "a"), 0o700);
    }
  });

  it("has whole objects only, and each that it told of, whenever it is killed", async () => {
    const directory = await folder();
    const size = 300_000;
    const told = new Set<string>();
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, [...nodeFlags, putProcess, directory, "endless", String(size)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const exited = once(child, "exit");
      let said = "";
      await new Promise<void>((resolve) => {
        child.stdout.on("data", (chunk: Buffer) => {
          said += chunk.toString();
          if (said.split("\n").length > 12 + 9 * round) resolve();
        });
      });
      child.kill("SIGKILL");
      await exited;
      for (const [, key] of said.matchAll(/^put (\S+)$/gm)) told.add(key ?? "");
    }
    const store = await open(directory);
    expect(readdirSync(join(directory, ".tidemark"))).toEqual([]);
    const there = await keysOf(store);
    for (const key of there) expect(Buffer.compare(await store.get(key), objectBody(key, size))).toBe(0);
    expect(told.size).toBeGreaterThan(20);
    expect([...told].filter((key) => !there.includes(key))).toEqual([]);
  });

  it.skipIf(!canMount())("stops when the disk is full, keeps what it has whole, and goes on when there is room", async () => {
    const directory = await folder();
    const script = `mount -t tmpfs -o size=2m tmpfs "${directory}" && exec "$0" "$@"`;
    const said = execFileSync(
      "unshare",
      ["-m", "sh", "-c", script, process.execPath, ...nodeFlags, putProcess, directory, "fill", "300000"],
      { encoding: "utf8" },
    );
    const lines = said.trim().split("\n");
    expect(lines[0]).toBe("opened cached");
    const puts = lines.filter((line) => line.startsWith("put ")).length;
    expect(lines.filter((line) => line.startsWith("error "))).toEqual(["error TM-OBJECT-STORE-FULL"]);
    expect(lines.filter((line) => line.startsWith("whole "))).toHaveLength(puts - 1);
    expect(lines.filter((line) => line.startsWith("broken "))).toEqual([]);
  });

  it.each([
    ["ENOSPC", "TM-OBJECT-STORE-FULL"],
    ["EDQUOT", "TM-OBJECT-STORE-FULL"],
    ["EACCES", "TM-OBJECT-STORE-DENIED"],
    ["EROFS", "TM-OBJECT-STORE-DENIED"],
    ["EIO", "TM-OBJECT-STORE-FAULT"],
    ["EUCLEAN", "TM-OBJECT-STORE-FAULT"],
    ["ESTALE", "TM-OBJECT-NO-STORE"],
    ["EMFILE", "TM-OBJECT-STORE-AWAY"],
  ])("calls %s %s", (errno, code) => {
    const error = Object.assign(new Error("x"), { code: errno, syscall: "write" });
    expect(folderError(error, "store a")).toMatchObject({ code });
  });
});
