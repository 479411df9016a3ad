import { join } from "node:path";
import type { BenchContext, Contender, RunningContender } from "./contender.ts";
import { findExecutable, freePort, PeerProcess } from "./peer-process.ts";

/** XADD to a Redis stream, the append-only file fsynced before the answer. */
export const redisStreams: Contender = {
  name: "Redis Streams, appendfsync always",
  guarantee: "local fsync",
  start: startRedis,
};

async function startRedis({ folder }: BenchContext): Promise<RunningContender | { skipped: string }> {
  const binary = findExecutable("redis-server", "/usr/bin/redis-server");
  if (binary === undefined) return { skipped: "redis-server is not installed (Debian: apt-get install redis-server)" };
  const port = await freePort();
  const settings = {
    port: String(port),
    bind: "127.0.0.1",
    dir: folder,
    appendonly: "yes",
    appendfsync: "always",
    save: "",
    "auto-aof-rewrite-percentage": "0",
    daemonize: "no",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = new PeerProcess(binary, args, { log: join(folder, "redis.log") });
  await server.listening(port).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  return { target: { driver: "redis", host: "127.0.0.1", port, stream: "orders" }, close: () => server.stop() };
}
