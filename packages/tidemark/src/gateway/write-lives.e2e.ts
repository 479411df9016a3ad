// The lives of writes on a real stack: two PostgreSQL nodes, a vault with an archive, control and a gateway as processes.
import { execFile } from "node:child_process";
import { chmod, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePorts } from "@tidemark/kernel/platform/free-ports";
import { parseLsn } from "@tidemark/kernel/lsn";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WRITE_STAGES, type WriteLife, type WriteSpan } from "../metrics/write-life.ts";
import { readRunFile, type RunFile } from "../platform/run-file.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));
const NODE = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", MAIN];

type SpannedLife = WriteLife & { readonly spans: readonly WriteSpan[] };

let folder: string;
let run: RunFile;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-lives-"));
  await chmod(folder, 0o755);
  const ports = await freePorts(7);
  const example = await readFile(join(EXAMPLES, "orders.yaml"), "utf8");
  await writeFile(
    join(folder, "tidemark.yaml"),
    example.replaceAll(/127\.0\.0\.1:74\d\d/g, () => `127.0.0.1:${ports.shift()}`).replace("quota: 1GiB", "quota: 64MiB"),
  );
  await cp(join(EXAMPLES, "orders.sql"), join(folder, "orders.sql"));
  const up = await tidemark("up", "--detach");
  expect(up, up.err).toMatchObject({ code: 0 });
  run = (await readRunFile(join(folder, ".tidemark"))) as RunFile;
});
afterAll(async () => {
  await tidemark("down", "--timeout", "60s");
  await rm(folder, { recursive: true, force: true });
});

async function tidemark(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [...NODE, ...args], {
      cwd: folder,
      env: { ...process.env, NO_COLOR: "1" },
    });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

async function secret(name: string): Promise<string> {
  return (await readFile(join(folder, ".tidemark", "secrets", name), "utf8")).trim();
}

async function write(customer: string): Promise<string> {
  const response = await fetch(`${run.gatewayUrl}/v1/writes`, {
    method: "POST",
    headers: { authorization: `Bearer ${await secret("app.token")}`, "content-type": "application/json", prefer: "wait=20" },
    body: JSON.stringify({ command: "place-order", args: { customer, amount_cents: 100 }, idempotencyKey: `order-of-${customer}` }),
  });
  const { id } = (await response.json()) as { id: string };
  expect(response.status).toBe(200);
  return id;
}

/** Until the standby is made and streams: before that there is nothing to see of a write there. */
async function standbyStreams(): Promise<void> {
  await expect
    .poll(async () => JSON.stringify(await ofControl("/v1/stores/orders")), { timeout: 120_000, interval: 200 })
    .toMatch(/"node":"pg2".*"streaming":true/);
}

/** What control says. */
async function ofControl(path: string): Promise<unknown> {
  const response = await fetch(`${run.controlUrl}${path}`, { headers: { authorization: `Bearer ${await secret("internal.token")}` } });
  expect(response.status).toBe(200);
  return response.json();
}

async function lives(): Promise<{ readonly sample: readonly SpannedLife[]; readonly slowest: readonly SpannedLife[] }> {
  return (await ofControl("/v1/write-lives")) as { sample: SpannedLife[]; slowest: SpannedLife[] };
}

describe("the life of a write on a real stack", () => {
  it("has every stage in order, and is over once its WAL is archived", async () => {
    await standbyStreams();
    const beganMs = Date.now();
    const ids = [await write("ann"), await write("bob")];
    await expect
      .poll(async () => (await lives()).sample.map(({ id }) => id).toSorted(), { timeout: 60_000, interval: 200 })
      .toEqual(ids.toSorted());
    for (const life of (await lives()).sample) {
      expect(life).toMatchObject({ store: "orders", end: "complete", timeline: 1 });
      expect(parseLsn(life.lsn ?? "0/0")).toBeGreaterThan(0n);
      const { accepted = 0, journalled = 0, committed = 0, ...copies } = life.passedMs;
      expect(Object.keys(life.passedMs).toSorted()).toEqual([...WRITE_STAGES].toSorted());
      for (const [before, after] of [
        [beganMs - 1, life.startMs],
        [life.startMs, accepted],
        [accepted, journalled],
        [journalled, committed],
        ...Object.values(copies).map((at) => [committed, at]),
        [Math.max(...Object.values(life.passedMs)), Date.now()],
      ] as const)
        expect(after).toBeGreaterThanOrEqual(before);
      expect(life.spans).toHaveLength(WRITE_STAGES.length + 1);
    }
    expect((await lives()).slowest.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });

  it("goes on after control was killed: its archive is seen by the next one", async () => {
    const before = run.roles.find(({ name }) => name === "control")?.pid ?? 0;
    process.kill(before, "SIGKILL");
    const id = await write("cat");
    await expect
      .poll(async () => (await lives().catch(() => ({ sample: [] }))).sample.find((life) => life.id === id)?.end, {
        timeout: 60_000,
        interval: 200,
      })
      .toBe("complete");
  });
});

describe("judgement on a real stack", () => {
  it("answers people: alerts, silences, budgets", async () => {
    const alerts = await tidemark("alerts", "--json");
    expect([0, 1]).toContain(alerts.code);
    expect(JSON.parse(alerts.out)).toMatchObject({ alerts: expect.any(Array) as unknown[], firing: expect.any(Number) as number });
    const added = await tidemark("silence", "add", "store=orders", "--for", "1h", "--why", "a test", "--json");
    expect(added, added.err).toMatchObject({ code: 0 });
    const { id } = JSON.parse(added.out) as { id: string };
    expect((await tidemark("silence", "list")).out).toContain("store=orders");
    expect(await tidemark("silence", "end", id, "--why", "done")).toMatchObject({ code: 0 });
    expect((await tidemark("audit", "show")).out).toContain("end-silence");
    const budget = await tidemark("budget", "--json");
    expect(JSON.parse(budget.out)).toMatchObject({
      budgets: [{ service: "orders", scenario: "process-loss", windows: [{ days: 7 }, { days: 28 }, { days: 30 }, { days: 90 }] }],
    });
  });
});
