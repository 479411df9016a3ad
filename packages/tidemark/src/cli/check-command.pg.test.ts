// The command as a person runs it: a process, its output, its exit code, its time.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { urlOf } from "../check/testing/checked-server.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/tidemark.mjs", import.meta.url));

async function tidemark(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; out: string; err: string; ms: number }> {
  const began = performance.now();
  const child = spawn(process.execPath, [LAUNCHER, ...args], {
    env: { ...process.env, COLUMNS: "60", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString("utf8")));
  child.stderr.on("data", (bytes: Buffer) => (err += bytes.toString("utf8")));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, out, err, ms: performance.now() - began };
}

let server: TestServer;
beforeAll(async () => {
  server = await startPrimary();
});
afterAll(() => server?.dispose());

describe("tidemark check", () => {
  it("answers within ten seconds, in 60 columns, fails on a critical finding, and repeats no password", async () => {
    // What a busy machine takes to start a process at all is not the check's.
    const started = await tidemark(["check", "postgres://u@127.0.0.1:1/d"]);
    const { code, out, err, ms } = await tidemark(["check", urlOf(server.connection)]);
    expect(err).toBe("");
    expect(code).toBe(1);
    expect(ms - started.ms).toBeLessThan(10_000);
    expect(out).toContain("TM-FINDING-NO-COPY");
    expect(out.split("\n").filter((line) => line.length > 60)).toEqual([]);
    expect(out).not.toContain("only-for-tests");
  });

  it("takes all from the environment, prints JSON, and fails from the severity on that it was told", async () => {
    const { host, port, user, password, database } = server.connection;
    const env = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database };
    const { code, out } = await tidemark(["check", "--json", "--watch", "200ms", "--fail-on", "notice"], env);
    const report = JSON.parse(out) as { version: number; findings: { code: string }[] };
    expect(code).toBe(1);
    expect(report.version).toBe(1);
    expect(report.findings.map((finding) => finding.code)).toContain("TM-FINDING-CHECKED-AS-SUPERUSER");
    expect(out).not.toContain(password);
  });

  it("ends with 69 when the server is away, with 64 for a string that is none, and repeats no password", async () => {
    const away = await tidemark(["check", "postgres://u:hush-hush@127.0.0.1:1/d"]);
    expect(away.code).toBe(69);
    expect(away.err).toContain("TM-CHECK-AWAY");
    const wrong = await tidemark(["check", "postgres://u:hush-hush@h:port/d"]);
    expect(wrong.code).toBe(64);
    const forgotten = await tidemark(["postgres://u:hush-hush@h/d"]);
    expect(forgotten.code).toBe(64);
    const usage = await tidemark(["check", "postgres://u:hush-hush@h/d", "--watch", "1h"]);
    expect(usage.code).toBe(64);
    for (const { out, err } of [away, wrong, forgotten, usage]) expect(out + err).not.toContain("hush-hush");
  });
});
