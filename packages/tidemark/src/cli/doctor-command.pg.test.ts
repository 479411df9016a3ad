// The command as a person runs it: a process, its output, its exit code.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { freePort, startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DoctorReport } from "../doctor/doctor-report.ts";
import { configFolder, type ConfigFolder } from "../doctor/testing/examined.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/tidemark.mjs", import.meta.url));

let server: TestServer;
let folder: ConfigFolder;
beforeAll(async () => {
  [server, folder] = await Promise.all([startPrimary(), configFolder()]);
});
afterAll(async () => {
  await Promise.all([server?.dispose(), folder?.[Symbol.asyncDispose]()]);
});

async function doctor(...args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const env = { ...process.env, COLUMNS: "60", TIDEMARK_LOG_LEVEL: "error" };
  const child = spawn(process.execPath, [LAUNCHER, "doctor", ...args], { cwd: folder.path, env, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString("utf8")));
  child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString("utf8")));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, out, err };
}

async function shop(copies: Readonly<Record<string, object>>): Promise<void> {
  await folder.write({
    services: { shop: { tier: "high", why: "a test", stores: ["shop"], objectives: { "node-loss": { rpo: "10s", rto: "15m" } } } },
    stores: { shop: { kind: "observed", copies } },
  });
}

describe("tidemark doctor", () => {
  it("takes tidemark.yaml of the folder, fits in 60 columns, fails on a critical finding, and repeats no password", async () => {
    await shop({ db1: await folder.server(server.connection, { machine: "a1", zone: "a" }) });
    const { code, out, err } = await doctor("--watch", "1s");
    expect(err).toBe("");
    expect(code).toBe(1);
    expect(out).toContain("TM-FINDING-STORE-WITHOUT-COPY");
    expect(out).toContain("shop/db1  PostgreSQL 18");
    expect(out.split("\n").filter((line) => line.length > 60 && !line.includes("tidemark.yaml"))).toEqual([]);
    expect(out).not.toContain(server.connection.password);
  });

  it("prints JSON, and ends with 69 when nothing answers", async () => {
    await shop({ db1: await folder.server({ ...server.connection, port: await freePort(), password: "hush-hush" }) });
    const { code, out } = await doctor("--json", "--watch", "1s");
    expect(code).toBe(69);
    const report = JSON.parse(out) as DoctorReport;
    expect(report).toMatchObject({ version: 1, exposureFrom: "own" });
    expect(report.findings.map((finding) => finding.code)).toContain("TM-FINDING-TARGET-AWAY");
    expect(report.exposure.find(({ scenario }) => scenario === "node-loss")?.exposure).not.toHaveProperty("ms");
    expect(out).not.toContain("hush-hush");
  });

  it("ends with 78 for a configuration with problems, with 64 for wrong use", async () => {
    await folder.write({ services: {}, stores: { shop: { kind: "observed" } } });
    expect((await doctor()).code).toBe(78);
    expect((await doctor("--watch", "1h")).code).toBe(64);
    expect((await doctor("--free-space", "much")).code).toBe(64);
  });
});
