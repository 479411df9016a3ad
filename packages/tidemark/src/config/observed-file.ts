// What is looked at, as written in tidemark.yaml once it fits the schema. Exactly one source stands in a copy.
import type { FailureDomain } from "../objectives/failure-domain.ts";
import type { TlsMode } from "../probes/postgresql/postgresql-target.ts";
import type { AddressText, DurationText, ObjectStoreFile, SizeText } from "./config-file.ts";
import type { CanaryMode, ObservedSource } from "./observed-config.ts";

/** A store that somebody else runs. */
export interface ObservedStoreFile {
  readonly kind: "observed";
  readonly copies: Readonly<Record<string, CopyFile>>;
  readonly canary?: CanaryMode;
}

export interface CopyFile {
  readonly postgresql?: PostgresqlSourceFile;
  readonly patroni?: PatroniSourceFile;
  readonly pgbackrest?: PgbackrestSourceFile;
  readonly barman?: BarmanSourceFile;
  readonly nats?: NatsSourceFile;
  readonly objects?: { readonly store: ObjectStoreFile; readonly prefix?: string };
  readonly prometheus?: PrometheusSourceFile;
  readonly command?: CommandSourceFile;
  readonly domain?: FailureDomain;
  readonly period?: DurationText;
  readonly lockedFor?: DurationText;
}

export interface PostgresqlSourceFile {
  readonly address: AddressText;
  readonly user: string;
  readonly passwordFile?: string;
  readonly database?: string;
  readonly tls?: TlsMode;
}

export interface HttpSourceFile {
  readonly url: string;
  readonly bearerFile?: string;
}

export interface PatroniSourceFile extends HttpSourceFile {
  readonly cluster?: string;
  readonly members?: Readonly<Record<string, FailureDomain>>;
  readonly ttl?: DurationText;
}

export interface PgbackrestSourceFile {
  readonly stanza: string;
  readonly info?: DocumentFile;
  readonly repositories?: Readonly<Record<string, FailureDomain>>;
}

export interface BarmanSourceFile {
  readonly server: string;
  readonly backups?: DocumentFile;
  readonly latest?: DocumentFile;
  readonly check?: DocumentFile;
}

export interface NatsSourceFile extends HttpSourceFile {
  readonly stream: string;
  readonly consumer: string;
  readonly account?: string;
  readonly server?: string;
  readonly isCopy?: boolean;
}

export interface PrometheusSourceFile extends HttpSourceFile {
  readonly query: string;
  readonly figure?: string;
  readonly sampleTime?: string;
  readonly staleAfter?: DurationText;
}

type CommandSource = Extract<ObservedSource, { kind: "command" }>;

export interface CommandSourceFile {
  readonly run: CommandSource["command"];
  readonly environment?: Readonly<Record<string, string>>;
  readonly says: CommandSource["says"];
  readonly copyKind?: NonNullable<CommandSource["copyKind"]>;
}

/** Exactly one of `run`, `file` and `url`; `environment` with the first, `bearerFile` with the last. */
export interface DocumentFile {
  readonly run?: CommandSource["command"];
  readonly environment?: Readonly<Record<string, string>>;
  readonly file?: string;
  readonly url?: string;
  readonly bearerFile?: string;
}

type Severities = readonly ("page" | "ticket")[];

export interface AlertsFile {
  readonly receivers?: Readonly<Record<string, ReceiverFile>>;
  readonly rules?: Readonly<Record<string, RuleSettingsFile>>;
  readonly runbooks?: string;
}

/** Exactly one of `alertmanager` and `webhook`; of a webhook one of `url` and `urlFile`. */
export interface ReceiverFile {
  readonly alertmanager?: HttpSourceFile;
  readonly webhook?: { readonly url?: string; readonly urlFile?: string; readonly keyFile: string };
  readonly severities?: Severities;
}

export interface RuleSettingsFile {
  readonly off?: boolean;
  readonly severity?: "page" | "ticket";
  readonly for?: DurationText;
  readonly keep?: DurationText;
}

export interface HistoryFile {
  readonly keepSeconds?: DurationText;
  readonly keepMinutes?: DurationText;
  readonly keepHours?: DurationText;
  readonly mostSize?: SizeText;
}
