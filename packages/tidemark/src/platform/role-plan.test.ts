import { describe, expect, it } from "vitest";
import { checkConfig } from "../config/load-config.ts";
import { planRoles } from "./role-plan.ts";

const CONFIG = `version: 1
name: shop
services:
  orders: { tier: high, stores: [orders], objectives: { process-loss: { rpo: 0, rto: 5s } } }
stores:
  orders:
    nodes:
      pg1: { address: 127.0.0.1:7411, agent: 127.0.0.1:7421 }
      pg2: { address: 127.0.0.1:7412, agent: 127.0.0.1:7422 }
    vaults:
      vault1: { listen: 127.0.0.1:7431 }
commands: {}
`;

describe("the plan of a machine's roles", () => {
  const checked = checkConfig(CONFIG, "/shop/tidemark.yaml");
  if ("problems" in checked) throw new Error(JSON.stringify(checked.problems));
  const plans = planRoles(checked.config);

  it("has a role for every vault, which is told its store", () => {
    const vault = plans.find(({ kind }) => kind === "vault");
    expect(vault).toMatchObject({ name: "vault-vault1", vault: "vault1", address: "127.0.0.1:7431" });
    expect(vault?.command.slice(vault.command.indexOf("vault"))).toEqual([
      "vault",
      "--store",
      "orders",
      "--vault",
      "vault1",
      "--config",
      "/shop/tidemark.yaml",
      "--state-dir",
      "/shop/.tidemark",
    ]);
  });

  it("is control alone where every store is run by somebody else", () => {
    const observed = `version: 1
name: watch
services:
  shop: { tier: high, stores: [shop] }
stores:
  shop: { kind: observed, copies: { db1: { postgresql: { address: "db1:5432", user: monitor } } } }
`;
    const found = checkConfig(observed, "/shop/tidemark.yaml");
    expect("config" in found && planRoles(found.config).map(({ name }) => name)).toEqual(["control"]);
  });

  it("stops PostgreSQL while the vaults still receive, and control last", () => {
    const stages = Map.groupBy(plans, (plan) => plan.stopStage);
    const order = [...stages.keys()].toSorted((a, b) => a - b).map((stage) => stages.get(stage)?.map(({ name }) => name));
    expect(order).toEqual([["gateway"], ["agent-pg1", "agent-pg2"], ["vault-vault1"], ["control"]]);
  });
});
