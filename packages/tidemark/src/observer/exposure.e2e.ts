// The exposure of a whole stack, with the commands of docs/exposure.md: the standby stalls, the exposure rises second by second, the page reaches
// its receiver, and all of it is over when the standby goes on.
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePorts } from "@tidemark/kernel/platform/free-ports";
import { Redacted } from "@tidemark/kernel/redacted";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { verifyWebhook } from "../alerts/receivers/webhook-signature.ts";
import type { ReceivedNotification } from "../alerts/testing/alert-receiver-server.ts";
import { AlertReceiverServer } from "../alerts/testing/alert-receiver-server.ts";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import { readRunFile } from "../platform/run-file.ts";
import type { StoreFacts } from "../probes/probe-result.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));
const PAGE = fileURLToPath(new URL("../../../../docs/exposure.md", import.meta.url));
const PROMTOOL = "/usr/bin/promtool";
const noPromtool = !existsSync(PROMTOOL) && process.env["TIDEMARK_REQUIRE_PEERS"] !== "1";
const KEY = "k".repeat(40);
const RPO_MS = 5_000;

let folder: string;
let receiver: AlertReceiverServer;
let token: string;
let control: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-exposure-"));
  await chmod(folder, 0o755);
  receiver = await AlertReceiverServer.start();
  const ports = await freePorts(6);
  control = `http://127.0.0.1:${ports[5]}`;
  const example = await readFile(join(EXAMPLES, "asynchronous.yaml"), "utf8");
  const taken = [...ports];
  const told = `\nalerts:\n  receivers:\n    local: { webhook: { url: "${receiver.url}/hook", keyFile: webhook.key } }\n`;
  const config = example.replaceAll(/127\.0\.0\.1:74\d\d/g, () => `127.0.0.1:${taken.shift()}`).replace("quota: 1GiB", "quota: 256MiB");
  await writeFile(join(folder, "tidemark.yaml"), config + told);
  await writeFile(join(folder, "webhook.key"), `${KEY}\n`, { mode: 0o600 });
  await cp(join(EXAMPLES, "orders.sql"), join(folder, "orders.sql"));
  const up = await tidemark("up", "--detach");
  expect(up.code, up.err).toBe(0);
  token = (await readFile(join(folder, ".tidemark", "secrets", "internal.token"), "utf8")).trim();
});

afterAll(async () => {
  // A process that is held would hold up the end of its server.
  await documented("CONT").catch(() => undefined);
  await tidemark("down", "--timeout", "90s");
  await receiver.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function tidemark(...args: string[]): Promise<Ended> {
  try {
    const options = { cwd: folder, env: { ...process.env, NO_COLOR: "1", COLUMNS: "120" } };
    const node = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", MAIN, ...args];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, node, options);
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

/** Runs the command of the page that holds the standby, or lets it go. */
async function documented(signal: "STOP" | "CONT"): Promise<void> {
  const command = (await readFile(PAGE, "utf8")).split("\n").find((line) => line.startsWith(`pkill -${signal} `));
  await promisify(execFile)("/bin/sh", ["-c", command ?? "false"], { cwd: folder });
}

async function ask<T>(path: string): Promise<T | undefined> {
  const response = await fetch(`${control}${path}`, { headers: { authorization: `Bearer ${token}` } }).catch(() => undefined);
  return response?.ok === true ? ((await response.json()) as T) : undefined;
}

async function nodeLoss(): Promise<ScenarioExposure | undefined> {
  return (await ask<{ exposures: ScenarioExposure[] }>("/v1/exposure?service=orders&scenario=node-loss"))?.exposures[0];
}

async function until<T>(look: () => Promise<T | undefined>, holds: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await look();
    if (value !== undefined && holds(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const isNothing = (exposure: ScenarioExposure): boolean => exposure.exposureMs.known && exposure.exposureMs.value === 0;

/** Those of the one rule that the test is about: a machine that is slow to start may have others. */
const pages = (): ReceivedNotification[] => receiver.notifications.filter(({ rule }) => rule === "exposure-above-objective");

describe("the exposure of a stack whose standby stalls", () => {
  it("rises second by second until the page reaches its receiver, and is over when the standby goes on", async () => {
    await until(nodeLoss, isNothing);
    const fromMs = Date.now();
    await documented("STOP");
    await receiver.until(() => pages().length > 0);
    const above = await until(nodeLoss, ({ judgement }) => judgement === "above");
    expect(above.exposureMs.known && above.exposureMs.value).toBeGreaterThan(RPO_MS);
    expect(above.business?.amount.known).toBe(true);
    expect(above.uses).toEqual([{ store: "orders", copy: "pg2", proven: true }]);

    const shown = await tidemark("exposure", "--service", "orders", "--scenario", "node-loss");
    expect(shown.code).toBe(1);
    expect(shown.out).toMatch(/^node-loss +5\.00 s +\S.* above /m);
    expect(shown.out).toContain("From orders/pg2");
    expect((await tidemark("status")).out).toMatch(/orders +node-loss would lose .+ \(5\.00 s allowed\)/);

    // As the history kept it: each second it is larger than in the one before, by what passed.
    const series = "metric=tidemark_exposure_seconds&label.service=orders&label.scenario=node-loss";
    const kept = await ask<{ max: (number | null)[]; stepMs: number }>(`/v1/history?${series}&from=${fromMs}&points=300`);
    expect(kept?.stepMs).toBe(1_000);
    const risen = (kept?.max ?? []).filter((value): value is number => value !== null && value > 1.5);
    expect(risen.length).toBeGreaterThanOrEqual(3);
    expect(risen).toEqual(risen.toSorted((one, other) => one - other));

    await documented("CONT");
    await receiver.until(() => pages().length > 1);
    await until(nodeLoss, isNothing);
    expect(pages().map(({ kind }) => kind)).toEqual(["firing", "resolved"]);
    expect(pages()[1]?.startsAt).toBe(pages()[0]?.startsAt);
    for (const { headers, body } of receiver.requests) {
      const header = String(headers["tidemark-signature"]);
      expect(verifyWebhook({ body, header, key: new Redacted(KEY), nowMs: Date.now() })).toBe("valid");
    }
  });

  it("loses no page and doubles none when control is killed before the receiver has taken it", async () => {
    await until(nodeLoss, isNothing);
    receiver.requests.length = 0;
    let isAway = true;
    receiver.answer = (response) => response.writeHead(isAway ? 503 : 200).end();
    await documented("STOP");
    // The page was tried in vain: it is owed. Control dies with it.
    await receiver.until(() => pages().length > 0);
    const refused = pages().length;
    const run = await readRunFile(join(folder, ".tidemark"));
    process.kill(run?.roles.find(({ name }) => name === "control")?.pid ?? 0, "SIGKILL");
    isAway = false;
    await receiver.until(() => pages().length > refused);
    const taken = pages().at(-1);
    await until(nodeLoss, ({ judgement }) => judgement === "above");
    await documented("CONT");
    await receiver.until(() => pages().some(({ kind }) => kind === "resolved"));
    const byId = new Map(pages().map((page) => [page.id, page.kind]));
    expect([...byId.values()]).toEqual(["firing", "resolved"]);
    expect(taken?.id).toBe(pages()[0]?.id);
    receiver.answer = (response) => response.writeHead(200).end();
  });

  it.skipIf(noPromtool)("is on a page that passes promtool's check, with the metrics of control itself", async () => {
    const page = await (await fetch(`${control}/metrics`, { headers: { authorization: `Bearer ${token}` } })).text();
    expect(execFileSync(PROMTOOL, ["check", "metrics"], { input: page, encoding: "utf8" })).toBe("");
    expect(page).toMatch(/^tidemark_exposure_seconds\{service="orders",scenario="node-loss"\} /m);
    expect(page).toMatch(/^tidemark_cluster_epoch\{store="orders"\} 1$/m);
  });

  it("is described by control's OpenAPI document, and has its facts beside it", async () => {
    const document = await ask<{ paths: Record<string, unknown> }>("/openapi.json");
    expect(Object.keys(document?.paths ?? {})).toEqual(
      expect.arrayContaining(["/v1/exposure", "/v1/copies", "/v1/history", "/v1/history/series", "/v1/write-lives"]),
    );
    const copies = await ask<{ stores: StoreFacts[] }>("/v1/copies");
    expect(copies?.stores[0]?.copies.map(({ name, kind }) => [name, kind])).toEqual([
      ["pg1", "primary"],
      ["pg2", "standby"],
    ]);
  });

  it("writes no secret into any log", async () => {
    const secrets = [KEY, token, (await readFile(join(folder, ".tidemark", "secrets", "orders.password"), "utf8")).trim()];
    for (const name of ["control", "agent-pg1", "agent-pg2", "gateway", "supervisor"]) {
      const log = await readFile(join(folder, ".tidemark", "logs", `${name}.log`), "utf8");
      for (const secret of secrets) expect(log.includes(secret), `${name}.log holds a secret`).toBe(false);
    }
  });
});
