import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { Redacted } from "@tidemark/kernel/redacted";
import { openAuditLog } from "../audit/audit-log.ts";
import type { JsonValue } from "../proofs/canonical-json.ts";
import { reachGateway } from "../cluster/gateway-reach.ts";
import { InternalClient } from "../cluster/internal-client.ts";
import { roleServer } from "../cluster/role-server.ts";
import { SqliteLeaseStore } from "../cluster/sqlite-lease-store.ts";
import type { Config, StoreConfig } from "../config/config.ts";
import type { ObservedSecond } from "../observer/observer.ts";
import { readOrCreateSecret, readSecret } from "../platform/secret-files.ts";
import { AgentRegistry } from "./agent-registry.ts";
import type { StoreReport } from "./cluster-status.ts";
import { reportStore } from "./cluster-status.ts";
import { addMeasurementRoutes, metricsOf, openMeasurement } from "./control-measurement.ts";
import { ControlMetrics } from "./control-metrics.ts";
import { CONTROL_OPEN_PATHS, addControlRoutes } from "./control-server.ts";
import { Coordinator } from "./coordinator.ts";
import type { FailoverEvent } from "./failover-history.ts";
import { FailoverHistory } from "./failover-history.ts";
import { proofsOf } from "./failover-recoveries.ts";
import { gatewayWriteLives } from "./gateway-write-lives.ts";
import { addLeaseStoreRoutes } from "./lease-store-routes.ts";
import { MemberFrontiers } from "./member-frontiers.ts";
import { RouteBoard } from "./route-board.ts";
import { ServiceAccounts } from "./service-accounts.ts";

export interface ControlRoleOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Called once control answers requests. */
  readonly onReady?: (address: { readonly host: string; readonly port: number }) => void;
}

/** How long votes are waited for before the incumbent is tried again (R8), milliseconds. */
const VOTE_WAIT_MS = 3_000;
/** Time between attempts of a blocked failover, milliseconds. */
const RETRY_MS = 1_000;
/** The embedded lease store has one coordinator: the claim of another is that of a former process. */
const TAKE_OVER_AFTER_MS = 0;
const GATEWAY_TIMEOUT_MS = 1_000;

/**
 * Runs control until `signal` aborts. Rejects when its port is taken or its state cannot be opened, and with
 * TM-CLUSTER-LEASE-STORE-AWAY when the lease store has stopped after a fault (FAIL-STOP): started again, control recovers it.
 */
export async function runControlRole(options: ControlRoleOptions): Promise<void> {
  const { config, logger, clock, random } = options;
  const broken = new AbortController();
  const signal = AbortSignal.any([options.signal, broken.signal]);
  const token = await readOrCreateSecret(config.control.internalTokenFile);
  const folder = join(config.stateDir, "control");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const leaseStore = new SqliteLeaseStore(join(folder, "lease-store.sqlite"), clock, (error) => broken.abort(error));
  const audit = await openAuditLog({ file: join(config.stateDir, "audit", "audit.jsonl"), clock });
  const registry = new AgentRegistry(clock);
  const routes = new RouteBoard(clock);
  const coordinators = new Map<string, Coordinator>();
  const histories = new Map<string, FailoverHistory>();
  const incarnation = `control-${Buffer.from(random.bytes(6)).toString("hex")}`;

  for (const [storeName, store] of Object.entries(config.stores)) {
    const storeLogger = logger.child({ store: storeName });
    const history = new FailoverHistory({ store: leaseStore, storeName, clock, logger: storeLogger });
    await history.load();
    histories.set(storeName, history);
    const frontiers = new MemberFrontiers({ store: leaseStore, storeName, clock, logger: storeLogger });
    await frontiers.load();
    coordinators.set(
      storeName,
      new Coordinator({
        storeName,
        store,
        settings: {
          coordinator: incarnation,
          nodes: votersOf(store),
          promotable: store.nodes.map((node) => node.name),
          policy: store.policy,
          leaseMs: store.failover.leaseMs,
          voteWaitMs: VOTE_WAIT_MS,
          retryMs: RETRY_MS,
          takeOverAfterMs: TAKE_OVER_AFTER_MS,
        },
        leaseStore,
        registry,
        routes,
        history,
        frontiers,
        agents: agentsOf(store, token, clock),
        password: await readOrCreateSecret(store.passwordFile),
        clock,
        logger: storeLogger,
        onEvent: (event) => {
          if (event.kind === "blocked") return;
          audit
            .append({ who: incarnation, action: event.kind, subject: storeName, reason: event.reason, facts: factsOf(event) })
            .catch((error: unknown) => storeLogger.error({ err: error }, "the failover could not be written into the audit log"));
        },
      }),
    );
  }

  const report = (storeName: string): StoreReport => {
    const store = config.stores[storeName] as StoreConfig;
    const coordinator = coordinators.get(storeName) as Coordinator;
    const history = histories.get(storeName) as FailoverHistory;
    return reportStore(storeName, store, {
      state: coordinator.state,
      registry,
      route: routes.current(storeName),
      events: history.events,
      lastFailover: history.lastFailover,
    });
  };
  const names = Object.keys(config.stores);
  const startedMs = clock.monotonicMs();
  const measurement = openMeasurement({
    config,
    token,
    folder,
    registry,
    proofs: (store) => proofsOf(histories.get(store)?.events ?? []),
    audit,
    readSecret: secretIn,
    environment: process.env,
    clock,
    random,
    logger: logger.child({ part: "measurement" }),
  });
  const gateway = new InternalClient({ address: reachGateway(config.gateway), token, clock, away: "TM-CLUSTER-GATEWAY-AWAY" });
  const server = roleServer({ token, logger, open: CONTROL_OPEN_PATHS });
  const { history, subjects } = measurement;
  const accounts = new ServiceAccounts({ config, history, subjects, failovers: histories, clock });
  await addMeasurementRoutes(server, measurement, {
    nowMs: () => clock.wallMs(),
    writeLives: () => gatewayWriteLives(gateway),
    accounts,
    runbooks: config.alerts.runbooks,
  });
  addLeaseStoreRoutes(server, leaseStore);
  addControlRoutes(server, {
    routes,
    registry,
    coordinators,
    nodes: new Map(Object.entries(config.stores).map(([name, store]) => [name, new Set(votersOf(store))])),
    metrics: metricsOf(new ControlMetrics(() => names.map(report)), { measurement, accounts }),
    report,
    status: async () => ({
      name: config.name,
      atMs: clock.wallMs(),
      control: {
        coordinator: incarnation,
        uptimeMs: Math.round(clock.monotonicMs() - startedMs),
        leaseStore: "embedded: a declared single point",
      },
      stores: Object.fromEntries(names.map((name) => [name, report(name)])),
      measured: { ...measurement.status(), ...measuredNow(measurement.known()) },
      gateway: await askGateway(gateway),
    }),
    accept: async (storeName, acceptance) => {
      const { by, reason, primaryIsDown } = acceptance;
      const state = coordinators.get(storeName)?.state;
      const facts = { phase: state?.phase ?? "unknown", bytes: state?.estimate?.bytes ?? null, primaryIsDown };
      await audit.append({ who: by, action: "accept-loss", subject: storeName, reason, facts });
      coordinators.get(storeName)?.accept(acceptance);
    },
  });
  await server.listen({ host: config.control.host, port: config.control.port });
  try {
    options.onReady?.({ host: config.control.host, port: config.control.port });
    await Promise.all([...[...coordinators.values()].map((coordinator) => coordinator.run(signal)), measurement.run(signal)]);
    broken.signal.throwIfAborted();
  } finally {
    routes.close();
    await server.close();
    leaseStore.close();
  }
}

async function secretIn(file: string): Promise<Redacted<string>> {
  const secret = await readSecret(file);
  if (secret === undefined) throw new TidemarkError("TM-PLATFORM-SECRET", `there is no secret in ${file}`);
  return secret;
}

/** What people ask for first: the exposures that somebody demanded something of. The rest is at /v1/exposure. */
function measuredNow({ atMs, exposures }: ObservedSecond): object {
  return { atMs, exposures: exposures.filter(({ objective }) => objective !== undefined) };
}

/** Everybody who can promise and vote. */
function votersOf(store: StoreConfig): string[] {
  return [...store.nodes, ...store.vaults].map(({ name }) => name);
}

/** Where each of them answers: a node's agent, and the vault itself. */
function agentsOf(store: StoreConfig, token: Redacted<string>, clock: Clock): Map<string, InternalClient> {
  const places = [
    ...store.nodes.map(({ name, agent }) => ({ name, address: agent })),
    ...store.vaults.map(({ name, host, port }) => ({ name, address: { host, port } })),
  ];
  return new Map(places.map(({ name, address }) => [name, new InternalClient({ address, token, clock, away: "TM-CLUSTER-AGENT-AWAY" })]));
}

/** What the gateway says of itself; without it the rest of the status stands. */
async function askGateway(client: InternalClient): Promise<unknown> {
  try {
    return (await client.request({ path: "/v1/status", timeoutMs: GATEWAY_TIMEOUT_MS })).body;
  } catch (error) {
    return { unknown: true, why: error instanceof Error ? error.message : String(error) };
  }
}

function factsOf(event: FailoverEvent): { [name: string]: JsonValue } {
  return JSON.parse(
    JSON.stringify({
      epoch: event.epoch,
      from: event.from,
      to: event.to,
      phasesMs: event.phasesMs,
      totalMs: event.totalMs,
      loss: event.loss,
    }),
  ) as { [name: string]: JsonValue };
}
