// Ports for processes that are started a moment later: stacks of proofs, tests, benchmarks.
import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

/**
 * Where ports are looked for. Not among those that the kernel gives to outgoing connections (32768 and up on Linux, 49152 and
 * up elsewhere): one of these may be taken between being found free and being listened on.
 */
const FIRST = 15_000;
const AFTER_LAST = 32_000;
const MOST_ATTEMPTS = 1_000;

/**
 * `count` different ports of 127.0.0.1 that nothing listens on. They are held together until all are known; another process
 * may still take one before it is used, and then whoever listens says so. Rejects when no port is free.
 */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = [];
  const ports: number[] = [];
  try {
    for (let attempt = 0; ports.length < count; attempt++) {
      if (attempt === MOST_ATTEMPTS)
        throw new Error(`looked for ${count} free ports from ${FIRST} to ${AFTER_LAST - 1} and found ${ports.length}`);
      const port = randomInt(FIRST, AFTER_LAST);
      const server = await listening(port);
      if (server === undefined) continue;
      held.push(server);
      ports.push(port);
    }
    return ports;
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/** One of them. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

/** Undefined when the port is taken, or not ours to take. */
function listening(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(undefined);
      else reject(error);
    });
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => resolve(server));
  });
}
