import swagger from "@fastify/swagger";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AuditRecord } from "../audit/audit-entry.ts";
import { roleServer } from "../cluster/role-server.ts";
import { History } from "../history/history.ts";
import { BudgetBook } from "../slo/budget-book.ts";
import { sliceFigure, sliceSeries } from "../slo/slice-history.ts";
import { JudgementService } from "../observer/judgement-service.ts";
import { addAlertRoutes } from "./alert-routes.ts";
import { alertsSchema, budgetsSchema, silencesSchema, transitionsSchema } from "./alert-schemas.ts";
import { openJudgement, type OpenJudgement } from "./open-judgement.ts";
import { copyOfTest, exposureOfTest, storeOfTest } from "./testing/sample-observation.ts";
import { unknown } from "../probes/probe-result.ts";

const NOW_MS = 1_700_000_000_000;
const headers = { authorization: "Bearer secret" };
const nobody = { who: "user:jo", why: "moving the database" };

let clock: ManualClock;
let judgement: OpenJudgement;
let history: History;
let audited: AuditRecord[];
let server: FastifyInstance;

beforeEach(async () => {
  clock = new ManualClock(NOW_MS);
  audited = [];
  judgement = openJudgement({
    file: ":memory:",
    settings: { services: { orders: { owner: "shop", stores: ["orders-db"] } } },
    receivers: [],
    world: {
      clock,
      random: seededRandom(5),
      logger: silentLogger,
      audit: { append: async (record) => audited.push(record) },
    },
  });
  history = new History(":memory:");
  const budgets = new BudgetBook({
    history,
    subjects: () => [{ service: "orders", scenario: "node-loss", objective: { rpoMs: 1_000, rtoMs: 60_000 }, target: 0.999 }],
    recoveries: () => [],
  });
  server = roleServer({ token: new Redacted("secret"), logger: silentLogger, open: new Set() });
  await server.register(swagger, { openapi: { openapi: "3.1.0", info: { title: "Tidemark", version: "1" } } });
  await server.register(async (app) =>
    addAlertRoutes(app, {
      nowMs: () => clock.wallMs(),
      engine: () => judgement.engine,
      budgets: () => budgets.report(clock.wallMs()),
      runbooks: "docs/runbooks",
    }),
  );
});
afterEach(async () => {
  await server.close();
  history.close();
  judgement.close();
});

async function call(method: "GET" | "POST" | "DELETE", url: string, payload?: object): Promise<{ status: number; body: unknown }> {
  const { statusCode, body } = await server.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
  return { status: statusCode, body: body === "" ? undefined : (JSON.parse(body) as unknown) };
}

/** The exposure of the moment is judged. */
function observe(exposureMs: number | undefined): void {
  const exposure = exposureOfTest({ ...(exposureMs === undefined ? {} : { exposureMs }), rpoMs: 1_000, atMs: clock.wallMs() });
  const { service, scenario } = exposure;
  judgement.engine.observe(clock.wallMs(), { exposures: [exposure], stores: [storeOfTest({ atMs: clock.wallMs() })], vaults: [] });
  const figure = sliceFigure(exposure, clock.wallMs());
  const series = history.series(sliceSeries({ service, scenario }));
  if (figure !== undefined && series !== undefined) history.record(clock.wallMs(), [{ series, figure }]);
}

/** What is answered is what is described. */
function described(schema: { response: Readonly<Record<number, object>> }, body: unknown): void {
  const validate = new Ajv2020({ strict: false }).compile(schema.response[200] ?? {});
  expect([validate(body), validate.errors]).toEqual([true, null]);
}

describe("alerts over HTTP", () => {
  it("are those of judgement, with their runbook and the silence that is in force", async () => {
    observe(5_000);
    const { status, body } = await call("GET", "/v1/alerts");
    expect([status, body]).toMatchObject([
      200,
      {
        atMs: NOW_MS,
        firing: 1,
        alerts: expect.arrayContaining([
          expect.objectContaining({
            rule: "exposure-above-objective",
            owner: "shop",
            runbook: "docs/runbooks/exposure-above-objective.md",
            state: "firing",
          }),
        ]) as unknown,
      },
    ]);
    described(alertsSchema, body);
    const made = await call("POST", "/v1/silences", { matchers: { service: "orders" }, forMs: 60_000, ...nobody });
    expect(made).toMatchObject({ status: 201, body: { endsAtMs: NOW_MS + 60_000, who: "user:jo" } });
    const { id } = made.body as { id: string };
    const silenced = (await call("GET", "/v1/alerts")).body as { alerts: { rule: string; silencedBy?: string }[] };
    expect(silenced.alerts.find(({ rule }) => rule === "exposure-above-objective")?.silencedBy).toBe(id);
    described(alertsSchema, silenced);
  });

  it("have their transitions, the newest first, as many as are asked for", async () => {
    observe(5_000);
    for (let second = 0; second < 60; second++) {
      await clock.advance(1_000);
      observe(0);
    }
    const { body } = await call("GET", "/v1/alerts/transitions");
    described(transitionsSchema, body);
    expect(body).toMatchObject({
      transitions: [
        { kind: "resolved", ended: "clear" },
        { kind: "firing", runbook: expect.any(String) as string },
      ],
    });
    expect((await call("GET", "/v1/alerts/transitions?limit=1")).body).toMatchObject({ transitions: [{ kind: "resolved" }] });
    for (const limit of ["0", "1001", "many"])
      expect(await call("GET", `/v1/alerts/transitions?limit=${limit}`)).toMatchObject({
        status: 400,
        body: { code: "TM-CLUSTER-REQUEST" },
      });
  });

  it("ask for the token", async () => {
    for (const url of ["/v1/alerts", "/v1/alerts/transitions", "/v1/silences", "/v1/budgets"])
      expect((await server.inject({ method: "GET", url })).statusCode).toBe(401);
  });
});

describe("silences over HTTP", () => {
  it("begin, are listed, and end, each time with who and why in the audit log", async () => {
    const { body } = await call("POST", "/v1/silences", { matchers: { store: "orders-db" }, endsAtMs: NOW_MS + 5_000, ...nobody });
    const { id } = body as { id: string };
    const listed = await call("GET", "/v1/silences");
    described(silencesSchema, listed.body);
    expect(listed.body).toMatchObject({ silences: [{ id, matchers: { store: "orders-db" } }] });
    expect(await call("DELETE", `/v1/silences/${id}`, { who: "user:al", why: "done early" })).toEqual({ status: 204, body: undefined });
    expect((await call("GET", "/v1/silences")).body).toMatchObject({ silences: [] });
    expect(audited).toMatchObject([
      { who: "user:jo", action: "silence-alerts", reason: "moving the database" },
      { who: "user:al", action: "end-silence", subject: id, reason: "done early" },
    ]);
    expect(await call("DELETE", `/v1/silences/${id}`, nobody)).toMatchObject({ status: 404, body: { code: "TM-ALERT-NO-SILENCE" } });
  });

  it.each([
    ["without an end", { matchers: { rule: "copy-lost" }, ...nobody }, 422],
    ["with two ends", { matchers: { rule: "copy-lost" }, forMs: 1, endsAtMs: NOW_MS + 1, ...nobody }, 422],
    ["with an end in the past", { matchers: { rule: "copy-lost" }, endsAtMs: 5, ...nobody }, 422],
    ["of more than 30 days", { matchers: { rule: "copy-lost" }, forMs: 31 * 86_400_000, ...nobody }, 422],
    ["about everything", { matchers: {}, forMs: 1_000, ...nobody }, 422],
    ["about what no alert has", { matchers: { colour: "red" }, forMs: 1_000, ...nobody }, 422],
    ["about what is no text", { matchers: { rule: 7 }, forMs: 1_000, ...nobody }, 422],
    ["without matchers", { forMs: 1_000, ...nobody }, 400],
    ["without a person", { matchers: { rule: "copy-lost" }, forMs: 1_000, why: "why" }, 400],
    ["without a reason", { matchers: { rule: "copy-lost" }, forMs: 1_000, who: "user:jo" }, 400],
    ["for no number of milliseconds", { matchers: { rule: "copy-lost" }, forMs: "long", ...nobody }, 400],
  ])("are refused %s, and nothing is written down", async (_what, asked, status) => {
    expect(await call("POST", "/v1/silences", asked)).toMatchObject({ status, body: { status, hint: expect.any(String) as string } });
    expect(audited).toEqual([]);
    expect(judgement.engine.silences()).toEqual([]);
  });
});

describe("forgetting a copy over HTTP", () => {
  it("ends its alert, and says whether there was such a copy", async () => {
    const lost = copyOfTest({ name: "pg2", recoveryPoint: unknown("gone", NOW_MS) });
    judgement.engine.observe(NOW_MS, { exposures: [], stores: [storeOfTest()], vaults: [] });
    const alone = storeOfTest({ copies: [copyOfTest({ name: "pg1", kind: "primary" }), lost] });
    for (let second = 1; second <= 62; second++) {
      await clock.advance(1_000);
      judgement.engine.observe(clock.wallMs(), { exposures: [], stores: [alone], vaults: [] });
    }
    const rules = (): string[] => judgement.engine.alerts().map(({ rule }) => rule);
    expect(rules()).toContain("copy-lost");
    expect(await call("POST", "/v1/copies/forget", { store: "orders-db", copy: "pg2", ...nobody })).toEqual({
      status: 200,
      body: { store: "orders-db", copy: "pg2", known: true },
    });
    expect(rules()).not.toContain("copy-lost");
    expect((await call("POST", "/v1/copies/forget", { store: "orders-db", copy: "pg9", ...nobody })).body).toMatchObject({ known: false });
    expect(await call("POST", "/v1/copies/forget", { store: "orders-db", copy: "pg2" })).toMatchObject({ status: 400 });
  });
});

describe("error budgets over HTTP", () => {
  it("are of 7, 28, 30 and 90 days, with what is good, bad and unknown told apart", async () => {
    for (let second = 0; second < 20; second++) {
      observe(second < 14 ? 0 : second < 17 ? 5_000 : undefined);
      await clock.advance(1_000);
    }
    const { body } = await call("GET", "/v1/budgets");
    described(budgetsSchema, body);
    const { budgets } = body as {
      budgets: { sinceMs: number; windows: { days: number; counts: object; spentUnknownSeconds: number }[] }[];
    };
    expect(budgets).toHaveLength(1);
    expect(budgets[0]?.sinceMs).toBe(NOW_MS);
    expect(budgets[0]?.windows.map(({ days }) => days)).toEqual([7, 28, 30, 90]);
    for (const { counts } of budgets[0]?.windows ?? [])
      expect(counts).toEqual({ goodSeconds: 14, badSeconds: 3, unknownSeconds: 3, unseenSeconds: 0, totalSeconds: 20, errorSeconds: 0 });
  });

  it("have no number where nothing was measured", async () => {
    const { body } = await call("GET", "/v1/budgets");
    described(budgetsSchema, body);
    const [first] = (body as { budgets: { sinceMs?: number; windows: Record<string, unknown>[] }[] }).budgets;
    expect(first).not.toHaveProperty("sinceMs");
    for (const window of first?.windows ?? []) {
      expect(window).not.toHaveProperty("indicator");
      expect(window).not.toHaveProperty("left");
    }
  });
});

describe("the API of judgement", () => {
  it("is described for OpenAPI, every route of it", async () => {
    await server.ready();
    const { paths } = server.swagger() as unknown as { paths: Record<string, Record<string, object>> };
    const routes = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
    expect(routes.toSorted()).toEqual([
      "delete /v1/silences/{id}",
      "get /v1/alerts",
      "get /v1/alerts/transitions",
      "get /v1/budgets",
      "get /v1/silences",
      "post /v1/copies/forget",
      "post /v1/silences",
    ]);
  });
});

describe("judgement whose file is not open", () => {
  it("answers 503 with the reason to every question and order, and no empty list", async () => {
    const service = new JudgementService({
      file: "/nowhere/alerts.sqlite",
      settings: { services: {} },
      receivers: [],
      world: { clock, random: seededRandom(5), logger: silentLogger, audit: { append: async () => undefined } },
      history,
      subjects: [],
    });
    await using closed = roleServer({ token: new Redacted("secret"), logger: silentLogger, open: new Set() });
    const parts = { nowMs: () => clock.wallMs(), engine: () => service.engine, runbooks: "docs/runbooks" };
    addAlertRoutes(closed, { ...parts, budgets: () => ({ atMs: NOW_MS, budgets: [] }) });
    const silence = { matchers: { service: "orders" }, untilMs: NOW_MS + 60_000, ...nobody };
    const orders = [
      ["GET", "/v1/alerts", undefined],
      ["GET", "/v1/alerts/transitions", undefined],
      ["GET", "/v1/silences", undefined],
      ["POST", "/v1/silences", silence],
    ] as const;
    for (const [method, url, payload] of orders) {
      const { statusCode, body } = await closed.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
      expect([url, statusCode]).toEqual([url, 503]);
      expect(JSON.parse(body)).toMatchObject({
        code: "TM-ALERT-STORE",
        detail: expect.stringContaining("judgement is not open") as string,
      });
    }
  });
});
