import { once } from "node:events";
import { createServer } from "node:net";
import { TidemarkError } from "@tidemark/kernel/errors";
import { postgresProcesses } from "@tidemark/postgres/process-table";
import type { Config } from "../config/config.ts";
import { formatAddress, type ListenAddress } from "../config/listen-address.ts";
import { withRealDataDirs } from "./data-place.ts";
import { hasGateway } from "./role-plan.ts";

/**
 * Rejects with TM-PLATFORM-PORT-IN-USE when something else listens where a role or a PostgreSQL of this machine should,
 * naming every one: otherwise each would be started again and again, in vain. A server that outlived its agent holds its
 * port rightly, and is adopted.
 */
export async function checkPorts(config: Config): Promise<void> {
  const agents = Object.values(config.stores).flatMap((store) =>
    store.nodes.map((node) => ({ role: `agent-${node.name}`, address: node.agent })),
  );
  const vaults = Object.values(config.stores).flatMap((store) =>
    store.vaults.map((vault) => ({ role: `vault-${vault.name}`, address: { host: vault.host, port: vault.port } })),
  );
  const taken: string[] = [];
  for (const { role, address } of [
    { role: "control", address: config.control },
    ...agents,
    ...vaults,
    ...(hasGateway(config) ? [{ role: "gateway", address: config.gateway }] : []),
  ]) {
    if (await isTaken(address)) taken.push(`${formatAddress(address)} (${role})`);
  }
  const { stores } = await withRealDataDirs(config);
  for (const { name, host, port, dataDir } of Object.values(stores).flatMap((store) => store.nodes)) {
    if ((await isTaken({ host, port })) && (await postgresProcesses(dataDir, undefined)).length === 0)
      taken.push(`${formatAddress({ host, port })} (PostgreSQL ${name})`);
  }
  if (taken.length > 0)
    throw new TidemarkError("TM-PLATFORM-PORT-IN-USE", `start the stack: something else listens on ${taken.join(", ")}`);
}

/** Whether binding fails because another listens there. Other faults (no such address, no rights) are the role's to explain. */
async function isTaken({ host, port }: ListenAddress): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, "listening");
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EADDRINUSE";
  }
  server.close();
  await once(server, "close");
  return false;
}
