// What is looked at because the configuration names it: each source becomes its probe. Secrets are read from their files when the probe looks
// first, and again when it is refused.
import { Redacted } from "@tidemark/kernel/redacted";
import type { DocumentSource, HttpSource, ObservedConfig, ObservedCopyConfig, ObservedSource } from "../config/observed-config.ts";
import { lateObjectStore } from "../object-stores/open-object-store.ts";
import { BarmanProbe } from "../probes/barman-probe.ts";
import { CommandProbe } from "../probes/command-probe.ts";
import type { HttpTarget } from "../probes/http-json.ts";
import { InventoryProbe } from "../probes/inventory-probe.ts";
import type { JsonSource } from "../probes/json-source.ts";
import { NatsProbe } from "../probes/nats-probe.ts";
import { PatroniProbe } from "../probes/patroni-probe.ts";
import { PgbackrestProbe } from "../probes/pgbackrest-probe.ts";
import { PostgresqlProbe } from "../probes/postgresql-probe.ts";
import type { KnownCopy } from "../probes/postgresql/node-looks.ts";
import type { PostgresqlTarget } from "../probes/postgresql/postgresql-target.ts";
import { DEFAULT_PACE, type ProbePace } from "../probes/probe-pace.ts";
import type { CopyKind } from "../probes/probe-result.ts";
import type { Probe } from "../probes/probe.ts";
import { PrometheusProbe } from "../probes/prometheus-probe.ts";
import type { StoreObservation } from "../probes/store-observation.ts";
import type { ExpectedCopy } from "./expected-copy.ts";
import type { ProbeWorld } from "./probe-world.ts";
import { SecretProbe } from "./secret-probe.ts";

/** A source that is looked at seldom takes its time: a catalogue's command, a listing, milliseconds. */
const SELDOM_TIMEOUT_MS = 30_000;
/** Looks that may fail in a row before a copy's figures are too old. */
const FRESH_PERIODS = 3;
const LEAST_FRESH_MS = 10_000;

/** What is looked at of one observed copy. */
export interface ObservedWatch {
  readonly probe: Probe;
  readonly pace: Partial<ProbePace>;
  readonly expected: readonly ExpectedCopy[];
  /** Set for a PostgreSQL: where its canary would be written. */
  readonly server?: () => Promise<PostgresqlTarget>;
}

type Source<K extends ObservedSource["kind"]> = Extract<ObservedSource, { kind: K }>;

interface Watched<K extends ObservedSource["kind"]> {
  readonly store: string;
  readonly copy: ObservedCopyConfig;
  readonly source: Source<K>;
  readonly observation: StoreObservation;
  readonly copyKnownAs: (applicationName: string) => KnownCopy | undefined;
  readonly freshForMs: number;
  readonly world: ProbeWorld;
}

type Make<K extends ObservedSource["kind"]> = (watched: Watched<K>) => { probe: Probe; names?: readonly Named[] };

/** A copy that the source has to find. */
interface Named extends Pick<ExpectedCopy, "name" | "kind"> {
  /** Absent: the observed copy's own. */
  readonly domain?: ExpectedCopy["domain"];
}

const PROBES: { readonly [K in ObservedSource["kind"]]: Make<K> } = {
  postgresql: ({ store, copy, source, observation, copyKnownAs, world }) => ({
    probe: late(`postgresql ${copy.name}`, { store, world }, async () => {
      const target = await serverTarget(source, world);
      return new PostgresqlProbe({ name: copy.name, domain: copy.domain, copyKnownAs, target, observation, clock: world.clock });
    }),
    names: [{ name: copy.name, kind: "standby" }],
  }),
  patroni: ({ store, copy, source, world }) => ({
    probe: late(`patroni ${copy.name}`, { store, world }, async () => {
      const { cluster, members, ttlMs } = source;
      const target = await httpTarget(source.target, world);
      return new PatroniProbe({ store, cluster, domains: members, target, ...given({ ttlMs }), clock: world.clock });
    }),
    names: Object.entries(source.members).map(([name, domain]) => ({ name, kind: "standby", domain })),
  }),
  pgbackrest: ({ store, copy, source, observation, freshForMs, world }) => ({
    probe: late(`pgbackrest ${copy.name}`, { store, world }, async () => {
      const { stanza, repositories } = source;
      const info = await jsonSource(source.info, world);
      const shared = { store, copy: copy.name, positions: observation.positions, freshForMs, clock: world.clock };
      return new PgbackrestProbe({ ...shared, stanza, repositories, source: info });
    }),
    names: Object.entries(source.repositories).map(([number, domain]) => ({ name: `${copy.name}/repo${number}`, kind: "backup", domain })),
  }),
  barman: ({ store, copy, source, observation, freshForMs, world }) => ({
    probe: late(`barman ${copy.name}`, { store, world }, async () => {
      const sources = {
        backups: await jsonSource(source.backups, world),
        ...(source.latest === undefined ? {} : { latest: await jsonSource(source.latest, world) }),
        ...(source.check === undefined ? {} : { check: await jsonSource(source.check, world) }),
      };
      const shared = { store, copy: copy.name, domain: copy.domain, positions: observation.positions, freshForMs, clock: world.clock };
      return new BarmanProbe({ ...shared, server: source.server, sources });
    }),
    names: [{ name: copy.name, kind: "backup" }],
  }),
  nats: ({ store, copy, source, world }) => ({
    probe: late(`nats ${copy.name}`, { store, world }, async () => {
      const { stream, consumer, account, server, isCopy } = source;
      const target = await httpTarget(source.target, world);
      const own = isCopy ? { copy: { name: copy.name, domain: copy.domain } } : {};
      return new NatsProbe({ store, stream, consumer, target, ...given({ account, server }), ...own, clock: world.clock });
    }),
    ...(source.isCopy ? { names: [{ name: copy.name, kind: "queue" as const }] } : {}),
  }),
  objects: ({ store, copy, source, freshForMs, world }) => ({
    probe: late(`objects ${copy.name}`, { store, world }, () => {
      const objects = lateObjectStore(source.objects, world, "read");
      const { name, domain } = copy;
      return Promise.resolve(
        new InventoryProbe({ store, copy: name, domain, objects, prefix: source.prefix, freshForMs, clock: world.clock }),
      );
    }),
    names: [{ name: copy.name, kind: "inventory" }],
  }),
  prometheus: ({ store, copy, source, world }) => ({
    probe: late(`prometheus ${copy.name}`, { store, world }, async () => {
      const { figure, query, sampleTime, staleAfterMs } = source;
      const target = await httpTarget(source.target, world);
      return new PrometheusProbe({ store, figure, query, target, ...given({ sampleTime, staleAfterMs }), clock: world.clock });
    }),
  }),
  command: ({ store, copy, source, freshForMs, world }) => {
    const { command, environment, says, copyKind } = source;
    const kind: CopyKind = copyKind ?? "snapshot";
    const own = says === "figure" ? {} : { copy: { name: copy.name, kind, domain: copy.domain, freshForMs } };
    return {
      probe: new CommandProbe({ name: copy.name, store, command, environment, says, ...own, clock: world.clock }),
      ...(says === "figure" ? {} : { names: [{ name: copy.name, kind }] }),
    };
  },
};

/**
 * A standby is known to its primary by its application_name: the copy's name, where that is one of lower-case letters, digits and hyphens. Others are
 * copies of which the configuration says nothing.
 */
export function copyCalled(copies: readonly ObservedCopyConfig[], applicationName: string): KnownCopy | undefined {
  const called = applicationName.toLowerCase().replaceAll(/[^a-z0-9]/g, "-");
  const copy = copies.find(({ name, source }) => source.kind === "postgresql" && name === called);
  return copy === undefined ? undefined : { name: copy.name, kind: "standby", domain: copy.domain };
}

/** The probe of an observed copy, at its pace, and the copies that it has to find. */
export function watchObservedCopy(
  copy: ObservedCopyConfig,
  of: Pick<Watched<"postgresql">, "store" | "observation" | "copyKnownAs" | "world">,
): ObservedWatch {
  const { source, periodMs, lockedForMs } = copy;
  const freshForMs = Math.max(LEAST_FRESH_MS, FRESH_PERIODS * periodMs);
  const make = PROBES[source.kind] as Make<ObservedSource["kind"]>;
  const { probe, names = [] } = make({ ...of, copy, source, freshForMs });
  return {
    probe,
    pace: {
      periodMs,
      timeoutMs: periodMs > DEFAULT_PACE.periodMs ? SELDOM_TIMEOUT_MS : DEFAULT_PACE.timeoutMs,
      mostBackoffMs: Math.max(periodMs, DEFAULT_PACE.mostBackoffMs),
    },
    expected: names.map(({ name, kind, domain = copy.domain }) => ({
      name,
      kind,
      domain,
      ...given({ lockedForMs }),
      toldBy: [probe.name],
    })),
    ...(source.kind === "postgresql" ? { server: () => serverTarget(source, of.world) } : {}),
  };
}

/**
 * How long what the servers of a store say serves, milliseconds: as long as that of the one that is asked most seldom, since what one says is
 * held against what another one said. Undefined: all are asked often.
 */
export function serversFreshForMs({ copies }: Pick<ObservedConfig, "copies">): number | undefined {
  const periods = copies.flatMap(({ source, periodMs }) => (source.kind === "postgresql" ? [FRESH_PERIODS * periodMs] : []));
  const longestMs = Math.max(0, ...periods);
  return longestMs > LEAST_FRESH_MS ? longestMs : undefined;
}

function late(name: string, of: { store: string; world: ProbeWorld }, make: () => Promise<Probe>): Probe {
  return new SecretProbe({ name, store: of.store, make, clock: of.world.clock });
}

async function serverTarget(source: Source<"postgresql">, world: ProbeWorld): Promise<PostgresqlTarget> {
  const { host, port, user, database, tls, passwordFile } = source;
  return { host, port, user, database, tls, ...(passwordFile === undefined ? {} : { password: await world.readSecret(passwordFile) }) };
}

async function httpTarget({ url, bearerFile }: HttpSource, world: ProbeWorld): Promise<HttpTarget> {
  if (bearerFile === undefined) return { url };
  return { url, authorization: authorizationOf(await world.readSecret(bearerFile)) };
}

/** A token, or `user:password`: no bearer token has a colon in it (RFC 6750, section 2.1). */
function authorizationOf(secret: Redacted<string>): Redacted<string> {
  const text = secret.reveal();
  return new Redacted(text.includes(":") ? `Basic ${Buffer.from(text).toString("base64")}` : `Bearer ${text}`);
}

async function jsonSource(source: DocumentSource, world: ProbeWorld): Promise<JsonSource> {
  return source.kind === "url" ? { kind: "url", ...(await httpTarget(source, world)) } : source;
}

/** Without the members that are undefined. */
function given<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
