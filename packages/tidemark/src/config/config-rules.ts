// What must hold beyond the form of the file: names that exist, ports that do not collide, objectives that can be kept.
import { weakerThanObjectives } from "../gateway/durability-rule.ts";
import { FAILURE_DOMAIN_KINDS } from "../objectives/failure-domain.ts";
import { checkHistory, checkReceiver, checkRuleNames } from "./alert-rules.ts";
import { checkCommand } from "./command-rules.ts";
import type { Config } from "./config.ts";
import { defaultRequired, listeners, nodeDomain, otherCopies } from "./config-defaults.ts";
import { managedStores } from "./config-file.ts";
import type { ConfigFile, StoreFile } from "./config-file.ts";
import type { ConfigPath, Finding } from "./config-problem.ts";
import { domainAt, durationMs, sizeBytes } from "./config-values.ts";
import { collide, isLoopback, parseAddress } from "./listen-address.ts";
import { checkCopies, checkCopy } from "./observed-rules.ts";
import { servicePath } from "./service-defaults.ts";
import { checkService } from "./service-rules.ts";
import { checkArchivePlaces, checkVault } from "./vault-rules.ts";

const MIB = 1_048_576;

/** PostgreSQL settings that carry Tidemark's promises; the store's keys set them. */
const OWN_SETTINGS: ReadonlySet<string> = new Set([
  "archive_command",
  "archive_library",
  "archive_mode",
  "cluster_name",
  "data_directory",
  "external_pid_file",
  "fsync",
  "full_page_writes",
  "hba_file",
  "hot_standby",
  "hot_standby_feedback",
  "ident_file",
  "listen_addresses",
  "port",
  "primary_conninfo",
  "primary_slot_name",
  "promote_trigger_file",
  "recovery_min_apply_delay",
  "recovery_target_timeline",
  "restore_command",
  "synchronous_commit",
  "synchronous_standby_names",
  "unix_socket_directories",
  "wal_level",
  "wal_log_hints",
]);

/** Whether everything at and below a path fits the schema, so that a rule may look at it. */
export type IsSound = (...path: string[]) => boolean;

/** What is wrong beyond the schema, as far as the parts that a rule looks at fit it: so that all problems come at once. */
export function checkRules(file: ConfigFile, isSound: IsSound): Finding[] {
  const findings: Finding[] = [];
  const storesSound = isSound("stores") && file.stores !== undefined;
  if (storesSound && isSound("gateway") && isSound("control")) findings.push(...checkListeners(file));
  if (isSound("journal")) findings.push(...checkJournal(file));
  if (isSound("gateway")) findings.push(...checkGateway(file));
  if (storesSound) findings.push(...checkNodeNames(file), ...checkArchivePlaces(file));
  for (const [name, store] of entriesOf(file.stores)) {
    const path = ["stores", name];
    for (const [copy, written] of entriesOf(store?.copies))
      if (isSound(...path, "copies", copy)) findings.push(...checkCopy(written, [...path, "copies", copy]));
    if (!isSound(...path)) continue;
    if (store.kind !== "observed") {
      findings.push(...checkStore(store, path));
      if (isSound("commands")) findings.push(...checkWrites(store, path, file.commands));
    }
    findings.push(...checkCopies(store, path));
  }
  const stores = new Map(entriesOf(file.stores).map(([name, store]) => [name, isSound("stores", name) ? store : undefined]));
  for (const [name, service] of entriesOf(file.services))
    if (isSound("services", name)) findings.push(...checkService(name, service, stores));
  for (const [name, command] of entriesOf(file.commands))
    if (isSound("commands", name)) findings.push(...checkCommand(command, ["commands", name], stores));
  for (const [name, receiver] of entriesOf(file.alerts?.receivers))
    if (isSound("alerts", "receivers", name)) findings.push(...checkReceiver(receiver, ["alerts", "receivers", name]));
  if (isSound("alerts", "rules")) findings.push(...checkRuleNames(entriesOf(file.alerts?.rules).map(([rule]) => rule)));
  if (file.history !== undefined && isSound("history")) findings.push(...checkHistory(file.history));
  return findings;
}

/** The entries of a mapping, none when something else stands there. */
function entriesOf<T>(mapping: Readonly<Record<string, T>> | undefined): [string, T][] {
  return typeof mapping === "object" && mapping !== null && !Array.isArray(mapping) ? Object.entries(mapping) : [];
}

function checkListeners(file: ConfigFile): Finding[] {
  const findings: Finding[] = [];
  const seen: { what: string; address: { host: string; port: number } }[] = [];
  for (const { path, what, text } of listeners(file)) {
    const address = parseAddress(text);
    if (address === undefined) {
      findings.push({
        path,
        code: "TM-CONFIG-ADDRESS",
        message: `"${text}" is no address`,
        expected: "host:port with a port of 1 to 65535",
      });
      continue;
    }
    const other = seen.find((earlier) => collide(earlier.address, address));
    if (other !== undefined)
      findings.push({
        path,
        code: "TM-CONFIG-DUPLICATE-PORT",
        message: `${what} would listen on port ${address.port}, where ${other.what} listens`,
        expected: "a port of its own",
      });
    seen.push({ what, address });
  }
  return findings;
}

/**
 * A node is named on its own (`tidemark agent --node pg1`), so its name is one of the whole deployment. A vault is a member
 * of the synchronous set under its name as nodes are, so the two share their names.
 */
function checkNodeNames(file: ConfigFile): Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, { store: string; what: string }>();
  for (const [store, { nodes, vaults = {} }] of managedStores(file.stores)) {
    const named = [
      ...Object.keys(nodes).map((name) => ({ key: "nodes", what: "node", name })),
      ...Object.keys(vaults).map((name) => ({ key: "vaults", what: "vault", name })),
    ];
    for (const { key, what, name } of named) {
      const other = seen.get(name);
      if (other !== undefined)
        findings.push({
          path: ["stores", store, key, name],
          at: "key",
          code: "TM-CONFIG-VALUE",
          message: `the store ${other.store} has a ${other.what} ${name}${other.store === store ? "" : " as well"}`,
          expected: "a name of its own for every node and every vault",
        });
      else seen.set(name, { store, what });
    }
  }
  return findings;
}

function checkJournal(file: ConfigFile): Finding[] {
  const findings: Finding[] = [];
  const size = (key: "segmentSize" | "quota", message: string, expected: string): Finding => ({
    path: ["journal", key],
    code: "TM-CONFIG-SIZE",
    message,
    expected,
  });
  const segment = sizeBytes(file.journal?.segmentSize, "64MiB");
  if (segment < MIB || segment > 1_024 * MIB)
    findings.push(size("segmentSize", `a segment of ${segment} bytes is out of range`, "1MiB to 1GiB"));
  else if (sizeBytes(file.journal?.quota, "4GiB") < 4 * segment)
    findings.push(size("quota", "the quota holds fewer than four segments", `at least ${(4 * segment) / MIB}MiB, or smaller segments`));
  return findings;
}

function checkGateway(file: ConfigFile): Finding[] {
  const findings: Finding[] = [];
  const body = sizeBytes(file.gateway?.limits?.body, "1MiB");
  if (body < 1_024 || body > 64 * MIB)
    findings.push({
      path: ["gateway", "limits", "body"],
      code: "TM-CONFIG-SIZE",
      message: `a body limit of ${body} bytes is out of range`,
      expected: "1KiB to 64MiB",
    });
  const address = parseAddress(file.gateway?.listen ?? "127.0.0.1:7400");
  if (address !== undefined && !isLoopback(address.host)) findings.push(...checkPublic(file, address.host));
  return findings;
}

/** What the gateway demands before it listens where others can reach it: it would refuse to start. */
function checkPublic(file: ConfigFile, host: string): Finding[] {
  const findings: Finding[] = [];
  const lacks = (key: "tokens" | "listen", what: string, expected: string): Finding => ({
    path: ["gateway", key],
    code: "TM-CONFIG-PUBLIC",
    message: `the gateway would listen on ${host} without ${what}`,
    expected: `${expected}, or a loopback address`,
  });
  if (file.gateway?.tokens !== undefined && Object.keys(file.gateway.tokens).length === 0)
    findings.push(lacks("tokens", "a token", "at least one token"));
  if (file.gateway?.tls === undefined) findings.push(lacks("listen", "TLS", "`gateway.tls` with `certFile` and `keyFile`"));
  return findings;
}

function checkStore(store: StoreFile, path: ConfigPath): Finding[] {
  const findings: Finding[] = [];
  const others = otherCopies(store);
  const required = store.required ?? defaultRequired(store);
  if (required > others) {
    const nodes = Object.keys(store.nodes).length;
    const vaults = others + 1 - nodes;
    findings.push({
      path: [...path, "required"],
      code: "TM-CONFIG-REQUIRED-COPIES",
      message: `${required} copies besides the primary are required, the store has ${nodes} node${nodes === 1 ? "" : "s"}${
        vaults === 0 ? "" : ` and ${vaults} synchronous vault${vaults === 1 ? "" : "s"}`
      }`,
      expected: `at most ${others}`,
    });
  }
  for (const [name, vault] of Object.entries(store.vaults ?? {})) findings.push(...checkVault(vault, [...path, "vaults", name]));
  if (required === 0 && store.policy === "never-lose") {
    findings.push({
      path: [...path, "policy"],
      code: "TM-CONFIG-OBJECTIVE",
      message: "the policy is never-lose, and no copy is required",
      expected: "`required: 1` or more, or another policy",
    });
  }
  findings.push(...checkDomains(store, path));
  const probe = durationMs(store.failover?.probe, "250ms");
  const suspect = durationMs(store.failover?.suspectAfter, "2s");
  const lease = durationMs(store.failover?.lease, "5s");
  const time = (key: string, message: string, expected: string): Finding => ({
    path: [...path, "failover", key],
    code: "TM-CONFIG-DURATION",
    message,
    expected,
  });
  if (probe < 10) findings.push(time("probe", "probes would follow each other without a pause", "at least 10ms"));
  else if (suspect < 2 * probe)
    findings.push(
      time(
        "suspectAfter",
        "one missed probe would make a healthy primary suspect",
        `at least twice the time between probes (${2 * probe}ms)`,
      ),
    );
  if (lease < 2 * probe)
    findings.push(time("lease", "a lease would end between two probes", `at least twice the time between probes (${2 * probe}ms)`));
  for (const name of Object.keys(store.settings ?? {})) {
    if (OWN_SETTINGS.has(name))
      findings.push({
        path: [...path, "settings", name],
        at: "key",
        code: "TM-CONFIG-SETTING",
        message: `the setting ${name} is Tidemark's own`,
        expected: "settings that Tidemark does not use",
      });
  }
  return findings;
}

/** A store without a command cannot be written through the gateway: whatever is in it went past it. */
function checkWrites(store: StoreFile, path: ConfigPath, commands: ConfigFile["commands"]): Finding[] {
  if (store.writes !== "gateway" || entriesOf(commands).some(([, command]) => command.store === path.at(-1))) return [];
  return [
    {
      path: [...path, "writes"],
      code: "TM-CONFIG-VALUE",
      message: `all that is written to ${path.at(-1)} would go through the gateway, and no command writes to it`,
      expected: "a command with this `store`, or `writes: anywhere`",
    },
  ];
}

/** Two copies with the very same domain fail together, whatever takes them: one does not count for the other (R7). */
function checkDomains(store: StoreFile, path: ConfigPath): Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, string>();
  const copies = [
    ...Object.entries(store.nodes).flatMap(([name, node]) =>
      parseAddress(node.address) === undefined ? [] : [{ key: "nodes", name, domain: nodeDomain(node, name) }],
    ),
    ...Object.entries(store.vaults ?? {}).flatMap(([name, vault]) =>
      parseAddress(vault.listen) === undefined || store.nodes[name] !== undefined
        ? []
        : [{ key: "vaults", name, domain: domainAt(vault.listen, name, vault.domain) }],
    ),
  ];
  for (const { key, name, domain } of copies) {
    const text = FAILURE_DOMAIN_KINDS.map((kind) => domain[kind] ?? "").join("\0");
    const other = seen.get(text);
    if (other !== undefined) {
      findings.push({
        path: [...path, key, name, "domain"],
        code: "TM-CONFIG-SAME-DOMAIN",
        message: `${name} lies in the same failure domains as ${other}: a copy there does not count (R7)`,
        expected: "a process or a machine of its own",
      });
    } else seen.set(text, name);
  }
  return findings;
}

/** Objectives that acknowledgements do not reach (R16), in a configuration that is fine otherwise. */
export function checkDurability(config: Config): Finding[] {
  return weakerThanObjectives(config).map(({ service, scenario, message }) => ({
    path: [...servicePath(service), "objectives", scenario, "rpo"],
    code: "TM-CONFIG-DURABILITY",
    message,
    expected:
      "an RPO above 0 there, or a store with `acknowledge: applied`, `policy: never-lose` and required copies in other failure domains",
  }));
}
