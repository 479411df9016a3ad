import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { freePort } from "@tidemark/postgres/testing/cluster-fixture";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addAlertRoutes } from "../alerts/alert-routes.ts";
import { openJudgement, type OpenJudgement } from "../alerts/open-judgement.ts";
import { copyOfTest, exposureOfTest, storeOfTest } from "../alerts/testing/sample-observation.ts";
import type { AuditRecord } from "../audit/audit-entry.ts";
import { roleServer } from "../cluster/role-server.ts";
import { errorBudgets } from "../slo/error-budget.ts";
import type { ScenarioBudgets } from "../slo/budget-book.ts";
import { recoveryIndicator } from "../slo/recovery-event.ts";
import { runCommandLine } from "./command-line.ts";
import { makePaint } from "./terminal.ts";

const TOKEN = new Redacted("only-for-tests-of-judgement");
const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const me = `user:${userInfo().username}`;

let folder: string;
let clock: ManualClock;
let judgement: OpenJudgement;
let audited: AuditRecord[];
let budgets: ScenarioBudgets[];
let server: FastifyInstance;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-judgement-"));
  clock = new ManualClock(NOW_MS);
  audited = [];
  budgets = [];
  judgement = openJudgement({
    file: ":memory:",
    settings: { services: { orders: { owner: "shop", stores: ["orders-db"] } } },
    receivers: [],
    world: { clock, random: seededRandom(5), logger: silentLogger, audit: { append: async (record) => audited.push(record) } },
  });
  server = roleServer({ token: TOKEN, logger: silentLogger, open: new Set() });
  addAlertRoutes(server, {
    nowMs: () => clock.wallMs(),
    engine: () => judgement.engine,
    budgets: () => ({ atMs: NOW_MS, budgets }),
    runbooks: "docs/runbooks",
  });
  const port = await freePort();
  await server.listen({ host: "127.0.0.1", port });
  await writeFile(join(folder, "token"), `${TOKEN.reveal()}\n`, { mode: 0o600 });
  await writeFile(
    join(folder, "tidemark.yaml"),
    `version: 1
name: judgement-test
services:
  orders: { tier: near-zero, stores: [orders-db], objectives: { node-loss: { rpo: 1s, rto: 5s } } }
stores:
  orders-db:
    kind: postgresql
    database: orders
    user: orders
    nodes: { pg1: { address: 127.0.0.1:1, agent: 127.0.0.1:2 } }
control: { listen: 127.0.0.1:${port}, internalTokenFile: token }
`,
  );
});
afterEach(async () => {
  await server.close();
  judgement.close();
  await rm(folder, { recursive: true, force: true });
});

async function run(args: readonly string[], columns = 80): Promise<{ code: number; out: string; err: string }> {
  const said = { out: [] as string[], err: [] as string[] };
  const terminal = {
    out: (text: string) => void said.out.push(text),
    err: (text: string) => void said.err.push(text),
    paint: makePaint(false),
    columns,
    interactive: false,
  };
  const code = await runCommandLine([...args, "--config", join(folder, "tidemark.yaml")], terminal);
  return { code, out: said.out.join("\n"), err: said.err.join("\n") };
}

function observe(exposureMs: number): void {
  const exposures = [exposureOfTest({ exposureMs, rpoMs: 1_000, atMs: clock.wallMs() })];
  const proof = { atMs: clock.wallMs(), tookMs: 1_000 };
  const copies = [copyOfTest({ name: "pg1", kind: "primary" }), copyOfTest({ name: "pg2", proof })];
  judgement.engine.observe(clock.wallMs(), { exposures, stores: [storeOfTest({ copies })], vaults: [] });
}

const fits = (out: string, columns: number): string[] => out.split("\n").filter((line) => line.length > columns);

describe("tidemark alerts", () => {
  it("ends with 0 when nothing fires", async () => {
    expect(await run(["alerts"])).toEqual({ code: 0, out: "✓ no alerts", err: "" });
  });

  it("shows each alert with its age, its summary, its runbook and its owner, and ends with 1", async () => {
    observe(5_000);
    await clock.advance(90_000);
    const { code, out } = await run(["alerts"]);
    expect(code).toBe(1);
    expect(out).toContain("✗ 1 fires");
    expect(out).toContain("page exposure-above-objective orders node-loss");
    expect(out).toContain("since    firing since 2026-01-02 03:04:05 UTC (1 m 30 s)");
    expect(out).toContain("runbook  docs/runbooks/exposure-above-objective.md");
    expect(out).toContain("owner    shop");
    expect(JSON.parse((await run(["alerts", "--json"])).out)).toMatchObject({ firing: 1, alerts: [{ rule: "exposure-above-objective" }] });
  });

  it("fits a narrow terminal", async () => {
    observe(5_000);
    for (const columns of [40, 60, 80, 200])
      expect(fits((await run(["alerts"], columns)).out.replace(/docs\/runbooks\S+/, ""), columns)).toEqual([]);
  });

  it("shows what began and what is over", async () => {
    observe(5_000);
    for (let second = 0; second < 60; second++) {
      await clock.advance(1_000);
      observe(0);
    }
    const { code, out } = await run(["alerts", "--history", "5"], 120);
    expect(code).toBe(0);
    expect(out.split("\n").map((line) => line.split(/ {2,}/).slice(1, 4))).toEqual([
      ["what", "severity", "alert"],
      ["over", "page", "exposure-above-objective"],
      ["began", "page", "exposure-above-objective"],
    ]);
    expect(await run(["alerts", "--history", "0"])).toMatchObject({ code: 64 });
  });

  it("says that control does not answer, and ends with 69", async () => {
    await server.close();
    const { code, err } = await run(["alerts"]);
    expect(code).toBe(69);
    expect(err).toContain("TM-PLATFORM-CONTROL-AWAY");
    expect(err).not.toContain(TOKEN.reveal());
  });
});

describe("tidemark silence", () => {
  it("says when no alert is under it: a mistyped name silences nothing", async () => {
    observe(5_000);
    const added = await run(["silence", "add", "service=ordres", "--for", "2h", "--why", "moving the database"]);
    expect(added.code).toBe(0);
    expect(added.out).toContain("no alert that is pending or fires is under it now: is each name right?");
  });

  it("adds one with who and why, lists it, and ends it; alerts under it want nobody", async () => {
    observe(5_000);
    const added = await run(["silence", "add", "service=orders", "scenario=node-loss", "--for", "2h", "--why", "moving the database"]);
    expect(added.code).toBe(0);
    expect(added.out).toContain("about service=orders scenario=node-loss");
    expect(added.out).toContain("1 alert under it");
    const [silence] = judgement.engine.silences();
    expect(silence).toMatchObject({ endsAtMs: NOW_MS + 7_200_000, who: me, why: "moving the database" });
    const listed = await run(["silence", "list"]);
    expect(listed).toMatchObject({ code: 0 });
    expect(listed.out).toContain("until 2026-01-02 05:04:05 UTC (in 2 h 0 m)");
    const alerts = await run(["alerts"]);
    expect(alerts.code).toBe(0);
    expect(alerts.out).toContain("✓ 0 fire, 1 silenced");
    expect(alerts.out).toContain(`silenced by ${silence?.id}`);
    expect(await run(["silence", "end", silence?.id ?? "", "--why", "done early", "--who", "jo"])).toMatchObject({ code: 0 });
    expect(judgement.engine.silences()).toEqual([]);
    expect(audited).toMatchObject([{ who: me }, { who: "user:jo", reason: "done early" }]);
    expect(await run(["silence", "list"])).toMatchObject({ code: 0, out: "no silence is in force" });
  });

  it.each([
    ["without an end", ["add", "rule=copy-lost", "--why", "why"], 64],
    ["without a reason", ["add", "rule=copy-lost", "--for", "1h"], 64],
    ["about nothing", ["add", "--for", "1h", "--why", "why"], 64],
    ["about what no alert has", ["add", "colour=red", "--for", "1h", "--why", "why"], 64],
    ["about one thing twice", ["add", "rule=copy-lost", "rule=wal-gap", "--for", "1h", "--why", "why"], 64],
    ["for longer than 30 days", ["add", "rule=copy-lost", "--for", "31d", "--why", "why"], 1],
    ["that is not there, to end it", ["end", "none", "--why", "why"], 1],
  ])("is refused %s", async (_what, args, code) => {
    const result = await run(["silence", ...args]);
    expect(result.code).toBe(code);
    expect(result.err).not.toBe("");
    expect(audited).toEqual([]);
  });
});

describe("tidemark forget-copy", () => {
  it("forgets a copy that was seen, and ends with 1 for one that never was", async () => {
    observe(0);
    expect(await run(["forget-copy", "orders-db/pg2", "--why", "taken away"])).toMatchObject({
      code: 0,
      out: "✓ orders-db/pg2 is not missed any more",
    });
    expect(audited).toMatchObject([{ who: me, action: "forget-copy", subject: "orders-db/pg2", reason: "taken away" }]);
    expect(await run(["forget-copy", "orders-db/pg9", "--why", "taken away"])).toMatchObject({ code: 1 });
    expect(await run(["forget-copy", "orders-db", "--why", "taken away"])).toMatchObject({ code: 64 });
  });
});

describe("tidemark budget", () => {
  const subject = { service: "orders", scenario: "node-loss" as const, objective: { rpoMs: 1_000, rtoMs: 5_000 }, target: 0.999 };
  const windows = (badSeconds: number, sinceMs: number): ScenarioBudgets["windows"] =>
    errorBudgets([{ startMs: NOW_MS - 3_600_000, durationMs: 3_600_000, goodSeconds: 3_600 - badSeconds, badSeconds, unknownSeconds: 0 }], {
      nowMs: NOW_MS,
      sinceMs,
      target: 0.999,
    }).map((budget) => ({ ...budget, recoveries: recoveryIndicator([], { fromMs: 0, toMs: NOW_MS }) }));

  it("shows what is left of each window, and ends with 1 when one is overspent", async () => {
    budgets = [{ ...subject, sinceMs: NOW_MS - 3_600_000, windows: windows(302, NOW_MS - 3_600_000) }];
    const { code, out } = await run(["budget"], 100);
    expect(code).toBe(0);
    expect(out).toContain("orders node-loss RPO 1.00 s in 99.9 % of seconds");
    expect(out).toMatch(/^7 d +50 % /m);
    budgets = [{ ...subject, sinceMs: NOW_MS - 3_600_000, windows: windows(700, NOW_MS - 3_600_000) }];
    expect((await run(["budget"])).code).toBe(1);
    expect(JSON.parse((await run(["budget", "--json"])).out)).toMatchObject({ budgets: [{ service: "orders" }] });
  });

  it("shows unknown where nothing was measured, and no number", async () => {
    budgets = [{ ...subject, windows: windows(0, NOW_MS) }];
    const { code, out } = await run(["budget"], 100);
    expect(code).toBe(0);
    expect(out).toMatch(/^90 d +unknown +unknown /m);
  });

  it("fits a narrow terminal", async () => {
    budgets = [{ ...subject, windows: windows(302, NOW_MS - 3_600_000) }];
    for (const columns of [40, 80]) expect(fits((await run(["budget"], columns)).out, columns)).toEqual([]);
  });
});
