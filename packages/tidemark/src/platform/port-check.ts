import { once } from "node:events";
import { createServer } from "node:net";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Config } from "../config/config.ts";
import { formatAddress, type ListenAddress } from "../config/listen-address.ts";

/**
 * Rejects with TM-PLATFORM-PORT-IN-USE when something else listens where a role of this machine should, naming every
 * such role: otherwise each would be started again and again, in vain. The ports of PostgreSQL are not looked at: a
 * server that outlived its agent holds its port, and is adopted.
 */
export async function checkPorts(config: Config): Promise<void> {
  const agents = Object.values(config.stores).flatMap((store) =>
    store.nodes.map((node) => ({ role: `agent-${node.name}`, address: node.agent })),
  );
  const taken: string[] = [];
  for (const { role, address } of [{ role: "control", address: config.control }, ...agents, { role: "gateway", address: config.gateway }]) {
    if (await isTaken(address)) taken.push(`${formatAddress(address)} (${role})`);
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
