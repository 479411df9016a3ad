import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { MARK, OwnProcesses } from "./own-processes.ts";
import { parseStat, readProcess } from "./process-facts.ts";

let folder: string;
const started: ChildProcess[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tidemark-own-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

const WAIT = "process.stdout.write('up');setInterval(() => {}, 1000)";
async function start(args: string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  const child = spawn(process.execPath, ["-e", ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  started.push(child);
  await once(child.stdout, "data");
  return child.pid!;
}

describe("the processes of a proof", () => {
  it("are those that carry its mark, those that name its folder, and their children", async () => {
    const own = new OwnProcesses({ mark: "m-1", folders: () => [folder] });
    const marked = await start([WAIT], { [MARK]: "m-1" });
    const named = await start([WAIT, "--", join(folder, "data")]);
    const parent = await start(
      [
        `const c=require('child_process').spawn(process.execPath,['-e',${JSON.stringify(WAIT)}],{env:{},stdio:['ignore','pipe','inherit']});c.stdout.once('data',()=>process.stdout.write('up'));`,
      ],
      { [MARK]: "m-1" },
    );
    const stranger = await start([WAIT], { [MARK]: "m-2" });
    const mine = own.refresh().map((facts) => facts.pid);
    expect(mine).toEqual(expect.arrayContaining([marked, named, parent]));
    expect(mine).not.toContain(stranger);
    expect(mine).not.toContain(process.pid);
    const child = own.tree(parent)[1];
    expect(child?.parentPid).toBe(parent);
    own.signal(own.tree(parent).slice(0, 1), "SIGKILL");
    // The child has lost its parent and its environment says nothing: it is remembered.
    expect(own.refresh().map((facts) => facts.pid)).toContain(child?.pid);
    await own.end();
    expect(own.refresh()).toEqual([]);
    expect(readProcess(stranger)).toBeDefined();
  });

  it("are ended also when they are held", async () => {
    const own = new OwnProcesses({ mark: "m-3", folders: () => [join(folder, "none")] });
    const pid = await start([WAIT], { [MARK]: "m-3" });
    own.signal(own.tree(pid), "SIGSTOP");
    await own.end();
    expect(own.refresh()).toEqual([]);
  });

  it("are never strangers: a signal to one is refused", async () => {
    const own = new OwnProcesses({ mark: "m-4", folders: () => [join(folder, "none")] });
    const stranger = await start([WAIT]);
    expect(() => own.tree(stranger)).toThrow("not of this proof");
    expect(() => own.signal([readProcess(stranger)!], "SIGKILL")).toThrow("not of this proof");
  });

  it("are named by pid and start time, whatever their name", () => {
    expect(parseStat(7, "7 (a) b (c)) S 3 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2")).toEqual({
      pid: 7,
      parentPid: 3,
      started: "98765",
      state: "S",
    });
    expect(parseStat(7, "7 (cut")).toBeUndefined();
  });
});
