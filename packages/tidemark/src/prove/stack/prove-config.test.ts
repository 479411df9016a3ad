import { describe, expect, it } from "vitest";
import { checkConfig } from "../../config/load-config.ts";
import { proveConfig, STORE } from "./prove-config.ts";

const ports = {
  gateway: 7_000,
  control: 7_001,
  nodes: [
    { postgres: 7_002, agent: 7_003 },
    { postgres: 7_004, agent: 7_005 },
  ],
  vault: 7_006,
};

describe("the configuration of a proof", () => {
  it("is one that the loader takes, in every variant", () => {
    for (const { required, ...variant } of [
      { required: 2 },
      { required: 1, vault: true },
      { required: 0, vault: true },
      { required: 1, vault: false },
    ] as const) {
      const given = { ...variant, ...(required === 2 ? {} : { required }) };
      const checked = checkConfig(proveConfig(ports, given), "/tmp/x/tidemark.yaml");
      expect(checked).not.toHaveProperty("problems");
      if ("config" in checked) {
        expect(checked.config.stores[STORE]).toMatchObject({
          required,
          vaults: "vault" in variant && !variant.vault ? [] : [{ name: "vault1", synchronous: true }],
          settings: { track_commit_timestamp: "on" },
          setup: ["/tmp/x/prove.sql"],
        });
        expect(checked.config.gateway.tokens).toMatchObject([{ name: "prove", file: "/tmp/x/prove.token" }]);
      }
    }
  });
});
