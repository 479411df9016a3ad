import swagger from "@fastify/swagger";
import { Redacted } from "@tidemark/kernel/redacted";
import { silentLogger } from "@tidemark/kernel/logger";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { roleServer } from "../cluster/role-server.ts";
import { History } from "../history/history.ts";
import type { WriteLife } from "../metrics/write-life.ts";
import { known, unknown } from "../probes/probe-result.ts";
import type { ScenarioExposure } from "./exposure.ts";
import { exposureOf } from "./exposure-of.ts";
import { addExposureRoutes } from "./exposure-routes.ts";
import { exposureSchema } from "./exposure-schemas.ts";
import { behind, copy, never, NOW_MS, primary, store } from "./testing/sample-facts.ts";

const START_MS = NOW_MS - 3_600_000;
const headers = { authorization: "Bearer secret" };
const life: WriteLife = { id: "w1", store: "db", startMs: 0, passedMs: { accepted: 3 }, end: "given-up" };
const facts = [
  store([primary(), copy({ name: "pg2", domain: { machine: "m2" }, recoveryPoint: behind(2_000) })]),
  store([primary(), copy({ name: "pg2", domain: { machine: "m2" }, recoveryPoint: never })], { store: "dark-db" }),
];
const exposures = exposureOf({
  nowMs: NOW_MS,
  services: {
    orders: {
      stores: ["db"],
      objectives: { "node-loss": { rpoMs: 0, rtoMs: 1 } },
      business: { unit: "orders", perHour: 100, revenue: { currency: "EUR", perHour: 1_000 } },
    },
    dark: {
      stores: ["dark-db"],
      objectives: { "node-loss": { rpoMs: 0, rtoMs: 1 } },
      business: { unit: "orders", perHour: 100, revenue: { currency: "EUR", perHour: 1_000 } },
    },
  },
  stores: new Map(facts.map((one) => [one.store, one])),
});

let server: FastifyInstance;
let history: History;
beforeEach(async () => {
  history = new History(":memory:");
  server = roleServer({ token: new Redacted("secret"), logger: silentLogger, open: new Set() });
  await server.register(swagger, { openapi: { openapi: "3.1.0", info: { title: "Tidemark", version: "1" } } });
  await server.register(async (app) =>
    addExposureRoutes(app, {
      nowMs: () => NOW_MS,
      exposures: () => ({ atMs: NOW_MS, exposures }),
      stores: () => facts,
      history,
      writeLives: async () => ({ sample: [life], slowest: [], unfollowed: 2 }),
    }),
  );
});
afterEach(async () => {
  await server.close();
  history.close();
});

interface Answer {
  readonly exposures: readonly ScenarioExposure[];
  readonly stores: unknown;
}

async function get(url: string): Promise<{ status: number; body: Answer; type: string }> {
  const { statusCode, body, headers: got } = await server.inject({ method: "GET", url, headers });
  return { status: statusCode, body: JSON.parse(body) as Answer, type: String(got["content-type"]) };
}

describe("exposure over HTTP", () => {
  it("is what was reckoned, member by member, and as it is described", async () => {
    const { status, body } = await get("/v1/exposure");
    expect([status, body]).toEqual([200, { atMs: NOW_MS, exposures: JSON.parse(JSON.stringify(exposures)) }]);
    const { properties } = exposureSchema.response[200] as { properties: { exposures: { items: object } } };
    const validate = new Ajv2020({ strict: false }).compile(properties.exposures.items);
    for (const one of body.exposures) expect([validate(one), validate.errors]).toEqual([true, null]);
  });

  it("has no number where nothing is known, and no 0", async () => {
    const { body } = await get("/v1/exposure?service=dark&scenario=node-loss");
    expect(body.exposures).toHaveLength(1);
    const [one] = body.exposures;
    for (const figure of [
      one?.exposureMs,
      one?.bytes,
      one?.transactions,
      one?.recoveryPoint,
      one?.recoveryTimeMs,
      one?.business?.amount,
      one?.business?.revenue?.amount,
    ])
      expect(Object.keys(figure ?? {}).sort()).toEqual(["known", "sinceMs", "why"]);
    expect(one?.judgement).toBe("unknown");
  });

  it("answers with a problem for a service that is not there", async () => {
    expect(await get("/v1/exposure?service=none")).toMatchObject({
      status: 404,
      type: expect.stringContaining("application/problem+json"),
      body: { code: "TM-EXPOSURE-NO-SERVICE", status: 404, hint: expect.any(String) },
    });
  });

  it("shows the copies as they were seen, and writes with their spans", async () => {
    expect((await get("/v1/copies")).body.stores).toEqual(JSON.parse(JSON.stringify(facts)));
    expect((await get("/v1/write-lives")).body).toMatchObject({
      sample: [{ id: "w1", spans: [{ name: "tidemark.write" }, { name: "tidemark.write.accept" }] }],
      unfollowed: 2,
    });
  });

  it("asks for the token", async () => {
    expect((await server.inject({ method: "GET", url: "/v1/exposure" })).statusCode).toBe(401);
  });

  it("is described for OpenAPI, every route of it", async () => {
    await server.ready();
    const { paths } = server.swagger() as { paths: Record<string, { get: { responses: Record<string, object> } }> };
    expect(Object.keys(paths).toSorted()).toEqual(["/v1/copies", "/v1/exposure", "/v1/history", "/v1/history/series", "/v1/write-lives"]);
    expect(Object.keys(paths["/v1/history"]?.get.responses ?? {})).toEqual(["200", "404", "422", "503"]);
  });
});

describe("history over HTTP", () => {
  const name = { metric: "tidemark_exposure_seconds", labels: { service: "orders", scenario: "node-loss" } };
  const url = "/v1/history?metric=tidemark_exposure_seconds&label.service=orders&label.scenario=node-loss";

  beforeEach(() => {
    const series = history.series(name) ?? 0;
    const at = { atMs: 0, method: "canary" as const, errorMs: 0 };
    history.record(START_MS, [{ series, figure: known(0, at) }]);
    history.record(START_MS + 1_000, [{ series, figure: unknown("away", 0) }]);
    history.record(START_MS + 3_000, [{ series, figure: known(4, at) }]);
  });

  it("tells 0 from not known and from a gap, all the way", async () => {
    expect(await get(`${url}&from=${START_MS}&to=${START_MS + 4_000}&points=4`)).toMatchObject({
      status: 200,
      body: {
        ...name,
        resolution: "seconds",
        stepMs: 1_000,
        startMs: START_MS,
        min: [0, null, null, 4],
        max: [0, null, null, 4],
        mean: [0, null, null, 4],
        known: [1, 0, 0, 1],
        unknown: [0, 1, 0, 0],
      },
    });
    expect((await get(`${url}&from=${START_MS}&to=${START_MS + 4_000}&points=1`)).body).toMatchObject({
      min: [0],
      max: [4],
      mean: [2],
      known: [2],
      unknown: [1],
    });
  });

  it("is of the last hour in 600 points unless something else is asked for, in milliseconds or ISO 8601", async () => {
    expect((await get(url)).body).toMatchObject({ startMs: START_MS, stepMs: 10_000 });
    const iso = new Date(START_MS).toISOString();
    expect((await get(`${url}&from=${iso}&points=60`)).body).toMatchObject({ startMs: START_MS, stepMs: 60_000 });
  });

  it("lists its series by metric and label", async () => {
    expect((await get("/v1/history/series?label.service=orders")).body).toEqual({ series: [name], writing: true });
    expect((await get("/v1/history/series?metric=other")).body).toEqual({ series: [], writing: true });
  });

  it.each([
    ["/v1/history", 422, "TM-HISTORY-RANGE"],
    ["/v1/history?metric=none", 404, "TM-HISTORY-NO-SERIES"],
    [`${url}&from=5&to=4`, 422, "TM-HISTORY-RANGE"],
    [`${url}&from=yesterday`, 422, "TM-HISTORY-RANGE"],
    [`${url}&points=many`, 422, "TM-HISTORY-RANGE"],
    [`${url}&points=10001`, 422, "TM-HISTORY-RANGE"],
    [`${url}&metric=twice`, 422, "TM-HISTORY-RANGE"],
    [`${url}&to=99999999999999999999`, 422, "TM-HISTORY-RANGE"],
  ])("answers %s with a problem", async (asked, status, code) => {
    expect(await get(asked)).toMatchObject({ status, type: expect.stringContaining("problem+json"), body: { code } });
  });
});
