import type { ObjectStoreOptions } from "../object-stores/object-store-options.ts";
import type { FailureDomain, Scenario } from "../objectives/failure-domain.ts";
import type { EncryptionOptions } from "../vault/sealing/key-options.ts";
import type { AlertsConfig, BusinessConfig, HistoryConfig, ObservedConfig } from "./observed-config.ts";

/**
 * The configuration as the roles use it: checked, with defaults filled in, durations in milliseconds, sizes in bytes,
 * relative paths resolved against the folder of tidemark.yaml. docs/configuration.md describes the file.
 */
export interface Config {
  readonly version: 1;
  /** The name of this deployment, in proofs and reports. */
  readonly name: string;
  /** Path of the file that it came from, for messages. */
  readonly file: string;
  /** Folder that keeps the state of this machine's roles. Default `./.tidemark`. */
  readonly stateDir: string;
  readonly services: Readonly<Record<string, ServiceConfig>>;
  /** The stores that Tidemark runs. Others are in `observed` alone. */
  readonly stores: Readonly<Record<string, StoreConfig>>;
  /** What is looked at of every store, by its name: those of `stores`, and those that somebody else runs. */
  readonly observed: Readonly<Record<string, ObservedConfig>>;
  readonly alerts: AlertsConfig;
  readonly history: HistoryConfig;
  readonly journal: JournalConfig;
  readonly gateway: GatewayConfig;
  readonly control: ControlConfig;
  readonly commands: Readonly<Record<string, CommandConfig>>;
}

export interface Objective {
  readonly rpoMs: number;
  readonly rtoMs: number;
}

/** A service, or a namespace of one (`orders/acme`: a tenant with demands of its own). */
export interface ServiceConfig {
  readonly owner?: string;
  readonly tier: "near-zero" | "critical" | "high" | "medium" | "low";
  /** Why this much may be lost and no more. */
  readonly why?: string;
  readonly stores: readonly string[];
  readonly objectives: Readonly<Partial<Record<Scenario, Objective>>>;
  readonly business?: BusinessConfig;
  /** Share of seconds that have to be good, above 0 and below 1. Default 0.999. */
  readonly target: number;
  /** How old the last proof of a copy may be. Default 7 days. */
  readonly mostProofAgeMs: number;
}

/** What happens when no synchronous member is left: block commits; go on asynchronously while the stated exposure stays within the bound; go on. */
export type SynchronousPolicy =
  | { readonly kind: "never-lose" }
  | { readonly kind: "bounded"; readonly mostLossMs: number }
  | { readonly kind: "available" };

export interface StoreConfig {
  readonly kind: "postgresql";
  readonly database: string;
  /** Owner of the database and of the tables; the applier connects as this role. */
  readonly user: string;
  /** File with that role's password; made with a random one when absent. */
  readonly passwordFile: string;
  /** SQL files run once, in order, when the database is made. */
  readonly setup: readonly string[];
  readonly nodes: readonly NodeConfig[];
  /** Receivers of the store's WAL. Empty by default. */
  readonly vaults: readonly VaultConfig[];
  /**
   * How many copies besides the primary must have flushed before a commit returns; synchronous vaults count. 0 means
   * asynchronous. Default 2 where there are at least two other copies, else as many as there are (R7).
   */
  readonly required: number;
  readonly policy: SynchronousPolicy;
  readonly failover: FailoverConfig;
  /** When a write is acknowledged: once journalled, or once applied and replicated. */
  readonly acknowledge: "journal" | "applied";
  /**
   * Where the store is written: through the gateway alone, so that all of it goes through the journal, which then counts as a copy; or elsewhere
   * too. Default `anywhere`.
   */
  readonly writes: "gateway" | "anywhere";
  /** PostgreSQL settings beside Tidemark's own. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface NodeConfig {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Address of this node's agent. */
  readonly agent: { readonly host: string; readonly port: number };
  readonly dataDir: string;
  readonly domain: FailureDomain;
}

/** A vault: receives the store's WAL, keeps it and archives it. Its name is one of the whole deployment, like a node's. */
export interface VaultConfig {
  readonly name: string;
  /** Where its HTTP server listens. */
  readonly host: string;
  readonly port: number;
  /** Its folder (docs/vault-format.md). Default `vaults/<store>-<name>` in the state folder. */
  readonly directory: string;
  readonly domain: FailureDomain;
  /** Whether commits may wait for it, as for a standby. Default true. */
  readonly synchronous: boolean;
  /** So much of the newest archived WAL stays here as well; what is not archived stays in any case. Default 1 GiB. */
  readonly keepLocalBytes: number;
  readonly archive: ArchiveConfig;
}

export interface ArchiveConfig {
  /** Where sealed segments, histories and the growing segment go, each with its own recovery point. Empty: nowhere. */
  readonly stores: readonly ArchiveStoreConfig[];
  readonly compression: { readonly kind: "zstd"; readonly level: number };
  /** `none` only where the file says so. Default: a key in `secrets/<vault>-archive.key` in the state folder. */
  readonly encryption: EncryptionOptions;
  /** Time between two uploads of the growing segment, if it grew. Default half the smallest RPO above 0 of the services on the store, 500 ms to 5 s. */
  readonly partialEveryMs: number;
}

export interface ArchiveStoreConfig {
  /** Its name within the vault. */
  readonly name: string;
  readonly options: ObjectStoreOptions;
}

export interface FailoverConfig {
  /** A primary that answers no probe for so long is suspected. Default 2 s. */
  readonly suspectAfterMs: number;
  /** An agent's lease; matters where `required` is 0 (R5). Default 5 s. */
  readonly leaseMs: number;
  /** Time between probes of the local PostgreSQL. Default 250 ms. */
  readonly probeMs: number;
}

export interface JournalConfig {
  readonly kind: "embedded";
  readonly directory: string;
  readonly domain: FailureDomain;
  readonly partitions: number;
  readonly segmentBytes: number;
  readonly quotaBytes: number;
  /** Acceptance stops when the file system has less than this free. */
  readonly minimumFreeBytes: number;
  readonly healing: { readonly windowMs: number; readonly atQuota: "shorten" | "refuse" };
}

export interface GatewayConfig {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  readonly tokens: readonly TokenConfig[];
  readonly limits: {
    readonly bodyBytes: number;
    readonly batchWrites: number;
    /** Writes accepted and not yet durable, at most; beyond it 503. */
    readonly pendingWrites: number;
    /** Writes a second per token; 0 means no limit. Beyond it 429. */
    readonly writesPerSecond: number;
  };
  readonly idempotency: { readonly windowMs: number; readonly count: number };
}

export type TokenScope = "write" | "read" | "operate";

export interface TokenConfig {
  readonly name: string;
  /** File that holds the token; made with a random one when absent. */
  readonly file: string;
  readonly scopes: readonly TokenScope[];
}

export interface ControlConfig {
  readonly host: string;
  readonly port: number;
  /** File that holds the token with which the roles speak to each other; made when absent. */
  readonly internalTokenFile: string;
}

export interface CommandConfig {
  readonly store: string;
  /** JSON Pointer into the arguments to the partition key; a request's `key` overrides it. */
  readonly key: string;
  /** JSON Schema (2020-12) of the arguments. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** SQL with named parameters `:name` from the arguments, besides `:id`, `:accepted_at` and `:key`. Run in order. */
  readonly statements: readonly string[];
  /** What becomes of later writes of a key whose write was refused for good. */
  readonly onReject: "skip" | "stop-key";
  /** Allows now(), random(), nextval() and the like. */
  readonly volatile: boolean;
}
