import { describe, expect, it } from "vitest";
import { SCENARIOS } from "../objectives/failure-domain.ts";
import { TIER_SCENARIOS, tierObjective } from "../objectives/tier-objectives.ts";
import type { ServiceConfig } from "./config.ts";
import { checkConfig } from "./load-config.ts";

const STORE = `stores:
  db: { kind: observed, copies: { db1: { postgresql: { address: "db1:5432", user: monitor } } } }
  other: { kind: observed, copies: { db2: { postgresql: { address: "db2:5432", user: monitor } } } }
`;

function check(services: string) {
  return checkConfig(`version: 1\nname: small\nservices:\n${services}${STORE}`, "tidemark.yaml");
}

function servicesOf(services: string): Readonly<Record<string, ServiceConfig>> {
  const checked = check(services);
  if ("problems" in checked) throw new Error(JSON.stringify(checked.problems));
  return checked.config.services;
}

function golden(services: string): string[] {
  const checked = check(services);
  return "problems" in checked
    ? checked.problems.map(({ line, column, code, message, expected }) => `${line}:${column} ${code} ${message} | ${expected}`)
    : [];
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

describe("the objectives of a service", () => {
  it.each([
    ["near-zero", 0, MINUTE_MS],
    ["critical", MINUTE_MS, 5 * MINUTE_MS],
    ["high", 15 * MINUTE_MS, HOUR_MS],
    ["medium", 4 * HOUR_MS, 4 * HOUR_MS],
    ["low", 24 * HOUR_MS, 24 * HOUR_MS],
  ] as const)("are those of the tier %s where nothing is said, at what no copy elsewhere has to be bought for", (tier, rpoMs, rtoMs) => {
    const { objectives } = servicesOf(`  shop: { tier: ${tier}, stores: [db] }\n`)["shop"] ?? {};
    const usual = { rpoMs, rtoMs };
    const badWrite = tier === "near-zero" ? { rpoMs: MINUTE_MS, rtoMs: 5 * MINUTE_MS } : usual;
    expect(objectives).toEqual({ "process-loss": usual, "node-loss": usual, "zone-loss": usual, "bad-write": badWrite });
  });

  it("are judged at the scenarios that are named alone, each figure that is left out being the tier's", () => {
    const { objectives } =
      servicesOf("  shop: { tier: high, stores: [db], objectives: { node-loss: { rpo: 1m }, bad-write: {} } }\n")["shop"] ?? {};
    expect(objectives).toEqual({
      "node-loss": { rpoMs: MINUTE_MS, rtoMs: HOUR_MS },
      "bad-write": { rpoMs: 15 * MINUTE_MS, rtoMs: HOUR_MS },
    });
  });

  it("are never laxer by default than what is written for a larger accident", () => {
    const { objectives } =
      servicesOf("  shop: { tier: low, stores: [db], objectives: { process-loss: {}, zone-loss: { rpo: 10s, rto: 1m } } }\n")["shop"] ?? {};
    expect(objectives?.["process-loss"]).toEqual({ rpoMs: 10_000, rtoMs: MINUTE_MS });
  });

  it("are refused where a default for a larger accident would be stricter than what is written for a smaller one", () => {
    expect(golden("  shop: { tier: critical, stores: [db], objectives: { node-loss: { rpo: 10m, rto: 5m }, zone-loss: {} } }\n")).toEqual([
      "4:100 TM-CONFIG-OBJECTIVE zone-loss allows an rpo of 60000 ms, and node-loss, which it contains, allows 600000 ms | at least the rpo of node-loss, or a smaller one there",
    ]);
  });

  it("need both figures where no tier has a usual one", () => {
    expect(golden("  shop: { tier: high, stores: [db], objectives: { region-loss: { rpo: 1h }, account-loss: {} } }\n")).toEqual([
      "4:51 TM-CONFIG-MISSING-KEY rto of region-loss is missing, and no tier has a usual one there | `rpo` and `rto`",
      "4:77 TM-CONFIG-MISSING-KEY rpo and rto of account-loss are missing, and no tier has a usual one there | `rpo` and `rto`",
    ]);
  });

  it("have a usual figure at exactly the scenarios that the page names", () => {
    expect(SCENARIOS.filter((scenario) => tierObjective("high", scenario) !== undefined)).toEqual(TIER_SCENARIOS);
  });
});

describe("a namespace of a service", () => {
  const SERVICE = `  shop:
    owner: shop
    tier: high
    why: because
    stores: [db]
    objectives: { node-loss: { rpo: 5m, rto: 10m }, zone-loss: { rpo: 5m, rto: 10m } }
    business: { unit: orders, perHour: 60 }
    target: 0.99
    mostProofAge: 30d
    namespaces:
`;

  it("is a service of its own that has from the service what it leaves out", () => {
    const services = servicesOf(`${SERVICE}      acme: { owner: acme, objectives: { node-loss: { rpo: 1m } } }\n`);
    expect(Object.keys(services)).toEqual(["shop", "shop/acme"]);
    expect(services["shop/acme"]).toEqual({
      ...services["shop"],
      owner: "acme",
      objectives: {
        "node-loss": { rpoMs: MINUTE_MS, rtoMs: 10 * MINUTE_MS },
        "zone-loss": { rpoMs: 5 * MINUTE_MS, rtoMs: 10 * MINUTE_MS },
      },
    });
    expect(services["shop"]).toMatchObject({ target: 0.99, mostProofAgeMs: 30 * 24 * HOUR_MS, business: { unit: "orders", perHour: 60 } });
  });

  it("has stores, a unit, a target and an age of proofs of its own", () => {
    const own = "{ stores: [other], business: { unit: bookings, perHour: 6 }, target: 0.9, mostProofAge: 1d }";
    expect(servicesOf(`${SERVICE}      acme: ${own}\n`)["shop/acme"]).toMatchObject({
      stores: ["other"],
      business: { unit: "bookings", perHour: 6 },
      target: 0.9,
      mostProofAgeMs: 24 * HOUR_MS,
    });
  });

  it("has the objectives of its own tier and none of the service's, which were said for another", () => {
    const { objectives, tier } = servicesOf(`${SERVICE}      acme: { tier: low }\n`)["shop/acme"] ?? {};
    expect(tier).toBe("low");
    expect(objectives?.["node-loss"]).toEqual({ rpoMs: 24 * HOUR_MS, rtoMs: 24 * HOUR_MS });
    expect(Object.keys(objectives ?? {})).toEqual(TIER_SCENARIOS);
  });

  it("says one thing more beside what the tier says, where the service says nothing", () => {
    const services = servicesOf(
      "  shop: { tier: high, stores: [db], namespaces: { acme: { objectives: { region-loss: { rpo: 1h, rto: 2h } } } } }\n",
    );
    expect(Object.keys(services["shop/acme"]?.objectives ?? {})).toEqual([
      "process-loss",
      "node-loss",
      "zone-loss",
      "region-loss",
      "bad-write",
    ]);
  });

  it.each([
    ["an unknown store", "{ stores: [dbb] }", '14:24 TM-CONFIG-UNKNOWN-STORE there is no store "dbb" | did you mean "db"?'],
    [
      "contradictory objectives",
      "{ objectives: { node-loss: { rpo: 10m } } }",
      "14:27 TM-CONFIG-OBJECTIVE zone-loss allows an rpo of 300000 ms, and node-loss, which it contains, allows 600000 ms | at least the rpo of node-loss, or a smaller one there",
    ],
    [
      "a namespace within a namespace",
      "{ namespaces: {} }",
      '14:15 TM-CONFIG-UNKNOWN-KEY unknown key "namespaces" | one of owner, tier, why, stores, objectives, business, target, mostProofAge',
    ],
  ])("says where %s stands", (_what, text, problem) => {
    expect(golden(`${SERVICE}      acme: ${text}\n`)).toEqual([problem]);
  });
});

describe("the demands of a service", () => {
  it.each([
    [
      "a unit that nobody said the number of",
      "business: { unit: orders }",
      "4:47 TM-CONFIG-MISSING-KEY how many orders there are is not said | `perHour`, `perTransaction`, or both",
    ],
    [
      "a currency that is none",
      "business: { unit: orders, perHour: 1, revenue: { currency: euro, perHour: 1 } }",
      '4:96 TM-CONFIG-VALUE "euro" does not fit here | a currency of ISO 4217 such as EUR',
    ],
    [
      "a number of nothing",
      "business: { unit: orders, perHour: 0 }",
      "4:72 TM-CONFIG-VALUE 0 does not fit here | a number above 0, at most 1000000000000",
    ],
    ["a target that cannot be kept", "target: 1", "4:45 TM-CONFIG-VALUE 1 does not fit here | a share above 0 and below 1, such as 0.999"],
    [
      "proofs that are too old at once",
      "mostProofAge: 1s",
      "4:51 TM-CONFIG-DURATION every proof would be too old | at least 1min; days in practice",
    ],
  ])("says where %s stands", (_what, text, problem) => {
    expect(golden(`  shop: { tier: high, stores: [db], ${text} }\n`)).toEqual([problem]);
  });
});
