// What is looked at beside what Tidemark runs itself, as the roles use it: copies of stores, and who is told of what they show.
// Checked, with defaults filled in, durations in milliseconds, paths absolute; docs/configuration.md describes the file.
import type { CopyKind } from "../probes/probe-result.ts";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import type { ObjectStoreOptions } from "../object-stores/object-store-options.ts";
import type { TlsMode } from "../probes/postgresql/postgresql-target.ts";

/** How a store's canary works: a row each second; positions that are noted alone, where nothing may be written; or not at all. */
export type CanaryMode = "write" | "positions" | "off";

/** What is looked at of one store, one that Tidemark runs or another. */
export interface ObservedConfig {
  /** Of a store that Tidemark runs, its nodes, vaults and journal are looked at without standing here; then none may be here. */
  readonly copies: readonly ObservedCopyConfig[];
  /** Default `write` for a store that Tidemark runs, else `positions`. */
  readonly canary: CanaryMode;
}

/** One target that is looked at. Each is a probe; what it finds may be several copies (repositories, members) or only figures. */
export interface ObservedCopyConfig {
  /** Unique within its store. Copies in exposures and alerts have it, or begin with it. */
  readonly name: string;
  readonly domain: FailureDomain;
  /** Time between two looks, milliseconds. Default 1 s; of repositories, inventories and commands 1 min. */
  readonly periodMs: number;
  /** So long after it was written nobody can delete what lies there, as somebody promises (object lock): a duration, milliseconds. */
  readonly lockedForMs?: number;
  readonly source: ObservedSource;
}

export type ObservedSource =
  | {
      readonly kind: "postgresql";
      readonly host: string;
      readonly port: number;
      readonly user: string;
      readonly passwordFile?: string;
      readonly database: string;
      readonly tls: TlsMode;
    }
  | {
      readonly kind: "patroni";
      readonly cluster: string;
      readonly target: HttpSource;
      readonly members: Readonly<Record<string, FailureDomain>>;
      readonly ttlMs?: number;
    }
  | {
      readonly kind: "pgbackrest";
      readonly stanza: string;
      readonly info: DocumentSource;
      /** Where each repository is, by its number. */
      readonly repositories: Readonly<Record<number, FailureDomain>>;
    }
  | {
      readonly kind: "barman";
      readonly server: string;
      readonly backups: DocumentSource;
      readonly latest?: DocumentSource;
      readonly check?: DocumentSource;
    }
  | {
      readonly kind: "nats";
      readonly stream: string;
      readonly consumer: string;
      readonly account?: string;
      readonly server?: string;
      /** Every change of the store is in the stream. */
      readonly isCopy: boolean;
      readonly target: HttpSource;
    }
  | { readonly kind: "objects"; readonly objects: ObjectStoreOptions; readonly prefix: string }
  | {
      readonly kind: "prometheus";
      readonly figure: string;
      readonly query: string;
      readonly sampleTime?: string;
      readonly staleAfterMs?: number;
      readonly target: HttpSource;
    }
  | {
      readonly kind: "command";
      readonly command: readonly [string, ...string[]];
      readonly environment: Readonly<Record<string, string>>;
      readonly says: "age" | "time" | "figure";
      /** What kind of copy an age or a time is of; absent for a figure. */
      readonly copyKind?: CopyKind;
    };

/** An HTTP address without a path of its own, and the file with the bearer token or the basic credentials that it asks for. */
export interface HttpSource {
  readonly url: string;
  readonly bearerFile?: string;
}

/** Where a JSON document comes from: a command's output, a file that something else writes, or an address. */
export type DocumentSource =
  | { readonly kind: "command"; readonly command: readonly [string, ...string[]]; readonly environment: Readonly<Record<string, string>> }
  | { readonly kind: "file"; readonly path: string }
  | ({ readonly kind: "url" } & HttpSource);

/** What a loss is counted in. */
export interface BusinessConfig {
  /** The plural: `orders`. */
  readonly unit: string;
  readonly perHour?: number;
  readonly perTransaction?: number;
  /** What an hour earns, and in which currency. */
  readonly revenue?: { readonly currency: string; readonly perHour: number };
}

export interface AlertsConfig {
  readonly receivers: readonly AlertReceiverConfig[];
  /** By the rule's name. */
  readonly rules: Readonly<
    Record<string, { readonly off?: boolean; readonly severity?: "page" | "ticket"; readonly forMs?: number; readonly keepMs?: number }>
  >;
  /** Where runbook pages are: `<base>/<rule>.md`. */
  readonly runbooks: string;
}

export type AlertReceiverConfig =
  | {
      readonly kind: "alertmanager";
      readonly name: string;
      readonly url: string;
      readonly bearerFile?: string;
      /** Absent: both. */
      readonly severities?: readonly ("page" | "ticket")[];
    }
  | {
      readonly kind: "webhook";
      readonly name: string;
      /** Its address, or a file with it where the address itself is the secret. */
      readonly url: string | { readonly file: string };
      readonly keyFile: string;
      readonly severities?: readonly ("page" | "ticket")[];
    };

/** How long figures are kept; docs/exposure.md. */
export interface HistoryConfig {
  readonly keepSecondsMs: number;
  readonly keepMinutesMs: number;
  readonly keepHoursMs: number;
  readonly mostBytes: number;
}
