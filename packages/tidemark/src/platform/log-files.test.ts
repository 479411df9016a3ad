import { appendFile, mkdtemp, open, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { rotateLog } from "./log-files.ts";

describe("the logs of roles", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidemark-logs-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("are put aside at their limit, and only the newest are kept", async () => {
    const file = join(folder, "gateway.log");
    for (const line of ["one", "two", "three", "four", "five"]) {
      await appendFile(file, `${line}\n`.repeat(10));
      expect(await rotateLog(file, 1_000)).toBe(false);
      expect(await rotateLog(file, 10)).toBe(true);
    }
    expect((await readdir(folder)).toSorted()).toEqual(["gateway.log", "gateway.log.1", "gateway.log.2", "gateway.log.3"]);
    expect((await readFile(`${file}.1`, "utf8")).slice(0, 5)).toBe("five\n");
    expect((await readFile(`${file}.3`, "utf8")).slice(0, 6)).toBe("three\n");
  });

  it("go on at their beginning for a role that holds them open", async () => {
    const file = join(folder, "gateway.log");
    const held = await open(file, "a");
    await held.write("before\n".repeat(100));
    await rotateLog(file, 10);
    await held.write("after\n");
    await held.close();
    expect(await readFile(file, "utf8")).toBe("after\n");
  });

  it("that are not there are no fault", async () => {
    expect(await rotateLog(join(folder, "none.log"), 10)).toBe(false);
  });
});
