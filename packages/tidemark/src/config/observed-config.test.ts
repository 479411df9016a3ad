import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { ConfigProblem } from "./config-problem.ts";
import { checkConfig, loadConfig } from "./load-config.ts";

const EXAMPLE_FILE = fileURLToPath(new URL("../../examples/observed.yaml", import.meta.url));

function problemsOf(text: string): readonly ConfigProblem[] {
  const checked = checkConfig(text, "tidemark.yaml");
  return "problems" in checked ? checked.problems : [];
}

function golden(text: string): string[] {
  return problemsOf(text).map(({ line, column, code, message, expected }) => `${line}:${column} ${code} ${message} | ${expected}`);
}

const WATCHED = `version: 1
name: watched
services:
  shop: { tier: high, stores: [shop] }
stores:
  shop:
    kind: observed
    copies:
      db1: { postgresql: { address: "db1:5432", user: monitor } }
      repo: { pgbackrest: { stanza: shop } }
alerts:
  receivers:
    pager: { alertmanager: { url: "http://127.0.0.1:9093" } }
    chat: { webhook: { url: "https://chat/hook", keyFile: chat.key } }
`;

const SOURCES = "postgresql, patroni, pgbackrest, barman, nats, objects, prometheus, command";
const NO_PLACE = "stands in the configuration, which is no place for secrets";
const IN_A_FILE = "an address without credentials; a secret stands in a file of its own (`passwordFile`, `bearerFile`, `urlFile`)";

describe("the configuration of what is looked at", () => {
  it("accepts the example and fills in what it leaves out", async () => {
    const config = await loadConfig(EXAMPLE_FILE, { stateDir: "/srv/state" });
    const folder = EXAMPLE_FILE.slice(0, EXAMPLE_FILE.lastIndexOf("/"));
    expect(config.stores).toEqual({});
    expect(config.commands).toEqual({});
    const { canary, copies } = config.observed["shop"] ?? {};
    expect(canary).toBe("positions");
    expect(copies?.map(({ name, source, periodMs }) => `${name}: ${source.kind} ${periodMs}`)).toEqual([
      "db1: postgresql 1000",
      "db2: postgresql 1000",
      "patroni: patroni 1000",
      "backups: pgbackrest 60000",
      "barman: barman 300000",
      "dumps: objects 60000",
      "snapshots: command 60000",
      "events: nats 1000",
      "archiver: prometheus 1000",
    ]);
    expect(copies?.[0]).toEqual({
      name: "db1",
      domain: { process: "db1", machine: "db1", zone: "a", region: "north", account: "shop" },
      periodMs: 1_000,
      source: {
        kind: "postgresql",
        host: "db1.internal",
        port: 5432,
        user: "monitor",
        passwordFile: `${folder}/secrets/monitor.password`,
        database: "shop",
        tls: "require",
      },
    });
    expect(copies?.find(({ name }) => name === "barman")?.source).toEqual({
      kind: "barman",
      server: "shop",
      backups: { kind: "file", path: "/var/lib/barman/shop.json" },
    });
    expect(copies?.find(({ name }) => name === "dumps")).toMatchObject({
      lockedForMs: 30 * 86_400_000,
      source: { objects: { kind: "s3", bucket: "shop-dumps", prefix: "" }, prefix: "daily/shop-" },
    });
    expect(config.alerts).toEqual({
      receivers: [
        { kind: "alertmanager", name: "on-call", url: "http://127.0.0.1:9093", severities: ["page"] },
        {
          kind: "webhook",
          name: "chat",
          url: { file: `${folder}/secrets/chat.url` },
          keyFile: `${folder}/secrets/chat.key`,
          severities: ["page", "ticket"],
        },
      ],
      rules: { "exposure-rising": { severity: "ticket", forMs: 300_000 }, "burn-rate-3d": { off: true } },
      runbooks: "https://wiki.internal/runbooks",
    });
    expect(config.history.mostBytes).toBe(1_073_741_824);
  });

  it("accepts a small file without a problem, and says where what it leaves out is", () => {
    const checked = checkConfig(WATCHED, "/srv/tidemark.yaml");
    const { copies } = ("config" in checked ? checked.config.observed["shop"] : undefined) ?? {};
    expect(copies?.map(({ domain, source }) => ({ domain, source }))).toEqual([
      {
        domain: { process: "db1", machine: "db1" },
        source: { kind: "postgresql", host: "db1", port: 5432, user: "monitor", database: "postgres", tls: "require" },
      },
      {
        domain: {},
        source: {
          kind: "pgbackrest",
          stanza: "shop",
          info: { kind: "command", command: ["pgbackrest", "info", "--output=json", "--stanza=shop"], environment: {} },
          repositories: {},
        },
      },
    ]);
  });

  it("asks Barman itself for everything when nothing is said, and prefers TLS on loopback", () => {
    const text = WATCHED.replace('"db1:5432"', "5432").replace("pgbackrest: { stanza: shop }", "barman: { server: shop }");
    const checked = checkConfig(text, "/srv/tidemark.yaml");
    const [db1, repo] = ("config" in checked ? checked.config.observed["shop"] : undefined)?.copies ?? [];
    expect(db1).toMatchObject({ domain: { machine: "localhost" }, source: { tls: "prefer" } });
    expect(repo?.source).toMatchObject({
      backups: { command: ["barman", "--format", "json", "list-backups", "shop"] },
      latest: { command: ["barman", "--format", "json", "show-backup", "shop", "latest"] },
      check: { command: ["barman", "--format", "json", "check", "shop"] },
    });
  });

  /** Each: what is wrong, the change to the small file, and the one problem that must come of it. */
  const CASES: readonly [rule: string, from: string, to: string, problem: string][] = [
    [
      "a copy without a source",
      "pgbackrest: { stanza: shop }",
      "period: 1s",
      `10:7 TM-CONFIG-COPY-SOURCE nothing says where this copy is looked at | exactly one of ${SOURCES}`,
    ],
    [
      "a copy with two sources",
      "stanza: shop }",
      "stanza: shop }, barman: { server: shop }",
      `10:45 TM-CONFIG-COPY-SOURCE this copy has pgbackrest and barman | exactly one of ${SOURCES}`,
    ],
    [
      "a source that is none",
      "pgbackrest:",
      "pgbackrst:",
      '10:15 TM-CONFIG-UNKNOWN-KEY unknown key "pgbackrst" | did you mean "pgbackrest"?',
    ],
    [
      "a store without copies",
      '    copies:\n      db1: { postgresql: { address: "db1:5432", user: monitor } }\n      repo: { pgbackrest: { stanza: shop } }\n',
      "    copies: {}\n",
      "8:5 TM-CONFIG-VALUE nothing is given here | at least one: copies by name",
    ],
    [
      "observed copies in a store that Tidemark would run",
      "    kind: observed\n",
      "",
      '6:3 TM-CONFIG-MISSING-KEY the key "nodes" is missing | "nodes": The PostgreSQL nodes that Tidemark runs; a store that somebody else runs is of `kind: observed`',
    ],
    [
      "nodes in a store that somebody else runs",
      "    copies:",
      "    nodes: {}\n    copies:",
      '8:5 TM-CONFIG-UNKNOWN-KEY unknown key "nodes" | one of kind, copies, canary',
    ],
    [
      "a kind of store that is none",
      "kind: observed",
      "kind: observd",
      '7:11 TM-CONFIG-VALUE "observd" is not allowed here | one of postgresql, observed; did you mean "observed"?',
    ],
    [
      "a password",
      "user: monitor",
      "user: monitor, password: hunter2",
      `9:74 TM-CONFIG-SECRET a secret ${NO_PLACE} | \`passwordFile\`, a file of mode 0600 with the password`,
    ],
    [
      "a URL with a password for a source",
      '{ address: "db1:5432", user: monitor }',
      '"postgres://monitor:hunter2@db1/shop"',
      `9:26 TM-CONFIG-SECRET an address with credentials ${NO_PLACE} | ${IN_A_FILE}`,
    ],
    [
      "a URL with a password in its query",
      '{ address: "db1:5432", user: monitor }',
      '"postgres://monitor@db1/shop?password=hunter2"',
      `9:26 TM-CONFIG-SECRET an address with credentials ${NO_PLACE} | ${IN_A_FILE}`,
    ],
    [
      "a connection string with a password",
      "stanza: shop }",
      "stanza: shop, info: { run: [psql, host=db1 password=hunter2] } }",
      `10:63 TM-CONFIG-SECRET an address with credentials ${NO_PLACE} | ${IN_A_FILE}`,
    ],
    [
      "a password in a command's environment",
      "stanza: shop }",
      "stanza: shop, info: { run: [x], environment: { PGPASSWORD: hunter2 } } }",
      `10:88 TM-CONFIG-SECRET a secret ${NO_PLACE} | a variable that names a file or a profile, such as PGPASSFILE`,
    ],
    [
      "a URL without a password for a source",
      '{ address: "db1:5432", user: monitor }',
      '"postgres://monitor@db1/shop"',
      '9:26 TM-CONFIG-VALUE "postgres://…@db1/shop" does not fit here | a PostgreSQL with address and user',
    ],
    [
      "a receiver's URL with a user",
      '"http://127.0.0.1:9093"',
      '"http://hunter2@127.0.0.1:9093"',
      `13:35 TM-CONFIG-SECRET an address with credentials ${NO_PLACE} | ${IN_A_FILE}`,
    ],
    [
      "a webhook without a key",
      ", keyFile: chat.key",
      "",
      '14:13 TM-CONFIG-MISSING-KEY the key "keyFile" is missing | "keyFile": File with the keys that sign what is sent, one per line, the newest first',
    ],
    [
      "a webhook without an address",
      'url: "https://chat/hook", ',
      "",
      "14:13 TM-CONFIG-VALUE the webhook has no address | `url`, or `urlFile` where the address itself is the secret",
    ],
    [
      "a webhook with two addresses",
      "keyFile: chat.key",
      "urlFile: x, keyFile: chat.key",
      "14:13 TM-CONFIG-VALUE the webhook has two addresses | `url`, or `urlFile` where the address itself is the secret",
    ],
    [
      "a webhook on an open line",
      "https://chat/hook",
      "http://chat/hook",
      "14:29 TM-CONFIG-OPEN-LINE what is sent would go to another machine without TLS, where anybody on the way reads it | an address https://…, or a loopback address",
    ],
    [
      "a token on an open line",
      '"http://127.0.0.1:9093"',
      '"http://alerts:9093", bearerFile: x',
      "13:35 TM-CONFIG-OPEN-LINE the token would go to another machine without TLS, where anybody on the way reads it | an address https://…, a loopback address, or no `bearerFile`",
    ],
    [
      "a receiver that is nothing",
      'alertmanager: { url: "http://127.0.0.1:9093" }',
      "severities: [page]",
      "13:5 TM-CONFIG-VALUE nothing says what this receiver is | exactly one of `alertmanager` and `webhook`",
    ],
    [
      "a severity that is none",
      "keyFile: chat.key }",
      "keyFile: chat.key }, severities: [pages]",
      '14:84 TM-CONFIG-VALUE "pages" is not allowed here | `page` or `ticket`; did you mean "page"?',
    ],
    [
      "a rule that does not exist",
      "alerts:\n",
      "alerts:\n  rules: { exposure-risng: { off: true } }\n",
      '12:12 TM-CONFIG-UNKNOWN-RULE there is no rule "exposure-risng" | did you mean "exposure-rising"?',
    ],
    [
      "a rule with nothing",
      "alerts:\n",
      "alerts:\n  rules: { exposure-rising: {} }\n",
      "12:12 TM-CONFIG-VALUE nothing is given here | at least one: off, severity, for or keep",
    ],
    [
      "minutes that go before seconds do",
      "alerts:\n",
      "history: { keepSeconds: 1d, keepMinutes: 1h }\nalerts:\n",
      "11:42 TM-CONFIG-DURATION keepMinutes would be shorter than keepSeconds: the coarser figures are there for when the finer ones are gone | keepMinutes at least as long as keepSeconds",
    ],
    [
      "a history that holds nothing",
      "alerts:\n",
      "history: { mostSize: 1MiB }\nalerts:\n",
      "11:22 TM-CONFIG-SIZE a size of 1048576 bytes is out of range | 16MiB to 1TiB",
    ],
    [
      "a period out of range",
      "stanza: shop }",
      "stanza: shop }, period: 1ms",
      "10:53 TM-CONFIG-DURATION a period out of range | 100ms to 24h",
    ],
    [
      "one server under two names",
      "      repo:",
      '      db9: { postgresql: { address: "DB1:5432", user: other } }\n      repo:',
      "10:37 TM-CONFIG-VALUE db9 would be the same server db1:5432 as db1 | every server and every figure once",
    ],
    [
      "a lock on a server that runs",
      "user: monitor }",
      "user: monitor }, lockedFor: 1d",
      "9:77 TM-CONFIG-VALUE what postgresql looks at can be changed at any time: nothing locks it | no `lockedFor` here",
    ],
    [
      "a document from two places",
      "stanza: shop }",
      "stanza: shop, info: { run: [x], file: y } }",
      "10:49 TM-CONFIG-VALUE the document would come from two places | exactly one of `run`, `file`, `url`",
    ],
    [
      "a folder that is not named",
      "pgbackrest: { stanza: shop }",
      "objects: { store: { kind: folder } }",
      '10:26 TM-CONFIG-MISSING-KEY the key "directory" is missing | "directory": the folder that is looked at',
    ],
    [
      "a figure that would be a copy",
      "pgbackrest: { stanza: shop }",
      "command: { run: [x], says: figure, copyKind: backup }",
      "10:60 TM-CONFIG-VALUE a figure says nothing of a copy | `says: age` or `says: time`, or no `copyKind`",
    ],
    [
      "a stale sample of no known time",
      "pgbackrest: { stanza: shop }",
      'prometheus: { url: "https://p", query: up, staleAfter: 1min }',
      "10:70 TM-CONFIG-VALUE without `sampleTime` nobody knows how old a sample is | `sampleTime` as well",
    ],
    [
      "a canary without a server",
      'postgresql: { address: "db1:5432", user: monitor } }\n',
      "barman: { server: shop } }\n    canary: write\n",
      "10:13 TM-CONFIG-VALUE no copy is a PostgreSQL that the canary could be written to | a copy with `postgresql`, or `canary: off`",
    ],
    [
      "a command for a store that somebody else runs",
      "alerts:\n",
      "commands:\n  add: { store: shop, key: /a, schema: { type: object, required: [a], properties: { a: { type: string } } }, sql: SELECT 1 }\nalerts:\n",
      '12:17 TM-CONFIG-UNKNOWN-STORE the store "shop" is run by somebody else: Tidemark looks at it and writes nothing to it | a store that Tidemark runs',
    ],
  ];

  it.each(CASES)("says where %s stands and what was expected", (_rule, from, to, problem) => {
    expect(WATCHED).toContain(from);
    // The canary's case puts a key after its copies.
    const text = WATCHED.replace(from, to).replace(/( {4}canary: write\n)( {6}repo: .*\n)/, "$1");
    expect(golden(text)).toEqual([problem]);
  });

  it("repeats no secret, wherever it stands", () => {
    for (const [, from, to] of CASES.filter(([, , to]) => to.includes("hunter2"))) {
      const problems = problemsOf(WATCHED.replace(from, to));
      expect(problems.map(({ code }) => code)).toContain("TM-CONFIG-SECRET");
      expect(JSON.stringify(problems)).not.toContain("hunter2");
    }
  });

  it("reads a text as long as the file may be in time that grows with it", () => {
    const text = WATCHED.replace("user: monitor", `user: "x://${":".repeat(900_000)}"`);
    expect(problemsOf(text).length).toBeGreaterThan(0);
  });

  it("refuses a service whose store has figures and no copy", () => {
    const text = WATCHED.replace(
      / {6}db1: .*\n {6}repo: .*\n/,
      '      up: { prometheus: { url: "https://p", query: up } }\n      n: { nats: { url: "http://n", stream: S, consumer: C } }\n',
    );
    expect(golden(text)).toEqual([
      "4:32 TM-CONFIG-NO-COPY nothing that is looked at of the store shop can be a copy: there are figures alone | a store with at least one copy that it can be recovered from",
    ]);
    expect(golden(text.replace("consumer: C", "consumer: C, isCopy: true"))).toEqual([]);
  });

  it("writes no canary by itself where its rows would count as writes that a bound is about", () => {
    const managed = readFileSync(new URL("../../examples/orders.yaml", import.meta.url), "utf8");
    const canaryOf = (policy: string): unknown => {
      const checked = checkConfig(managed.replace("policy: available", policy), "tidemark.yaml");
      return "config" in checked ? checked.config.observed["orders"]?.canary : checked;
    };
    expect(canaryOf("policy: { bounded: 5s }")).toBe("positions");
    expect(canaryOf("policy: { bounded: 5s }\n    canary: write")).toBe("write");
    expect(canaryOf("policy: never-lose")).toBe("write");
  });

  it("lets a store that Tidemark runs have further copies, with names of their own", () => {
    const managed = readFileSync(new URL("../../examples/orders.yaml", import.meta.url), "utf8");
    const copies = (name: string): string =>
      managed.replace("    policy: available\n", `    policy: available\n    copies: { ${name}: { pgbackrest: { stanza: orders } } }\n`);
    const checked = checkConfig(copies("repo"), "tidemark.yaml");
    expect("config" in checked && checked.config.observed["orders"]).toMatchObject({ canary: "write", copies: [{ name: "repo" }] });
    for (const [name, what] of [
      ["pg1", "a node"],
      ["vault1", "a vault"],
      ["journal", "the journal"],
    ] as const)
      expect(problemsOf(copies(name)).map(({ message }) => message)).toEqual([`${what} of this store is called ${name}`]);
  });

  it("does not let the gateway's port stand in the way where there is no gateway", () => {
    expect(golden(`${WATCHED}control: { listen: 7400 }\n`)).toEqual([]);
  });
});
