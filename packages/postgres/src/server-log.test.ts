import { appendFile, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LOGS_KEPT, openServerLog, readLogFrom, rotateServerLog } from "./server-log.ts";

const user = { name: "me", uid: 0, gid: 0, switches: false };

describe("a server's log", () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidemark-log-"));
    path = join(folder, "postgres.log");
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("goes on below the limit and moves aside at it, at a start", async () => {
    await writeFile(path, "old\n");
    await (await openServerLog(path, 5, user)).close();
    expect(await readdir(folder)).toEqual(["postgres.log"]);
    await appendFile(path, "more\n");
    const log = await openServerLog(path, 5, user);
    await log.write("new\n");
    await log.close();
    expect(await readFile(`${path}.1`, "utf8")).toBe("old\nmore\n");
    expect(await readFile(path, "utf8")).toBe("new\n");
  });

  it("is cut while somebody appends to it, who goes on at the new end", async () => {
    const log = await openServerLog(path, 5, user);
    await log.write("first\n");
    expect(await rotateServerLog(path, 5)).toBe(true);
    await log.write("second\n");
    await log.close();
    expect(await readFile(`${path}.1`, "utf8")).toBe("first\n");
    expect(await readFile(path, "utf8")).toBe("second\n");
    expect(await rotateServerLog(path, 100)).toBe(false);
  });

  it("keeps a fixed number of full ones, the newest first", async () => {
    for (let number = 1; number <= LOGS_KEPT + 2; number++) {
      await writeFile(path, `log ${number}\n`);
      await rotateServerLog(path, 1);
    }
    expect((await readdir(folder)).sort()).toEqual([
      "postgres.log",
      ...Array.from({ length: LOGS_KEPT }, (_, index) => `postgres.log.${index + 1}`),
    ]);
    expect(await readFile(`${path}.1`, "utf8")).toBe(`log ${LOGS_KEPT + 2}\n`);
  });

  it("is read from a place on, its end when there is too much, nothing when it is absent", async () => {
    await writeFile(path, "0123456789");
    expect(await readLogFrom(path, 4)).toBe("456789");
    expect(await readLogFrom(path, 0, 3)).toBe("789");
    expect(await readLogFrom(path, 50)).toBe("0123456789");
    expect(await readLogFrom(join(folder, "none"), 0)).toBe("");
  });
});
