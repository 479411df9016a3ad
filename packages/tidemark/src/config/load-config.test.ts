import { readFileSync } from "node:fs";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError, type ConfigProblem } from "./config-problem.ts";
import { checkConfig, loadConfig } from "./load-config.ts";

const EXAMPLE_FILE = fileURLToPath(new URL("../../examples/orders.yaml", import.meta.url));
const EXAMPLE = readFileSync(EXAMPLE_FILE, "utf8");

function problemsOf(text: string): readonly ConfigProblem[] {
  const checked = checkConfig(text, "tidemark.yaml");
  return "problems" in checked ? checked.problems : [];
}

/** `line:column code` of each problem, with what was expected when asked for. */
function golden(text: string): string[] {
  return problemsOf(text).map(({ line, column, code, message, expected }) => `${line}:${column} ${code} ${message} | ${expected}`);
}

const SMALL = `version: 1
name: small
services:
  orders: { tier: high, stores: [db], objectives: { process-loss: { rpo: 0, rto: 5s } } }
stores:
  db:
    nodes:
      pg1: { address: 127.0.0.1:7411, agent: 127.0.0.1:7421 }
      pg2: { address: 127.0.0.1:7412, agent: 127.0.0.1:7422 }
commands:
  add:
    store: db
    key: /customer
    schema: { type: object, required: [customer], properties: { customer: { type: string }, note: { type: string } } }
    sql: INSERT INTO t (id, customer) VALUES (:id, :customer)
`;

describe("the configuration", () => {
  it("accepts the example and fills in what it leaves out", async () => {
    const config = await loadConfig(EXAMPLE_FILE, { stateDir: "/srv/state" });
    expect(config).toMatchObject({
      name: "orders-example",
      stateDir: "/srv/state",
      services: { orders: { tier: "near-zero", objectives: { "process-loss": { rpoMs: 0, rtoMs: 5_000 } } } },
      journal: {
        directory: "/srv/state/journal",
        partitions: 8,
        segmentBytes: 16_777_216,
        quotaBytes: 1_073_741_824,
        healing: { windowMs: 86_400_000, atQuota: "shorten" },
      },
      gateway: {
        host: "127.0.0.1",
        port: 7400,
        limits: { bodyBytes: 1_048_576, batchWrites: 1_000, pendingWrites: 10_000, writesPerSecond: 0 },
        idempotency: { windowMs: 86_400_000, count: 1_000_000 },
      },
      control: { host: "127.0.0.1", port: 7401, internalTokenFile: "/srv/state/secrets/internal.token" },
    });
    expect(config.stores["orders"]).toMatchObject({
      database: "orders",
      required: 2,
      vaults: [
        {
          name: "vault1",
          port: 7431,
          directory: "/srv/state/vaults/orders-vault1",
          archive: {
            stores: [{ name: "main", options: { kind: "folder", directory: "/srv/state/archives/vault1-main" } }],
            encryption: { key: { kind: "file", file: "/srv/state/secrets/vault1-archive.key" } },
          },
        },
      ],
      policy: { kind: "available" },
      acknowledge: "journal",
      writes: "anywhere",
      failover: { suspectAfterMs: 2_000, leaseMs: 5_000, probeMs: 250 },
      passwordFile: "/srv/state/secrets/orders.password",
    });
    expect(config.stores["orders"]?.nodes.map(({ name, port, dataDir, domain }) => ({ name, port, dataDir, domain }))).toEqual([
      { name: "pg1", port: 7411, dataDir: "/srv/state/data/pg1", domain: { process: "pg1", machine: "localhost" } },
      { name: "pg2", port: 7412, dataDir: "/srv/state/data/pg2", domain: { process: "pg2", machine: "localhost" } },
    ]);
    expect(config.gateway.tokens.map(({ name, scopes }) => `${name}: ${scopes.join(" ")}`)).toEqual([
      "app: write read",
      "operator: read operate",
    ]);
    expect(config.commands["cancel-order"]?.statements).toHaveLength(1);
  });

  it("accepts a small file without a problem", () => {
    expect(golden(SMALL)).toEqual([]);
  });

  /** Each: what is wrong, the change to the small file, and the one problem that must come of it. */
  const CASES: readonly [rule: string, from: string, to: string, problem: string][] = [
    ["a mistyped key", "stores:\n", "storse: {}\nstores:\n", '5:1 TM-CONFIG-UNKNOWN-KEY unknown key "storse" | did you mean "stores"?'],
    [
      "an unknown key that is like none",
      "name: small",
      "name: small\ncolour: blue",
      '3:1 TM-CONFIG-UNKNOWN-KEY unknown key "colour" | one of version, name, stateDir, services, stores, journal, gateway, control, alerts, history, commands',
    ],
    [
      "a missing key",
      "name: small\n",
      "",
      '1:1 TM-CONFIG-MISSING-KEY the key "name" is missing | "name": The name of this deployment; it stands in proofs and reports',
    ],
    [
      "a value that would steer the terminal",
      "name: small",
      'name: "\\e[2Jsmall"',
      '2:7 TM-CONFIG-VALUE "\uFFFD[2Jsmall" does not fit here | a name of lower-case letters, digits and hyphens, beginning with a letter, at most 40 long',
    ],
    ["another version", "version: 1", "version: 2", "1:10 TM-CONFIG-VALUE 2 does not fit here | the version of this file's form, 1"],
    [
      "a tier that is none",
      "tier: high",
      "tier: hgih",
      '4:19 TM-CONFIG-VALUE "hgih" is not allowed here | one of near-zero, critical, high, medium, low; did you mean "high"?',
    ],
    [
      "a duration that is none",
      "rto: 5s",
      "rto: 5 seconds",
      '4:82 TM-CONFIG-DURATION "5 seconds" does not fit here | a duration such as 250ms, 5s, 10m, 24h or 7d, or 0',
    ],
    [
      "a duration without a unit",
      "rto: 5s",
      "rto: 5",
      "4:82 TM-CONFIG-DURATION 5 does not fit here | a duration such as 250ms, 5s, 10m, 24h or 7d, or 0",
    ],
    [
      "a size that is none",
      "commands:",
      "journal: { quota: 5GiBs }\ncommands:",
      '10:19 TM-CONFIG-SIZE "5GiBs" does not fit here | a size such as 64KiB, 16MiB, 1GiB, or a number of bytes',
    ],
    [
      "an address that is none",
      "127.0.0.1:7412",
      "127.0.0.1",
      '9:23 TM-CONFIG-ADDRESS "127.0.0.1" does not fit here | an address host:port such as 127.0.0.1:7400, or a port of this machine',
    ],
    [
      "a port beyond the last",
      "127.0.0.1:7412",
      "127.0.0.1:70000",
      '9:23 TM-CONFIG-ADDRESS "127.0.0.1:70000" is no address | host:port with a port of 1 to 65535',
    ],
    [
      "a port used twice",
      "127.0.0.1:7412",
      "127.0.0.1:7421",
      "9:23 TM-CONFIG-DUPLICATE-PORT PostgreSQL pg2 would listen on port 7421, where the agent of pg1 listens | a port of its own",
    ],
    [
      "a port of a default used again",
      "127.0.0.1:7412",
      "127.0.0.1:7400",
      "9:23 TM-CONFIG-DUPLICATE-PORT PostgreSQL pg2 would listen on port 7400, where the gateway listens | a port of its own",
    ],
    [
      "a service's unknown store",
      "stores: [db]",
      "stores: [dc]",
      '4:34 TM-CONFIG-UNKNOWN-STORE there is no store "dc" | did you mean "db"?',
    ],
    ["a command's unknown store", "store: db", "store: orders", '12:12 TM-CONFIG-UNKNOWN-STORE there is no store "orders" | one of db'],
    [
      "a key that is no argument",
      "key: /customer",
      "key: /custmer",
      '13:10 TM-CONFIG-KEY-POINTER the key /custmer points to no argument of the schema | did you mean "/customer"?',
    ],
    [
      "a key that may be absent",
      "key: /customer",
      "key: /note",
      '13:10 TM-CONFIG-KEY-POINTER the key /note points to an argument that may be absent | "note" among the `required` of the schema',
    ],
    [
      "a key that is no pointer",
      "key: /customer",
      "key: customer",
      '13:10 TM-CONFIG-VALUE "customer" does not fit here | a JSON Pointer to an argument, such as /customer',
    ],
    [
      "a schema that is none",
      "type: object, required",
      "type: objekt, required",
      "14:13 TM-CONFIG-COMMAND-SCHEMA the schema of the arguments is not of `type: object` | a JSON Schema (2020-12) with `type: object` and `properties`",
    ],
    [
      "no SQL",
      "    sql: INSERT INTO t (id, customer) VALUES (:id, :customer)\n",
      "",
      "11:3 TM-CONFIG-COMMAND-SQL the command has no SQL | `sql` with one statement, or `statements` with a list",
    ],
    [
      "more copies than nodes",
      "    nodes:\n",
      "    required: 2\n    nodes:\n",
      "7:15 TM-CONFIG-REQUIRED-COPIES 2 copies besides the primary are required, the store has 2 nodes | at most 1",
    ],
    [
      "never-lose without a copy",
      "    nodes:\n",
      "    required: 0\n    policy: never-lose\n    nodes:\n",
      "8:13 TM-CONFIG-OBJECTIVE the policy is never-lose, and no copy is required | `required: 1` or more, or another policy",
    ],
    [
      "a policy that is none",
      "    nodes:\n",
      "    policy: always\n    nodes:\n",
      '7:13 TM-CONFIG-VALUE "always" is not allowed here | `never-lose`, `available`, or `bounded: <duration>`',
    ],
    [
      "two nodes in one domain (R7)",
      "agent: 127.0.0.1:7422 }",
      "agent: 127.0.0.1:7422, domain: { process: pg1 } }",
      "9:70 TM-CONFIG-SAME-DOMAIN pg2 lies in the same failure domains as pg1: a copy there does not count (R7) | a process or a machine of its own",
    ],
    [
      "a larger accident that may lose less",
      "process-loss: { rpo: 0, rto: 5s }",
      "process-loss: { rpo: 10s, rto: 5s }, node-loss: { rpo: 5s, rto: 1m }",
      "4:108 TM-CONFIG-OBJECTIVE node-loss allows an rpo of 5000 ms, and process-loss, which it contains, allows 10000 ms | at least the rpo of process-loss, or a smaller one there",
    ],
    [
      "RPO 0 at node-loss with a journal on one machine (R16)",
      "process-loss:",
      "node-loss:",
      '4:71 TM-CONFIG-DURABILITY service "orders" may lose nothing in node-loss, but an acknowledgement of store "db" is only fsynced in the journal on one machine | an RPO above 0 there, or a store with `acknowledge: applied`, `policy: never-lose` and required copies in other failure domains',
    ],
    [
      "a policy that allows more than the objective",
      "    nodes:\n",
      "    acknowledge: applied\n    policy: { bounded: 5s }\n    nodes:\n",
      "8:24 TM-CONFIG-OBJECTIVE the policy allows to lose 5000 ms, service orders allows 0 ms at process-loss | a bound within the objective, `never-lose`, or `acknowledge: journal`",
    ],
    [
      "a place to write to that is none",
      "    nodes:\n",
      "    writes: journal\n    nodes:\n",
      '7:13 TM-CONFIG-VALUE "journal" is not allowed here | `gateway` or `anywhere`',
    ],
    [
      "a store that is written through the gateway alone, by no command",
      "commands:",
      "  other:\n    writes: gateway\n    nodes:\n      pg3: { address: 127.0.0.1:7413, agent: 127.0.0.1:7423 }\ncommands:",
      "11:13 TM-CONFIG-VALUE all that is written to other would go through the gateway, and no command writes to it | a command with this `store`, or `writes: anywhere`",
    ],
    [
      "a setting of Tidemark's own",
      "    nodes:\n",
      "    settings: { fsync: off }\n    nodes:\n",
      "7:17 TM-CONFIG-SETTING the setting fsync is Tidemark's own | settings that Tidemark does not use",
    ],
    [
      "a suspicion faster than its probes",
      "    nodes:\n",
      "    failover: { suspectAfter: 300ms }\n    nodes:\n",
      "7:31 TM-CONFIG-DURATION one missed probe would make a healthy primary suspect | at least twice the time between probes (500ms)",
    ],
    [
      "a quota below four segments",
      "commands:",
      "journal: { segmentSize: 64MiB, quota: 128MiB }\ncommands:",
      "10:39 TM-CONFIG-SIZE the quota holds fewer than four segments | at least 256MiB, or smaller segments",
    ],
    [
      "a public gateway without a token",
      "commands:",
      "gateway: { listen: 0.0.0.0:7400, tokens: {}, tls: { certFile: a, keyFile: b } }\ncommands:",
      "10:42 TM-CONFIG-PUBLIC the gateway would listen on 0.0.0.0 without a token | at least one token, or a loopback address",
    ],
    [
      "a public gateway without TLS",
      "commands:",
      "gateway: { listen: 0.0.0.0:7400 }\ncommands:",
      "10:20 TM-CONFIG-PUBLIC the gateway would listen on 0.0.0.0 without TLS | `gateway.tls` with `certFile` and `keyFile`, or a loopback address",
    ],
    [
      "an empty value",
      "name: small",
      "name:",
      "2:1 TM-CONFIG-VALUE an empty value does not fit here | a name of lower-case letters, digits and hyphens, beginning with a letter, at most 40 long",
    ],
    ["a key twice", "name: small", "name: small\nname: big", "3:1 TM-CONFIG-SYNTAX Map keys must be unique | every key once"],
    [
      "a tab for indentation",
      "  db:",
      "\tdb:",
      "6:1 TM-CONFIG-SYNTAX Tabs are not allowed as indentation | YAML 1.2: keys and values with consistent indentation, every key once",
    ],
  ];

  it.each(CASES)("says where %s stands and what was expected", (_rule, from, to, problem) => {
    expect(SMALL).toContain(from);
    expect(golden(SMALL.replace(from, to))).toEqual([problem]);
  });

  it("refuses a node's name twice, volatile SQL and unknown parameters by the gateway's own rules", () => {
    const twice = SMALL.replace(
      "commands:",
      "  other:\n    nodes:\n      pg1: { address: 127.0.0.1:7413, agent: 127.0.0.1:7423 }\ncommands:",
    );
    expect(golden(twice)).toEqual([
      "12:7 TM-CONFIG-VALUE the store db has a node pg1 as well | a name of its own for every node and every vault",
    ]);
    expect(problemsOf(SMALL.replace("VALUES (:id, :customer)", "VALUES (gen_random_uuid(), :customer)"))).toMatchObject([
      { line: 15, column: 10, code: "TM-GATEWAY-COMMAND-VOLATILE" },
    ]);
    expect(problemsOf(SMALL.replace("VALUES (:id, :customer)", "VALUES (:id, :customr)"))).toMatchObject([
      { line: 15, column: 10, code: "TM-GATEWAY-COMMAND-PARAMETER" },
    ]);
  });

  it("reports all problems at once, in order of lines, also beside those of other parts", () => {
    const text = SMALL.replace("tier: high", "tier: hihg")
      .replace("127.0.0.1:7412", "127.0.0.1:7411")
      .replace("store: db", "store: dbb")
      .replace("name: small", "name: Small");
    expect(problemsOf(text).map(({ line, code }) => `${line} ${code}`)).toEqual([
      "2 TM-CONFIG-VALUE",
      "4 TM-CONFIG-VALUE",
      "9 TM-CONFIG-DUPLICATE-PORT",
      "12 TM-CONFIG-UNKNOWN-STORE",
    ]);
  });

  it("refuses a file that explodes, one that is too deep and one that is too long", () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n`;
    for (const text of [bomb, "[".repeat(100_000), `a: ${"[".repeat(70)}${"]".repeat(70)}`, `name: ${"x".repeat(1_100_000)}`]) {
      expect(problemsOf(text).map(({ code }) => code)).toContain("TM-CONFIG-SYNTAX");
    }
  });
});

describe("loading the configuration", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidemark-config-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("says that the file is not there", async () => {
    await expect(loadConfig(join(folder, "tidemark.yaml"))).rejects.toMatchObject({ code: "TM-CONFIG-NOT-FOUND" });
  });

  it("says which file that it names is not there, and where it names it", async () => {
    const file = join(folder, "tidemark.yaml");
    await copyFile(EXAMPLE_FILE, file);
    const error = await loadConfig(file).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConfigError);
    const line = EXAMPLE.split("\n").findIndex((text) => text.includes("setup:")) + 1;
    expect((error as ConfigError).problems).toMatchObject([
      { file, line, column: 13, path: "/stores/orders/setup/0", code: "TM-CONFIG-FILE" },
    ]);
    await writeFile(join(folder, "orders.sql"), "");
    expect((await loadConfig(file)).stateDir).toBe(join(folder, ".tidemark"));
  });
});

describe("the published schema", () => {
  it("is a valid JSON Schema (2020-12) that its own strict validator takes", async () => {
    const { Ajv2020 } = await import("ajv/dist/2020.js");
    const { CONFIG_SCHEMA_FILE } = await import("./config-schema.ts");
    const schema = JSON.parse(readFileSync(CONFIG_SCHEMA_FILE, "utf8")) as object;
    const ajv = new Ajv2020({ strict: true, strictTypes: false, allowUnionTypes: true });
    expect(ajv.validateSchema(schema)).toBe(true);
    expect(() => ajv.compile(schema)).not.toThrow();
  });
});
