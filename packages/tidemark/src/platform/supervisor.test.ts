import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLogger } from "@tidemark/kernel/logger";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { identifyProcess, isAlive } from "./process-identity.ts";
import { readRunFile, writeRunFile, type RunFile } from "./run-file.ts";
import { startStack, type Stack } from "./start-stack.ts";
import type { RoleHappening } from "./supervised-role.ts";
import { fakePlans } from "./testing/fake-plans.ts";

const CONFIG = fileURLToPath(new URL("../../examples/orders.yaml", import.meta.url));
const NODE = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"];

let stateDir: string;
let diary: string;
const stacks: Stack[] = [];
const children: ChildProcess[] = [];

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tidemark-supervisor-"));
  // As root, data would go elsewhere if PostgreSQL's user could not get here, and stay there.
  await chmod(stateDir, 0o755);
  diary = join(stateDir, "diary");
});
afterEach(async () => {
  for (const stack of stacks.splice(0)) {
    stack.hurry();
    await stack.stop();
  }
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(stateDir, { recursive: true, force: true });
});

/** A stack of fake roles, and a way to await what happens to them. */
async function start(
  behaviours: Record<string, string> = {},
): Promise<{ stack: Stack; happens: (role: string, what: RegExp) => Promise<RoleHappening>; past: RoleHappening[] }> {
  const past: RoleHappening[] = [];
  const waiting: { role: string; what: RegExp; resolve: (happening: RoleHappening) => void }[] = [];
  const stack = await startStack({
    configFile: CONFIG,
    stateDir,
    logger: silentLogger,
    checkPorts: () => Promise.resolve(),
    plan: () => fakePlans({ configFile: CONFIG, stateDir, diary, behaviours }),
    onHappening: (happening) => {
      past.push(happening);
      for (const one of waiting) if (one.role === happening.role && one.what.test(happening.what)) one.resolve(happening);
    },
  });
  stacks.push(stack);
  const happens = (role: string, what: RegExp): Promise<RoleHappening> => new Promise((resolve) => waiting.push({ role, what, resolve }));
  return { stack, happens, past };
}

async function entries(): Promise<string[]> {
  return (await readFile(diary, "utf8")).trimEnd().split("\n");
}

async function gone(pids: readonly number[]): Promise<void> {
  const identities = pids.map((pid) => identifyProcess(pid)).filter((identity) => identity !== undefined);
  while (identities.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function runFileWhen(condition: (run: RunFile) => boolean): Promise<RunFile> {
  for (;;) {
    const run = await readRunFile(stateDir);
    if (run !== undefined && condition(run)) return run;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("the supervisor", () => {
  it("runs every role as a process of its own and writes down what runs", async () => {
    const { stack } = await start({ gateway: "child" });
    expect(await stack.settled()).toBeUndefined();
    const run = await runFileWhen(({ state }) => state === "ready");
    expect(run.supervisor.pid).toBe(process.pid);
    expect(run.roles.map(({ name, kind, node, state, restarts, address }) => ({ name, kind, node, state, restarts, address }))).toEqual([
      { name: "control", kind: "control", node: undefined, state: "ready", restarts: 0, address: "127.0.0.1:4242" },
      { name: "agent-pg1", kind: "agent", node: "pg1", state: "ready", restarts: 0, address: "127.0.0.1:4242" },
      { name: "gateway", kind: "gateway", node: undefined, state: "ready", restarts: 0, address: "127.0.0.1:4242" },
      { name: "applier", kind: "applier", node: undefined, state: "ready", restarts: 0, address: undefined },
    ]);
    expect(new Set(run.roles.slice(0, 3).map((role) => role.pid)).size).toBe(3);
    expect(run.roles.every(isAlive)).toBe(true);
  });

  it("starts a killed role again at once, and the others go on", async () => {
    const { stack, happens } = await start();
    await stack.settled();
    const before = stack.roles();
    const again = happens("gateway", /^started again/);
    const ready = happens("gateway", /^ready/);
    const killedAt = performance.now();
    process.kill(before.find((role) => role.name === "gateway")?.pid ?? 0, "SIGKILL");
    await again;
    expect(performance.now() - killedAt).toBeLessThan(1_000);
    await ready;
    const after = stack.roles();
    expect(after.find((role) => role.name === "gateway")).toMatchObject({ state: "ready", restarts: 1 });
    expect(after.filter((role) => role.name !== "gateway").map((role) => role.pid)).toEqual(
      before.filter((role) => role.name !== "gateway").map((role) => role.pid),
    );
  });

  it("pauses longer each time before it starts a role that keeps crashing", async () => {
    const { happens, past } = await start({ gateway: "crash" });
    await happens("gateway", /in 250 ms/);
    expect(
      past
        .filter(({ role, what }) => role === "gateway" && what.startsWith("died"))
        .map(({ what }) => /starting it again (.*?):/.exec(what)?.[1]),
    ).toEqual(["at once", "in 100 ms", "in 250 ms"]);
  });

  it("does not start a role again that says FAIL-STOP, says why, and leaves the others running", async () => {
    const { stack } = await start({ gateway: "fail-stop" });
    expect(await stack.settled()).toMatchObject({
      role: "gateway",
      code: "TM-JOURNAL-DAMAGED",
      message: "open the journal: bytes 4096 to 8191 of segment 3 are damaged",
    });
    expect(stack.roles().find((role) => role.name === "gateway")).toMatchObject({ state: "stopped", pid: 0, restarts: 0 });
    await runFileWhen(
      ({ roles }) =>
        roles.filter((role) => role.state === "ready").length === 2 && roles.some((role) => role.reason?.code === "TM-JOURNAL-DAMAGED"),
    );
  });

  it("stops the gateway first, then the agents, then control, and leaves no run.json", async () => {
    const { stack } = await start();
    await stack.settled();
    await stack.stop();
    expect((await entries()).filter((line) => line.endsWith("ends"))).toEqual(["gateway ends", "agent-pg1 ends", "control ends"]);
    expect(await readRunFile(stateDir)).toBeUndefined();
  });

  it("kills a role that does not stop in its time, and goes on with the next", async () => {
    const { stack, past } = await start({ gateway: "deaf" });
    await stack.settled();
    await stack.stop();
    expect(past.map(({ role, what }) => `${role} ${what}`)).toContain("gateway stopped (SIGKILL)");
    expect((await entries()).at(-1)).toBe("control ends");
  });

  it("refuses a second supervisor on the same state folder, and names the first", async () => {
    const { stack } = await start();
    await stack.settled();
    await expect(start()).rejects.toMatchObject({ code: "TM-PLATFORM-ALREADY-UP", details: { pid: process.pid } });
    expect(stack.roles().every((role) => role.state === "ready")).toBe(true);
  });

  it("goes over a stale run.json whose pid belongs to another process now", async () => {
    await writeRunFile({
      formatVersion: 1,
      supervisor: { pid: process.pid, started: "1" },
      startedAtMs: 1,
      configFile: CONFIG,
      stateDir,
      state: "ready",
      gatewayUrl: "",
      controlUrl: "",
      roles: [{ name: "gateway", kind: "gateway", state: "ready", pid: process.pid, started: "1", startedAtMs: 1, restarts: 0, log: "" }],
    });
    const { stack } = await start();
    expect(await stack.settled()).toBeUndefined();
  });

  it("says so of a run.json that cannot be read", async () => {
    await writeFile(join(stateDir, "run.json"), "{");
    await expect(start()).rejects.toMatchObject({ code: "TM-PLATFORM-RUN-FILE" });
    await rm(join(stateDir, "run.json"));
    expect(await (await start()).stack.settled()).toBeUndefined();
  });
});

describe("a killed supervisor", () => {
  async function startProcess(): Promise<{ child: ChildProcess; pids: number[] }> {
    const child = spawn(
      process.execPath,
      [...NODE, fileURLToPath(new URL("./testing/fake-stack-process.ts", import.meta.url)), CONFIG, stateDir, diary],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    children.push(child);
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    return { child, pids: line.toString().trim().split(" ").slice(1).map(Number) };
  }

  it("leaves roles that notice and stop cleanly by themselves", async () => {
    const { child, pids } = await startProcess();
    expect(pids).toHaveLength(3);
    child.kill("SIGKILL");
    await gone(pids);
    expect((await entries()).filter((line) => line.endsWith("ends")).toSorted()).toEqual([
      "agent-pg1 ends",
      "control ends",
      "gateway ends",
    ]);
    expect(await readRunFile(stateDir)).toBeDefined();
  });

  it("does not keep the next from starting, which first waits for what is left", async () => {
    const { child } = await startProcess();
    child.kill("SIGKILL");
    await once(child, "exit");
    const { stack } = await start();
    expect(await stack.settled()).toBeUndefined();
    const lines = await entries();
    expect(lines.slice(0, 6).filter((line) => line.endsWith("ends"))).toHaveLength(3);
  });

  it("that is stopped instead ends its roles in order", async () => {
    const { child, pids } = await startProcess();
    child.kill("SIGTERM");
    await once(child, "exit");
    await gone(pids);
    expect((await entries()).filter((line) => line.endsWith("ends"))).toEqual(["gateway ends", "agent-pg1 ends", "control ends"]);
  });
});
