import { describe, expect, it } from "vitest";
import type { Config } from "../config/config.ts";
import { checkConfig } from "../config/load-config.ts";
import { managedConfig, observedConfig, type FirstAnswers } from "./first-config.ts";
import type { FoundStore } from "./found-store.ts";

const ANSWERS: FirstAnswers = { name: "shop", service: "shop", store: "shop-db", tier: "high", canary: "positions", zones: {} };

const FOUND: FoundStore = {
  servers: [
    { name: "db1", address: { host: "db1.internal", port: 5432 }, remarks: ["The primary."] },
    { name: "standby_2", address: { host: "::1", port: 5433 }, remarks: [] },
  ],
  target: { host: "db1.internal", port: 5432, user: "monitor", database: "shop", tls: "prefer" },
  archiving: { archiving: "off", stanza: null, barmanServer: null },
  remarks: [],
  unlocated: [],
  superuser: false,
};

function configOf(yaml: string): Config {
  const checked = checkConfig(yaml, "/srv/tidemark.yaml");
  if ("problems" in checked) throw new Error(`${JSON.stringify(checked.problems)}\n${yaml}`);
  return checked.config;
}

const copiesOf = (found: Partial<FoundStore>, answers: Partial<FirstAnswers> = {}) =>
  configOf(observedConfig({ ...ANSWERS, ...answers }, { ...FOUND, ...found })).observed["shop-db"]?.copies;

describe("a first configuration", () => {
  it("keeps the names, the addresses and the mode of TLS, and names the machine of each", () => {
    expect(copiesOf({}, { passwordFile: "secrets/x" })).toMatchObject([
      { name: "db1", domain: { machine: "db1.internal" }, source: { host: "db1.internal", tls: "prefer", passwordFile: "/srv/secrets/x" } },
      { name: "standby_2", domain: { machine: "localhost" }, source: { host: "::1", port: 5433, tls: "prefer" } },
    ]);
    expect(JSON.stringify(copiesOf({}))).not.toContain("passwordFile");
  });

  it("is not led astray by what a server or a person calls things", () => {
    const odd = '"}\n#: {{ [x] %s — true';
    const config = configOf(
      observedConfig(
        { ...ANSWERS, owner: odd, why: "true", zones: { db1: "no" }, business: { unit: "yes", perHour: 1 } },
        {
          ...FOUND,
          servers: [{ name: "true", address: { host: "db1", port: 1 }, remarks: [odd] }, ...FOUND.servers],
          target: { ...FOUND.target, user: "o'h#: x", database: odd },
          remarks: [odd, "\u2028copies: {}"],
        },
      ),
    );
    expect(config.services["shop"]).toMatchObject({ owner: odd, why: "true", business: { unit: "yes" } });
    expect(config.observed["shop-db"]?.copies.map(({ name, domain }) => [name, domain.zone])).toEqual([
      ["true", undefined],
      ["db1", "no"],
      ["standby_2", undefined],
    ]);
    expect(config.observed["shop-db"]?.copies[0]?.source).toMatchObject({ database: odd, user: "o'h#: x" });
  });

  it.each([
    [
      { archiving: "pgbackrest", stanza: "main", barmanServer: null },
      { name: "backups", source: { kind: "pgbackrest", stanza: "main" } },
    ],
    [
      { archiving: "barman", stanza: null, barmanServer: "shop" },
      { name: "backups", source: { kind: "barman", server: "shop" } },
    ],
  ] as const)("has the repository that WAL goes to as a copy of no known domain: %j", (archiving, copy) => {
    expect(copiesOf({ archiving })?.at(-1)).toMatchObject({ ...copy, domain: {} });
    const [db1] = FOUND.servers;
    expect(copiesOf({ archiving, servers: [{ ...(db1 as (typeof FOUND.servers)[0]), name: "backups" }] })?.at(-1)).toMatchObject({
      name: "repository",
    });
  });

  it("says what stands in the way of a repository that is not known well enough", () => {
    for (const archiving of ["off", "hidden", "pgbackrest", "barman", "tidemark", "other"] as const) {
      const found = { ...FOUND, archiving: { archiving, stanza: null, barmanServer: null } };
      expect(copiesOf(found)).toHaveLength(2);
      expect(observedConfig(ANSWERS, found)).toMatch(/# .*(WAL|archive)/);
    }
  });

  it.each(["near-zero", "critical", "high", "medium", "low"] as const)("validates for the tier %s, looked at or run here", (tier) => {
    expect(Object.keys(configOf(observedConfig({ ...ANSWERS, tier }, FOUND)).services["shop"]?.objectives ?? {})).toHaveLength(4);
    expect(Object.keys(configOf(managedConfig({ ...ANSWERS, tier })).services["shop"]?.objectives ?? {})).toEqual(["process-loss"]);
  });

  it("has what may be lost at every accident that takes copies away, and the tier's at a bad write", () => {
    expect(configOf(observedConfig({ ...ANSWERS, rpo: "0" }, FOUND)).services["shop"]?.objectives).toEqual({
      "process-loss": { rpoMs: 0, rtoMs: 3_600_000 },
      "node-loss": { rpoMs: 0, rtoMs: 3_600_000 },
      "zone-loss": { rpoMs: 0, rtoMs: 3_600_000 },
      "bad-write": { rpoMs: 900_000, rtoMs: 3_600_000 },
    });
  });
});
