// A stalled standby that nothing waits for, in a store that is written through the gateway alone, with a journal on a third machine.
import { execFile } from "node:child_process";
import { chmod, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePorts } from "@tidemark/kernel/platform/free-ports";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import { readRunFile, type RunFile } from "../platform/run-file.ts";
import type { CopyFacts, StoreFacts } from "../probes/probe-result.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));
const RPO_MS = 5_000;
const KEY = "    writes: gateway\n";

let folder: string;
let configFile: string;
let run: RunFile;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-journal-copy-"));
  await chmod(folder, 0o755);
  configFile = join(folder, "tidemark.yaml");
  const ports = await freePorts(6);
  const example = await readFile(join(EXAMPLES, "asynchronous.yaml"), "utf8");
  const config = example
    .replaceAll(/127\.0\.0\.1:74\d\d/g, () => `127.0.0.1:${ports.shift()}`)
    .replace("quota: 1GiB\n  domain: { machine: one }", "quota: 256MiB\n  domain: { machine: three }")
    .replace("    required: 0\n", `${KEY}    required: 0\n`);
  expect(config).toContain("machine: three");
  expect(config).toContain(KEY);
  await writeFile(configFile, config);
  await cp(join(EXAMPLES, "orders.sql"), join(folder, "orders.sql"));
  const up = await tidemark("up", "--detach");
  expect(up.code, up.err).toBe(0);
  run = (await readRunFile(join(folder, ".tidemark"))) as RunFile;
});

afterAll(async () => {
  // A process that is held would hold up the end of its server.
  await walReceiver("CONT").catch(() => undefined);
  await tidemark("down", "--timeout", "90s");
  await rm(folder, { recursive: true, force: true });
});

async function tidemark(...args: string[]): Promise<{ code: number; err: string }> {
  try {
    const options = { cwd: folder, env: { ...process.env, NO_COLOR: "1" } };
    await promisify(execFile)(
      process.execPath,
      ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", MAIN, ...args],
      options,
    );
    return { code: 0, err: "" };
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string };
    return { code, err: stderr };
  }
}

/** Holds what receives WAL on the standby, or lets it go. */
async function walReceiver(signal: "STOP" | "CONT"): Promise<void> {
  const command = `pkill -${signal} -P "$(head -n 1 .tidemark/data/pg2/postmaster.pid)" -f walreceiver`;
  await promisify(execFile)("/bin/sh", ["-c", command], { cwd: folder });
}

async function secret(name: string): Promise<string> {
  return (await readFile(join(folder, ".tidemark", "secrets", name), "utf8")).trim();
}

async function ask<T>(path: string): Promise<T | undefined> {
  const headers = { authorization: `Bearer ${await secret("internal.token")}` };
  const response = await fetch(`${run.controlUrl}${path}`, { headers }).catch(() => undefined);
  return response?.ok === true ? ((await response.json()) as T) : undefined;
}

async function nodeLoss(): Promise<ScenarioExposure | undefined> {
  return (await ask<{ exposures: ScenarioExposure[] }>("/v1/exposure?service=orders&scenario=node-loss"))?.exposures[0];
}

async function copyCalled(name: string): Promise<CopyFacts | undefined> {
  const copies = await ask<{ stores: StoreFacts[] }>("/v1/copies");
  return copies?.stores[0]?.copies.find((copy) => copy.name === name);
}

async function until<T>(look: () => Promise<T | undefined>, holds: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await look();
    if (value !== undefined && holds(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function place(customer: string): Promise<void> {
  const response = await fetch(`${run.gatewayUrl}/v1/writes`, {
    method: "POST",
    headers: { authorization: `Bearer ${await secret("app.token")}`, "content-type": "application/json", prefer: "wait=20" },
    body: JSON.stringify({ command: "place-order", args: { customer, amount_cents: 100 }, idempotencyKey: `order-of-${customer}` }),
  });
  expect(response.status).toBe(200);
}

/** Control ends and is started again, with the configuration as it is now. */
async function startControlAgain(): Promise<void> {
  const now = await readRunFile(join(folder, ".tidemark"));
  const pid = now?.roles.find(({ name }) => name === "control")?.pid ?? 0;
  process.kill(pid, "SIGKILL");
  await until(
    () => readRunFile(join(folder, ".tidemark")),
    ({ roles }) => roles.some((role) => role.name === "control" && role.pid !== undefined && role.pid !== pid),
  );
}

const fromJournal = (exposure: ScenarioExposure): boolean => exposure.uses.some(({ copy }) => copy === "gateway/journal");

it("is not exposed through the journal, is as soon as nobody says that all writes go there, and not before the standby is seen to go on", async () => {
  await until(nodeLoss, (exposure) => fromJournal(exposure) && exposure.judgement === "within");
  await walReceiver("STOP");
  await place("ann");
  const standby = await until(
    () => copyCalled("pg2"),
    ({ recoveryPoint }) =>
      recoveryPoint.known && !recoveryPoint.value.complete && recoveryPoint.atMs - recoveryPoint.value.commitMs > 2 * RPO_MS,
  );
  expect(standby.recoveryPoint.known).toBe(true);
  const through = await nodeLoss();
  expect(through).toMatchObject({
    exposureMs: { known: true, value: 0 },
    transactions: { known: true, value: 0 },
    uses: [{ store: "orders", copy: "gateway/journal", onto: "pg2", proven: false }],
    judgement: "within",
  });
  expect(through?.exposureMs.known && through.exposureMs.errorMs).toBeLessThan(RPO_MS);
  expect(through?.notCovered.join(" ")).toContain("that nothing is written past it is only what the configuration says");

  // The same stall, and nobody says it: what the standby lacks would be lost.
  const written = await readFile(configFile, "utf8");
  await writeFile(configFile, written.replace(KEY, ""));
  await startControlAgain();
  const without = await until(nodeLoss, ({ exposureMs }) => exposureMs.known && exposureMs.value > 0);
  expect(without).toMatchObject({ uses: [{ store: "orders", copy: "pg2" }], judgement: "above" });
  expect(without.exposureMs.known && without.exposureMs.value).toBeGreaterThan(2 * RPO_MS);
  const later = await until(
    nodeLoss,
    ({ exposureMs }) => exposureMs.known && without.exposureMs.known && exposureMs.value >= without.exposureMs.value + 2_000,
  );
  expect(later.uses).toEqual(without.uses);

  // Said again. This control never heard what the journal had forgotten before the standby stalled: it does not count on it.
  await writeFile(configFile, written);
  await startControlAgain();
  await until(
    () => copyCalled("gateway/journal"),
    ({ recoveryPoint, pointInTime }) => recoveryPoint.known && pointInTime !== undefined,
  );
  const unsure = await until(nodeLoss, ({ exposureMs }) => exposureMs.known);
  expect(unsure).toMatchObject({ uses: [{ copy: "pg2" }], judgement: "above" });
  expect(unsure.notCovered).toContainEqual(
    "orders/gateway/journal is not counted: it holds writes only, and reaches back to no whole copy that is known to survive.",
  );
  await walReceiver("CONT");
  await until(nodeLoss, (exposure) => fromJournal(exposure) && exposure.exposureMs.known && exposure.exposureMs.value === 0);
});
