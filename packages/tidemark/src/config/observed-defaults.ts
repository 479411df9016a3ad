// What is looked at as written, with what its file leaves out filled in.
import { resolve } from "node:path";
import { completeObjectStore } from "./vault-defaults.ts";
import type { StoreFile } from "./config-file.ts";
import { addressOf, domainAt, durationMs, type Places } from "./config-values.ts";
import { isLoopback } from "./listen-address.ts";
import type { DocumentSource, HttpSource, ObservedConfig, ObservedCopyConfig, ObservedSource } from "./observed-config.ts";
import type { BarmanSourceFile, CopyFile, DocumentFile, HttpSourceFile, ObservedStoreFile } from "./observed-file.ts";

/** Between two looks at what answers at once, and at what costs time or money. */
const PERIOD_MS = 1_000;
const SLOW_PERIOD_MS = 60_000;

/** The keys of a copy that say what it is; exactly one stands there. */
export const SOURCE_KINDS = ["postgresql", "patroni", "pgbackrest", "barman", "nats", "objects", "prometheus", "command"] as const;

type SourceKind = (typeof SOURCE_KINDS)[number];

const SLOW: ReadonlySet<SourceKind> = new Set(["pgbackrest", "barman", "objects", "command"]);

/** The sources of a copy, by their keys. */
export function sourceKindsOf(copy: CopyFile): SourceKind[] {
  return SOURCE_KINDS.filter((kind) => copy[kind] !== undefined);
}

/** What is looked at of a store; of one that Tidemark runs its nodes, vaults and journal are looked at besides. */
export function completeObserved(store: StoreFile | ObservedStoreFile, places: Places): ObservedConfig {
  return {
    copies: Object.entries(store.copies ?? {}).map(([name, copy]) => completeCopy(copy, name, places)),
    canary: store.canary ?? usualCanary(store),
  };
}

/**
 * Under `bounded` commits stop when the newest WAL without a copy is too old. A row of the canary is such WAL: an idle store whose standby is away would
 * refuse the first write of its users.
 */
function usualCanary(store: StoreFile | ObservedStoreFile): ObservedConfig["canary"] {
  return store.kind === "observed" || typeof store.policy === "object" ? "positions" : "write";
}

/** `copy` has exactly one source. */
function completeCopy(copy: CopyFile, name: string, places: Places): ObservedCopyConfig {
  const slow = sourceKindsOf(copy).some((kind) => SLOW.has(kind));
  return {
    name,
    domain: copy.postgresql === undefined ? { ...copy.domain } : domainAt(copy.postgresql.address, name, copy.domain),
    periodMs: copy.period === undefined ? (slow ? SLOW_PERIOD_MS : PERIOD_MS) : durationMs(copy.period, "0"),
    ...(copy.lockedFor === undefined ? {} : { lockedForMs: durationMs(copy.lockedFor, "0") }),
    source: completeSource(copy, name, places),
  };
}

function completeSource(copy: CopyFile, name: string, places: Places): ObservedSource {
  const { postgresql, patroni, pgbackrest, nats, objects, prometheus, command } = copy;
  if (postgresql !== undefined) {
    const { address, user, passwordFile, database = "postgres", tls } = postgresql;
    const { host, port } = addressOf(address);
    return {
      kind: "postgresql",
      host,
      port,
      user,
      ...(passwordFile === undefined ? {} : { passwordFile: resolve(places.folder, passwordFile) }),
      database,
      tls: tls ?? (isLoopback(host) ? "prefer" : "require"),
    };
  }
  if (patroni !== undefined) {
    const { cluster = name, members = {}, ttl } = patroni;
    const ttlMs = ttl === undefined ? {} : { ttlMs: durationMs(ttl, "0") };
    return { kind: "patroni", cluster, target: httpSource(patroni, places), members, ...ttlMs };
  }
  if (pgbackrest !== undefined) {
    const { stanza, info, repositories = {} } = pgbackrest;
    const usual = ["pgbackrest", "info", "--output=json", `--stanza=${stanza}`] as const;
    return { kind: "pgbackrest", stanza, info: completeDocument(info ?? { run: usual }, places), repositories };
  }
  if (nats !== undefined) {
    const { url, bearerFile, isCopy = false, ...rest } = nats;
    return { kind: "nats", ...rest, isCopy, target: httpSource({ url, ...(bearerFile === undefined ? {} : { bearerFile }) }, places) };
  }
  if (objects !== undefined)
    return { kind: "objects", objects: completeObjectStore(objects.store, "", places), prefix: objects.prefix ?? "" };
  if (prometheus !== undefined) {
    const { figure = figureOf(name), query, sampleTime, staleAfter } = prometheus;
    return {
      kind: "prometheus",
      figure,
      query,
      ...(sampleTime === undefined ? {} : { sampleTime }),
      ...(staleAfter === undefined ? {} : { staleAfterMs: durationMs(staleAfter, "0") }),
      target: httpSource(prometheus, places),
    };
  }
  if (command !== undefined) {
    const { run, environment = {}, says, copyKind = "backup" } = command;
    return { kind: "command", command: run, environment, says, ...(says === "figure" ? {} : { copyKind }) };
  }
  return completeBarman(copy.barman as BarmanSourceFile, places);
}

/** A copy's name as that of a figure. */
function figureOf(name: string): string {
  const figure = name.toLowerCase().replaceAll(/[^a-z0-9]/g, "_");
  return /^[a-z]/.test(figure) ? figure : `figure_${figure}`;
}

/** Where nothing is said of the others, they come as the backups do. */
function completeBarman({ server, backups, latest, check }: BarmanSourceFile, places: Places): ObservedSource {
  const ask = (...words: [string, ...string[]]): DocumentFile => ({ run: ["barman", "--format", "json", ...words] });
  const document = (written: DocumentFile | undefined, usual: DocumentFile): DocumentSource | undefined => {
    const given = written ?? (backups === undefined ? usual : undefined);
    return given === undefined ? undefined : completeDocument(given, places);
  };
  const [newest, judged] = [document(latest, ask("show-backup", server, "latest")), document(check, ask("check", server))];
  return {
    kind: "barman",
    server,
    backups: completeDocument(backups ?? ask("list-backups", server), places),
    ...(newest === undefined ? {} : { latest: newest }),
    ...(judged === undefined ? {} : { check: judged }),
  };
}

function completeDocument({ run, environment = {}, file, url, bearerFile }: DocumentFile, places: Places): DocumentSource {
  if (run !== undefined) return { kind: "command", command: run, environment };
  if (url !== undefined) return { kind: "url", ...httpSource({ url, ...(bearerFile === undefined ? {} : { bearerFile }) }, places) };
  return { kind: "file", path: resolve(places.folder, file ?? "") };
}

function httpSource({ url, bearerFile }: HttpSourceFile, places: Places): HttpSource {
  return { url, ...(bearerFile === undefined ? {} : { bearerFile: resolve(places.folder, bearerFile) }) };
}
