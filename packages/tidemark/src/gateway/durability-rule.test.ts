import { hasCode } from "@tidemark/kernel/errors";
import { describe, expect, test } from "vitest";
import type { Config, StoreConfig, VaultConfig } from "../config/config.ts";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { demandObjectives, guaranteeOf, weakerThanObjectives } from "./durability-rule.ts";
import { testConfig } from "./testing/gateway-fixture.ts";

function store(changes: Partial<StoreConfig>, ...domains: FailureDomain[]): StoreConfig {
  const base = testConfig().stores["orders"];
  if (base === undefined) throw new Error("no store");
  const nodes = domains.map((domain, index) => ({
    name: `pg${index}`,
    host: "127.0.0.1",
    port: 1,
    agent: { host: "127.0.0.1", port: 1 },
    dataDir: "/",
    domain,
  }));
  return { ...base, nodes, required: 1, policy: { kind: "never-lose" }, acknowledge: "applied", ...changes };
}

function vault(domain: FailureDomain): VaultConfig {
  return {
    name: "vault1",
    host: "127.0.0.1",
    port: 1,
    directory: "/",
    domain,
    synchronous: true,
    keepLocalBytes: 0,
    archive: { stores: [], compression: { kind: "zstd", level: 1 }, encryption: "none", partialEveryMs: 5_000 },
  };
}

const A1 = { machine: "a1", zone: "a", region: "r" };
const A2 = { machine: "a2", zone: "a", region: "r" };
const B1 = { machine: "b1", zone: "b", region: "r" };
const C1 = { machine: "c1", zone: "c", region: "r" };

describe("what an acknowledgement survives (R16)", () => {
  test.each<[string, FailureDomain[], StoreConfig, string[]]>([
    ["a journal on one machine: the loss of a process", [A1], store({ acknowledge: "journal" }, A1, B1), ["process-loss"]],
    ["a journal on two machines: the loss of one", [A1, A2], store({ acknowledge: "journal" }, A1), ["process-loss", "node-loss"]],
    [
      "a journal in two zones: the loss of a zone",
      [A1, B1],
      store({ acknowledge: "journal" }, A1),
      ["process-loss", "node-loss", "zone-loss"],
    ],
    ["applied, one synchronous copy elsewhere", [A1], store({}, A1, B1), ["process-loss", "node-loss", "zone-loss"]],
    ["applied, the copy in the journal's machine and zone", [A1], store({}, A1, A1), ["process-loss"]],
    ["applied, two of three nodes, two of them with the journal: they may be the two", [A1], store({}, A1, A1, B1), ["process-loss"]],
    [
      "applied, three of three nodes, two of them with the journal: the set may have shrunk to the two",
      [A1],
      store({ required: 2 }, A1, A1, B1),
      ["process-loss"],
    ],
    [
      "applied, a vault in a third zone is a copy as a node is",
      [A1],
      store({ required: 2, vaults: [vault(C1)] }, A1, B1),
      ["process-loss", "node-loss", "zone-loss"],
    ],
    ["applied, a vault beside the primary: it may be the one that has it", [A1], store({ vaults: [vault(A1)] }, A1, B1), ["process-loss"]],
    ["applied, a vault elsewhere is no database by itself", [A1], store({ vaults: [vault(B1)] }, A1), ["process-loss"]],
    [
      "applied, a vault that is not synchronous need not have it, and takes nothing away",
      [A1],
      store({ vaults: [{ ...vault(A1), synchronous: false }] }, A1, B1),
      ["process-loss", "node-loss", "zone-loss"],
    ],
    ["applied, asynchronous copies: they need not have it", [A1], store({ required: 0 }, A1, B1), ["process-loss"]],
    [
      "applied, a policy that goes on without the copies: they need not have it",
      [A1],
      store({ policy: { kind: "available" } }, A1, B1),
      ["process-loss"],
    ],
    ["applied, a primary elsewhere than the journal, alone", [A1], store({ required: 0 }, B1), ["process-loss", "node-loss", "zone-loss"]],
    ["a copy in a place that is not known counts for nothing", [A1], store({}, A1, {}), ["process-loss"]],
    [
      "machines of one name in two zones are two",
      [
        { machine: "db1", zone: "a" },
        { machine: "db1", zone: "b" },
      ],
      store({ acknowledge: "journal" }, A1),
      ["process-loss", "node-loss", "zone-loss"],
    ],
  ])("%s", (_, journal, config, survives) => {
    expect(guaranteeOf(config, journal).survives).toEqual(survives);
  });
});

describe("where an objective demands more, the gateway does not start", () => {
  const config = (acknowledge: "journal" | "applied", scenario: string, rpoMs = 0): Config => ({
    ...testConfig({
      services: {
        shop: {
          tier: "critical",
          stores: ["orders"],
          objectives: { [scenario]: { rpoMs, rtoMs: 1_000 } },
          target: 0.999,
          mostProofAgeMs: 86_400_000,
        },
      },
    }),
    stores: { orders: store({ acknowledge }, A1, B1) },
  });

  test("RPO 0 against node-loss with a journal on one machine that acknowledges by itself", () => {
    const weak = config("journal", "node-loss");
    expect(weakerThanObjectives(weak)).toMatchObject([{ service: "shop", store: "orders", scenario: "node-loss" }]);
    let thrown: unknown;
    try {
      demandObjectives(weak, [weak.journal.domain]);
    } catch (error) {
      thrown = error;
    }
    expect(hasCode(thrown, "TM-GATEWAY-WEAKER-THAN-OBJECTIVE")).toBe(true);
    expect(String(thrown)).toContain(
      'service "shop" may lose nothing in node-loss, but an acknowledgement of store "orders" is only fsynced in the journal on one machine',
    );
  });

  test.each([
    ["the store acknowledges once applied elsewhere", config("applied", "node-loss")],
    ["the objective allows a loss", config("journal", "node-loss", 1_000)],
    ["the scenario takes no machine", config("journal", "process-loss")],
    ["no acknowledgement protects from it", config("journal", "bad-write")],
  ])("it does where %s", (_, fine) => expect(weakerThanObjectives(fine)).toEqual([]));

  test("a journal that spans machines is enough", () => {
    expect(weakerThanObjectives(config("journal", "node-loss"), [A1, A2])).toEqual([]);
  });
});
