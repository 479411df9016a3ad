import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { Config } from "../../config/config.ts";
import { readOrCreateSecret } from "../../platform/secret-files.ts";
import { HttpLeaseStore } from "../http-lease-store.ts";
import { InternalClient } from "../internal-client.ts";
import { roleServer } from "../role-server.ts";
import { OPEN_PATHS, addAgentRoutes } from "./agent-server.ts";
import { ControlLink } from "./control-link.ts";
import { NodeSupervisor } from "./node-supervisor.ts";
import type { NodeStep } from "./postgres-node.ts";
import { PostgresNode } from "./postgres-node.ts";

export interface AgentRoleOptions {
  readonly config: Config;
  /** Name of the node in the configuration. */
  readonly node: string;
  /** Name of its store; needed only where two stores have a node of that name. */
  readonly store?: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends the agent and, in order, its PostgreSQL. A killed agent leaves it running; the next one adopts it. */
  readonly signal: AbortSignal;
  /** Called once the agent answers requests; PostgreSQL may still be coming up. */
  readonly onReady?: () => void;
  readonly step?: (step: NodeStep) => void;
}

/** Runs the agent of one node until `signal` aborts. Rejects when its port is taken, PostgreSQL cannot be found, or the names are unknown. */
export async function runAgentRole(options: AgentRoleOptions): Promise<void> {
  const { config, clock, random, signal, step } = options;
  const found = Object.entries(config.stores)
    .filter(([name]) => options.store === undefined || name === options.store)
    .flatMap(([storeName, store]) =>
      store.nodes.filter((one) => one.name === options.node).map((nodeConfig) => ({ storeName, store, nodeConfig })),
    );
  const [only] = found;
  if (only === undefined || found.length > 1) {
    throw new TidemarkError(
      "TM-CLUSTER-UNKNOWN-STORE",
      `there ${only === undefined ? "is no node" : "is more than one node"} ${options.node} in ${config.file}`,
    );
  }
  const { storeName, store, nodeConfig } = only;
  const logger = options.logger.child({ store: storeName, node: options.node });
  const token = await readOrCreateSecret(config.control.internalTokenFile);
  const password = await readOrCreateSecret(store.passwordFile);
  const node = await PostgresNode.open({
    storeName,
    store,
    node: nodeConfig,
    token,
    logger,
    clock,
    random,
    ...(step === undefined ? {} : { step }),
  });
  const address = { host: config.control.host, port: config.control.port };
  const supervisor: NodeSupervisor = new NodeSupervisor(node, {
    store: new HttpLeaseStore({ address, token, clock }),
    password,
    onStatus: () => link.beat(),
  });
  const client = new InternalClient({ address, token, clock, away: "TM-CLUSTER-AGENT-AWAY" });
  const link = new ControlLink({ client, clock, logger, status: () => supervisor.status() });
  const server = roleServer({ token, logger, open: OPEN_PATHS });
  addAgentRoutes(server, supervisor, () => link.route);
  if (step !== undefined) server.addHook("onResponse", async (request) => step(`answered ${request.url}`));
  await server.listen({ host: nodeConfig.agent.host, port: nodeConfig.agent.port });
  try {
    options.onReady?.();
    await Promise.all([supervisor.run(signal), link.run(storeName, signal)]);
  } finally {
    await server.close();
  }
}
