// What is looked at of a store that Tidemark runs: its servers, their agents, its vaults, the journal in front of it. Nothing of it has to be
// configured, and it goes with the configuration of what runs.
import { Redacted } from "@tidemark/kernel/redacted";
import { OBSERVER_USER, derivedPassword } from "../cluster/store-secrets.ts";
import { reachGateway } from "../cluster/gateway-reach.ts";
import { placeOf, placesOf } from "../cluster/member-node.ts";
import type { Config, StoreConfig, VaultConfig } from "../config/config.ts";
import { formatAddress } from "../config/listen-address.ts";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { AgentProbe } from "../probes/agent-probe.ts";
import type { HttpTarget } from "../probes/http-json.ts";
import { JournalProbe } from "../probes/journal-probe.ts";
import { PostgresqlProbe } from "../probes/postgresql-probe.ts";
import type { KnownCopy } from "../probes/postgresql/node-looks.ts";
import type { PostgresqlTarget } from "../probes/postgresql/postgresql-target.ts";
import type { StoreFacts } from "../probes/probe-result.ts";
import type { Probe, ProbeReading } from "../probes/probe.ts";
import type { StoreObservation } from "../probes/store-observation.ts";
import { VaultProbe } from "../probes/vault-probe.ts";
import type { ExpectedCopy } from "./expected-copy.ts";
import type { ProbeWorld } from "./probe-world.ts";

/** One part of a watch: probes, and the copies that they have to find. */
export interface WatchPart {
  readonly probes: readonly Probe[];
  readonly expected: readonly ExpectedCopy[];
  readonly acknowledgedBy?: StoreFacts["acknowledgedBy"];
  /** Servers on which the canary may be written, by the name of their copy. */
  readonly servers: ReadonlyMap<string, () => Promise<PostgresqlTarget>>;
}

/** There is one: its name in the names of its journal, and of the probe of that. */
const GATEWAY = "gateway";
const JOURNAL = `${GATEWAY}/journal`;

export interface OwnStore {
  readonly config: Pick<Config, "gateway" | "journal">;
  readonly store: StoreConfig;
  readonly observation: StoreObservation;
  /** The internal token. */
  readonly token: Redacted<string>;
  readonly world: ProbeWorld;
}

export function watchOwnStore(own: OwnStore): WatchPart {
  const { store, observation, world } = own;
  const servers = new Map(store.nodes.map((node) => [node.name, () => Promise.resolve(serverTarget(own, node))]));
  const positions = { positions: observation.positions, store: observation.store, clock: world.clock };
  const nodes = store.nodes.flatMap((node): Probe[] => [
    new PostgresqlProbe({
      name: node.name,
      domain: node.domain,
      copyKnownAs: (applicationName) => memberOf(store, applicationName),
      target: serverTarget(own, node),
      observation,
      clock: world.clock,
    }),
    new AgentProbe({ ...positions, node: node.name, domain: node.domain, target: internal(own, node.agent, "/status") }),
  ]);
  const vaults = store.vaults.map(
    (vault) =>
      new VaultProbe({
        ...positions,
        vault: vault.name,
        domain: vault.domain,
        archives: Object.fromEntries(vault.archive.stores.map(({ name, options }) => [name, archiveDomain(vault, options.kind)])),
        target: internal(own, vault, "/status"),
      }),
  );
  const journal = journalProbe(own);
  const isCopy = store.writes === "gateway";
  return {
    probes: [...nodes, ...vaults, isCopy ? journal : new FiguresOnly(journal)],
    expected: [...expectedCopies(store), ...(isCopy ? [journalCopy(own, journal)] : [])],
    servers,
    ...(store.acknowledge === "journal" ? { acknowledgedBy: { name: JOURNAL, domain: own.config.journal.domain } } : {}),
  };
}

function serverTarget({ store, observation, token }: OwnStore, node: { host: string; port: number }): PostgresqlTarget {
  return {
    host: node.host,
    port: node.port,
    user: OBSERVER_USER,
    password: derivedPassword(token, observation.store, OBSERVER_USER),
    database: store.database,
    tls: "disable",
  };
}

function internal({ token }: OwnStore, address: { host: string; port: number }, path: string): HttpTarget {
  return { url: `http://${formatAddress(address)}${path}`, authorization: new Redacted(`Bearer ${token.reveal()}`) };
}

/** Members are known to a primary by their identity, which begins with their name. */
function memberOf(store: StoreConfig, identity: string): KnownCopy | undefined {
  const everybody = placesOf({ nodes: store.nodes, vaults: store.vaults.map((vault) => ({ ...vault, synchronous: true })) }, "");
  const place = placeOf(everybody, identity);
  if (place === undefined) return undefined;
  const vault = store.vaults.find(({ name }) => name === place.node);
  if (vault !== undefined) return { name: vault.name, kind: "vault", domain: vault.domain };
  const node = store.nodes.find(({ name }) => name === place.node);
  return node === undefined ? undefined : { name: node.name, kind: "standby", domain: node.domain };
}

function expectedCopies(store: StoreConfig): ExpectedCopy[] {
  return [
    ...store.nodes.map(({ name, domain }): ExpectedCopy => ({
      name,
      kind: "standby",
      domain,
      toldBy: [`postgresql ${name}`, `agent ${name}`],
    })),
    ...store.vaults.flatMap((vault): ExpectedCopy[] => [
      { name: vault.name, kind: "vault", domain: vault.domain, holds: "wal", toldBy: [`vault ${vault.name}`] },
      ...vault.archive.stores.map(({ name, options }): ExpectedCopy => ({
        name: `${vault.name}/${name}`,
        kind: "archive",
        domain: archiveDomain(vault, options.kind),
        holds: "wal",
        ...(options.kind === "s3" && options.lock !== undefined ? { lockedForMs: options.lock.forMs } : {}),
        toldBy: [`vault ${vault.name}`],
      })),
    ]),
  ];
}

/** A folder is where its vault is. Where a bucket is nobody said: it is in no known domain. */
function archiveDomain({ domain }: VaultConfig, kind: "folder" | "s3"): FailureDomain {
  if (kind === "s3") return {};
  const { process: _process, ...place } = domain;
  return place;
}

/**
 * Only where the configuration says that nothing is written to a store past the gateway is the journal a copy of it. Otherwise what it lacks
 * is not known, and never will be: its figures are kept, and no copy.
 */
function journalProbe({ config, store, observation, token, world }: OwnStore): JournalProbe {
  const { url, ask } = reachGateway(config.gateway);
  return new JournalProbe({
    store: observation.store,
    gateway: GATEWAY,
    domain: config.journal.domain,
    allWrites: store.writes === "gateway",
    target: { url: `${url}/v1/status`, authorization: new Redacted(`Bearer ${token.reveal()}`), ask },
    clock: world.clock,
  });
}

function journalCopy({ config }: OwnStore, { name }: JournalProbe): ExpectedCopy {
  return { name: JOURNAL, kind: "journal", domain: config.journal.domain, holds: "wal", toldBy: [name] };
}

class FiguresOnly implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #probe: Probe;

  constructor(probe: Probe) {
    this.name = probe.name;
    this.store = probe.store;
    this.#probe = probe;
  }

  async probe(signal: AbortSignal): Promise<ProbeReading> {
    const reading = await this.#probe.probe(signal);
    return reading.ok ? { ...reading, copies: [] } : reading;
  }

  close(): Promise<void> {
    return this.#probe.close();
  }
}
