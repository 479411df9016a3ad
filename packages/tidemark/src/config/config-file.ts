import type { FailureDomain, Scenario } from "../objectives/failure-domain.ts";
import type { CommandConfig, ServiceConfig, TokenScope } from "./config.ts";
import type { CanaryMode, BusinessConfig } from "./observed-config.ts";
import type { AlertsFile, CopyFile, HistoryFile, ObservedStoreFile } from "./observed-file.ts";

// tidemark.yaml as written, once it fits the schema: what is optional may be absent, durations and sizes are text.

/** `5s`, or the number 0. */
export type DurationText = string | number;
/** `64MiB`, or a number of bytes. */
export type SizeText = string | number;
/** `host:port`, or a port. */
export type AddressText = string | number;

export interface ConfigFile {
  readonly version: 1;
  readonly name: string;
  readonly stateDir?: string;
  readonly services: Readonly<Record<string, ServiceFile>>;
  readonly stores: Readonly<Record<string, StoreFile | ObservedStoreFile>>;
  readonly journal?: JournalFile;
  readonly gateway?: GatewayFile;
  readonly control?: { readonly listen?: AddressText; readonly internalTokenFile?: string };
  readonly alerts?: AlertsFile;
  readonly history?: HistoryFile;
  readonly commands?: Readonly<Record<string, CommandFile>>;
}

export interface ServiceFile extends DemandsFile {
  readonly tier: ServiceConfig["tier"];
  readonly stores: readonly string[];
  readonly namespaces?: Readonly<Record<string, DemandsFile>>;
}

/** What a service may demand, and a namespace of it. */
export interface DemandsFile {
  readonly owner?: string;
  readonly tier?: ServiceConfig["tier"];
  readonly why?: string;
  readonly stores?: readonly string[];
  readonly objectives?: Readonly<Partial<Record<Scenario, ObjectiveFile>>>;
  readonly business?: BusinessConfig;
  readonly target?: number;
  readonly mostProofAge?: DurationText;
}

/** What is absent is the tier's. */
export interface ObjectiveFile {
  readonly rpo?: DurationText;
  readonly rto?: DurationText;
}

/** A store that Tidemark runs. */
export interface StoreFile {
  readonly kind?: "postgresql";
  readonly database?: string;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly setup?: readonly string[];
  readonly nodes: Readonly<Record<string, NodeFile>>;
  readonly vaults?: Readonly<Record<string, VaultFile>>;
  readonly required?: number;
  readonly policy?: "never-lose" | "available" | { readonly bounded: DurationText };
  readonly failover?: { readonly suspectAfter?: DurationText; readonly lease?: DurationText; readonly probe?: DurationText };
  readonly acknowledge?: "journal" | "applied";
  readonly writes?: "gateway" | "anywhere";
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  readonly copies?: Readonly<Record<string, CopyFile>>;
  readonly canary?: CanaryMode;
}

/** The stores that Tidemark runs, with their names: all but those of `kind: observed`. */
export function managedStores(stores: ConfigFile["stores"]): [string, StoreFile][] {
  return Object.entries(stores).flatMap(([name, store]): [string, StoreFile][] => (store.kind === "observed" ? [] : [[name, store]]));
}

export interface NodeFile {
  readonly address: AddressText;
  readonly agent: AddressText;
  readonly dataDir?: string;
  readonly domain?: FailureDomain;
}

export interface VaultFile {
  readonly listen: AddressText;
  readonly directory?: string;
  readonly domain?: FailureDomain;
  readonly synchronous?: boolean;
  readonly keepLocal?: SizeText;
  readonly archive?: ArchiveFile;
}

export interface ArchiveFile {
  readonly stores: Readonly<Record<string, ObjectStoreFile>>;
  readonly compression?: { readonly level?: number };
  readonly encryption?: "none" | { readonly key: KeyFile; readonly formerKeys?: readonly KeyFile[]; readonly acceptUnencrypted?: boolean };
  readonly partialEvery?: DurationText;
}

/** Exactly one of them. */
export interface KeyFile {
  readonly file?: string;
  readonly environment?: string;
  readonly awsKms?: {
    readonly keyId: string;
    readonly region: string;
    readonly endpoint?: string;
    readonly credentials?: AwsCredentialsFile;
  };
}

/** Exactly one of `file` and `environment`. */
export interface AwsCredentialsFile {
  readonly file?: string;
  readonly environment?: { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string };
}

export type ObjectStoreFile =
  | { readonly kind: "folder"; readonly directory?: string }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      readonly prefix?: string;
      readonly region: string;
      readonly endpoint?: string;
      readonly pathStyle?: boolean;
      readonly credentials?: AwsCredentialsFile;
      readonly lock?: { readonly mode: "governance" | "compliance"; readonly for: DurationText };
      readonly serverSideEncryption?: "AES256" | { readonly awsKms: { readonly keyId?: string } };
    };

export interface JournalFile {
  readonly kind?: "embedded";
  readonly directory?: string;
  readonly domain?: FailureDomain;
  readonly partitions?: number;
  readonly segmentSize?: SizeText;
  readonly quota?: SizeText;
  readonly minimumFree?: SizeText;
  readonly healing?: { readonly window?: DurationText; readonly atQuota?: "shorten" | "refuse" };
}

export interface GatewayFile {
  readonly listen?: AddressText;
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  readonly tokens?: Readonly<Record<string, { readonly scopes: readonly TokenScope[]; readonly file?: string }>>;
  readonly limits?: {
    readonly body?: SizeText;
    readonly batchWrites?: number;
    readonly pendingWrites?: number;
    readonly writesPerSecond?: number;
  };
  readonly idempotency?: { readonly window?: DurationText; readonly count?: number };
}

export interface CommandFile {
  readonly store: string;
  readonly key: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly sql?: string;
  readonly statements?: readonly string[];
  readonly onReject?: CommandConfig["onReject"];
  readonly volatile?: boolean;
}
