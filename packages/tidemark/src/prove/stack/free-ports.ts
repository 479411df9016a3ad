import { createServer, type Server } from "node:net";

/**
 * `count` ports of the loopback address that nothing listens on. They are held together until all are known, so that
 * they differ; another process may take one before it is used, and then the stack says so.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  try {
    const ports: number[] = [];
    for (let i = 0; i < count; i++) {
      const server = createServer();
      servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ host: "127.0.0.1", port: 0 }, resolve);
      });
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("the server has no port");
      ports.push(address.port);
    }
    return ports;
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}
