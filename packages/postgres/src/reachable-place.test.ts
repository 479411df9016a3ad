import { access, chmod, chown, lstat, mkdir, mkdtemp, readlink, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { canEnter, reachablePlace } from "./reachable-place.ts";
import { choosePostgresUser, serverEnvironment } from "./unprivileged-user.ts";

const isRoot = process.getuid?.() === 0;

describe("the user that PostgreSQL runs as", () => {
  it("is who we are when we are not root, without a change", () => {
    const user = choosePostgresUser({});
    expect(user.switches).toBe(isRoot);
    expect(user.uid).not.toBe(0);
  });

  it.runIf(isRoot)("is the one that TIDEMARK_PG_USER names; root and nobody known are refused with a code", () => {
    expect(choosePostgresUser({ TIDEMARK_PG_USER: "nobody" })).toMatchObject({ name: "nobody", switches: true });
    for (const name of ["root", "no-such-user-here", "-u", "a b"]) {
      expect(() => choosePostgresUser({ TIDEMARK_PG_USER: name })).toThrow(expect.objectContaining({ code: "TM-PG-USER" }));
    }
  });

  it("gets an environment in which no PG variable of the caller steers the server", () => {
    const env = serverEnvironment(choosePostgresUser({}), {
      PATH: "/bin",
      PGDATA: "/x",
      PGPORT: "1",
      NODE_OPTIONS: "--inspect",
      LANG: "de_DE.UTF-8",
    });
    expect(env).toMatchObject({ PATH: "/bin", LC_ALL: "C", LANG: "C" });
    for (const name of ["PGDATA", "PGPORT", "NODE_OPTIONS"]) expect(env).not.toHaveProperty(name);
  });
});

describe("a reachable place", () => {
  let folder: string;
  const moved: string[] = [];

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), "tidemark-place-")));
    await chmod(folder, 0o755);
  });

  afterEach(async () => {
    for (const path of [folder, ...moved.splice(0)]) await rm(path, { recursive: true, force: true });
  });

  it("is the wanted one where nothing is in the way: made, owned by the user, mode 0700, the same every time", async () => {
    const user = choosePostgresUser();
    const wanted = join(folder, "a", "b");
    for (let time = 0; time < 2; time++) expect(await reachablePlace(wanted, user)).toEqual({ path: wanted, moved: false });
    const facts = await stat(wanted);
    expect([facts.uid, facts.mode & 0o777]).toEqual([user.uid, 0o700]);
  });

  it.runIf(isRoot)("can be reached also when a strict umask would close the folders made on the way", async () => {
    const user = choosePostgresUser();
    const before = process.umask(0o077);
    try {
      const place = await reachablePlace(join(folder, "a", "b", "c"), user);
      expect([place.moved, await canEnter(place.path, user)]).toEqual([false, true]);
    } finally {
      process.umask(before);
    }
  });

  describe.runIf(isRoot)("below a folder of mode 0700", () => {
    const user = choosePostgresUser();

    beforeEach(async () => {
      await mkdir(join(folder, "home", "clone"), { recursive: true });
      await chmod(join(folder, "home"), 0o700);
    });

    it("is elsewhere, owned by the user, and a link stands where it was wanted", async () => {
      const wanted = join(folder, "home", "clone", ".tidemark");
      expect(await canEnter(join(folder, "home", "clone"), user)).toBe(false);
      const place = await reachablePlace(wanted, user);
      moved.push(place.path);
      expect(place.moved).toBe(true);
      expect(await canEnter(place.path, user)).toBe(true);
      const facts = await lstat(place.path);
      expect([facts.isDirectory(), facts.uid, facts.mode & 0o777]).toEqual([true, user.uid, 0o700]);
      expect(await readlink(wanted)).toBe(place.path);
      expect(await reachablePlace(wanted, user)).toEqual(place);
    });

    it("stays the moved one when the folder above is opened later: the data must not look empty", async () => {
      const wanted = join(folder, "home", "clone", ".tidemark");
      const place = await reachablePlace(wanted, user);
      moved.push(place.path);
      await chmod(join(folder, "home"), 0o755);
      expect(await reachablePlace(wanted, user)).toEqual(place);
    });

    it("is another one once its link was removed: old data beside a new journal would be a contradiction", async () => {
      const wanted = join(folder, "home", "clone", ".tidemark");
      const old = await reachablePlace(wanted, user);
      moved.push(old.path);
      await writeFile(join(old.path, "PG_VERSION"), "18\n");
      await rm(wanted);
      await mkdir(wanted);
      const place = await reachablePlace(wanted, user);
      moved.push(place.path);
      expect(place.path).not.toBe(old.path);
      expect(await readlink(wanted)).toBe(place.path);
      await access(join(old.path, "PG_VERSION"));
    });

    it("is one place for all who ask at the same time", async () => {
      const wanted = join(folder, "home", "clone", ".tidemark");
      const places = await Promise.all(Array.from({ length: 8 }, () => reachablePlace(wanted, user)));
      moved.push(await readlink(wanted));
      expect(new Set(places.map(({ path }) => path))).toEqual(new Set([await readlink(wanted)]));
    });

    it("is refused when data lies in the wanted folder already: a new place would look empty", async () => {
      const wanted = join(folder, "home", "clone", "data");
      await mkdir(wanted);
      await writeFile(join(wanted, "PG_VERSION"), "18\n");
      await expect(reachablePlace(wanted, user)).rejects.toMatchObject({ code: "TM-PG-UNREACHABLE" });
      await symlink(wanted, `${wanted}-link`);
      await expect(reachablePlace(`${wanted}-link`, user)).rejects.toMatchObject({ code: "TM-PG-UNREACHABLE" });
    });
  });

  it.runIf(isRoot)("is never somebody else's folder, a link of his, or a file", async () => {
    const user = choosePostgresUser({ TIDEMARK_PG_USER: "nobody" });
    const wanted = join(folder, "taken");
    await mkdir(wanted);
    await chown(wanted, 4711, 4711);
    await expect(reachablePlace(wanted, user)).rejects.toMatchObject({ code: "TM-PG-DATA-DIR" });
    await rm(wanted, { recursive: true });
    await writeFile(wanted, "");
    await expect(reachablePlace(wanted, user)).rejects.toMatchObject({ code: "TM-PG-DATA-DIR" });
    await rm(wanted);
    await mkdir(join(folder, "elsewhere"));
    await writeFile(join(folder, "elsewhere", "important"), "");
    await symlink(join(folder, "elsewhere"), wanted);
    await expect(reachablePlace(wanted, user)).rejects.toMatchObject({ code: "TM-PG-DATA-DIR" });
    await access(join(folder, "elsewhere", "important"));
  });
});
