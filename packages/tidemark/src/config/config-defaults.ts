// From the file as written to the configuration as used: defaults, milliseconds, bytes, absolute paths.
import { dirname, join, resolve } from "node:path";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import type {
  Config,
  CommandConfig,
  GatewayConfig,
  JournalConfig,
  NodeConfig,
  ServiceConfig,
  StoreConfig,
  SynchronousPolicy,
} from "./config.ts";
import { completeAlerts, completeHistory } from "./alert-defaults.ts";
import { managedStores } from "./config-file.ts";
import type { AddressText, CommandFile, ConfigFile, GatewayFile, JournalFile, NodeFile, StoreFile } from "./config-file.ts";
import { addressOf, domainAt, durationMs, pathOf, sizeBytes, THIS_MACHINE, type Places } from "./config-values.ts";
import { completeObserved } from "./observed-defaults.ts";
import { completeServices } from "./service-defaults.ts";
import { completeVault, partialEveryMs } from "./vault-defaults.ts";

const DEFAULT_GATEWAY = "127.0.0.1:7400";
const DEFAULT_CONTROL = "127.0.0.1:7401";

/**
 * Fills in what the file leaves out. `written` fits the schema and the rules. Paths are resolved against the folder of
 * `file`; `stateDir` overrides the file's (an absolute path).
 */
export function completeConfig(written: ConfigFile, file: string, stateDir?: string): Config {
  const folder = dirname(resolve(file));
  const state = stateDir ?? resolve(folder, written.stateDir ?? ".tidemark");
  const places = { folder, state };
  const control = addressOf(written.control?.listen ?? DEFAULT_CONTROL);
  const services = completeServices(written.services);
  return {
    version: 1,
    name: written.name,
    file,
    stateDir: state,
    services,
    stores: Object.fromEntries(
      managedStores(written.stores).map(([name, store]) => [name, completeStore(store, { name, services }, places)]),
    ),
    observed: mapValues(written.stores, (store) => completeObserved(store, places)),
    alerts: completeAlerts(written.alerts ?? {}, places),
    history: completeHistory(written.history ?? {}),
    journal: completeJournal(written.journal ?? {}, places),
    gateway: completeGateway(written.gateway ?? {}, places),
    control: { ...control, internalTokenFile: pathOf(written.control?.internalTokenFile, join("secrets", "internal.token"), places) },
    commands: mapValues(written.commands ?? {}, completeCommand),
  };
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, change: (value: From, name: string) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value, name)]));
}

/** How many copies besides the primary can be waited for: the other nodes, and the vaults that may be synchronous. */
export function otherCopies(store: StoreFile): number {
  return Object.keys(store.nodes).length - 1 + Object.values(store.vaults ?? {}).filter((vault) => vault.synchronous ?? true).length;
}

/** How many copies a store requires when its file does not say: two where it has them, so that no single loss loses a commit (R7). */
export function defaultRequired(store: StoreFile): number {
  return Math.min(2, otherCopies(store));
}

function completeStore(
  store: StoreFile,
  about: { readonly name: string; readonly services: Readonly<Record<string, ServiceConfig>> },
  places: Places,
): StoreConfig {
  const { name, services } = about;
  const sqlName = name.replaceAll("-", "_");
  return {
    kind: "postgresql",
    database: store.database ?? sqlName,
    user: store.user ?? sqlName,
    passwordFile: pathOf(store.passwordFile, join("secrets", `${name}.password`), places),
    setup: (store.setup ?? []).map((file) => resolve(places.folder, file)),
    nodes: Object.entries(store.nodes).map(([node, written]) => completeNode(written, node, places)),
    vaults: Object.entries(store.vaults ?? {}).map(([vault, written]) =>
      completeVault(written, { store: name, name: vault, partialEveryMs: partialEveryMs(services, name) }, places),
    ),
    required: store.required ?? defaultRequired(store),
    policy: completePolicy(store.policy),
    failover: {
      suspectAfterMs: durationMs(store.failover?.suspectAfter, "2s"),
      leaseMs: durationMs(store.failover?.lease, "5s"),
      probeMs: durationMs(store.failover?.probe, "250ms"),
    },
    acknowledge: store.acknowledge ?? "journal",
    writes: store.writes ?? "anywhere",
    settings: mapValues(store.settings ?? {}, (value) => (typeof value === "boolean" ? (value ? "on" : "off") : String(value))),
  };
}

function completePolicy(policy: StoreFile["policy"]): SynchronousPolicy {
  if (typeof policy === "object") return { kind: "bounded", mostLossMs: durationMs(policy.bounded, "0") };
  return { kind: policy ?? "never-lose" };
}

/** The failure domain of a node: what is stated, else its name as the process and its host as the machine. */
export function nodeDomain(node: NodeFile, name: string): FailureDomain {
  return domainAt(node.address, name, node.domain);
}

function completeNode(node: NodeFile, name: string, places: Places): NodeConfig {
  return {
    name,
    ...addressOf(node.address),
    agent: addressOf(node.agent),
    dataDir: pathOf(node.dataDir, join("data", name), places),
    domain: nodeDomain(node, name),
  };
}

function completeJournal(journal: JournalFile, places: Places): JournalConfig {
  return {
    kind: "embedded",
    directory: pathOf(journal.directory, "journal", places),
    domain: { process: "gateway", machine: THIS_MACHINE, ...journal.domain },
    partitions: journal.partitions ?? 8,
    segmentBytes: sizeBytes(journal.segmentSize, "64MiB"),
    quotaBytes: sizeBytes(journal.quota, "4GiB"),
    minimumFreeBytes: sizeBytes(journal.minimumFree, "256MiB"),
    healing: { windowMs: durationMs(journal.healing?.window, "24h"), atQuota: journal.healing?.atQuota ?? "shorten" },
  };
}

function completeGateway(gateway: GatewayFile, places: Places): GatewayConfig {
  const tokens = gateway.tokens ?? { app: { scopes: ["write", "read"] }, operator: { scopes: ["read", "operate"] } };
  return {
    ...addressOf(gateway.listen ?? DEFAULT_GATEWAY),
    ...(gateway.tls === undefined
      ? {}
      : { tls: { certFile: resolve(places.folder, gateway.tls.certFile), keyFile: resolve(places.folder, gateway.tls.keyFile) } }),
    tokens: Object.entries(tokens).map(([name, token]) => ({
      name,
      file: pathOf(token.file, join("secrets", `${name}.token`), places),
      scopes: token.scopes,
    })),
    limits: {
      bodyBytes: sizeBytes(gateway.limits?.body, "1MiB"),
      batchWrites: gateway.limits?.batchWrites ?? 1_000,
      pendingWrites: gateway.limits?.pendingWrites ?? 10_000,
      writesPerSecond: gateway.limits?.writesPerSecond ?? 0,
    },
    idempotency: { windowMs: durationMs(gateway.idempotency?.window, "24h"), count: gateway.idempotency?.count ?? 1_000_000 },
  };
}

/** A command as the roles use it. */
export function completeCommand(command: CommandFile): CommandConfig {
  return {
    store: command.store,
    key: command.key,
    schema: command.schema,
    statements: command.statements ?? (command.sql === undefined ? [] : [command.sql]),
    onReject: command.onReject ?? "skip",
    volatile: command.volatile ?? false,
  };
}

/** Every address that something listens on, with its place in the file. The defaults count as well; without a store to write to there is no gateway. */
export function listeners(written: ConfigFile): { path: (string | number)[]; what: string; text: AddressText }[] {
  const stores = managedStores(written.stores);
  const gateway = { path: ["gateway", "listen"], what: "the gateway", text: written.gateway?.listen ?? DEFAULT_GATEWAY };
  const found: { path: (string | number)[]; what: string; text: AddressText }[] = [
    ...(stores.length === 0 ? [] : [gateway]),
    { path: ["control", "listen"], what: "control", text: written.control?.listen ?? DEFAULT_CONTROL },
  ];
  for (const [store, { nodes, vaults }] of stores) {
    for (const [node, { address, agent }] of Object.entries(nodes)) {
      found.push({ path: ["stores", store, "nodes", node, "address"], what: `PostgreSQL ${node}`, text: address });
      found.push({ path: ["stores", store, "nodes", node, "agent"], what: `the agent of ${node}`, text: agent });
    }
    for (const [vault, { listen }] of Object.entries(vaults ?? {})) {
      found.push({ path: ["stores", store, "vaults", vault, "listen"], what: `the vault ${vault}`, text: listen });
    }
  }
  return found;
}
