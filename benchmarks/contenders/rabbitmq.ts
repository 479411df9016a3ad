import { connect } from "amqplib";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchContext, Contender, RunningContender } from "./contender.ts";
import { findExecutable, freePort, PeerProcess } from "./peer-process.ts";

const QUEUE = "orders";

/** A quorum queue of one node with persistent messages and publisher confirms: confirmed once the queue's log is synced. */
export const rabbitmqQuorum: Contender = {
  name: "RabbitMQ quorum queue, publisher confirms",
  guarantee: "local fsync",
  start: startRabbitmq,
};

async function startRabbitmq({ folder }: BenchContext): Promise<RunningContender | { skipped: string }> {
  // Debian's script in /usr/sbin changes to another user; the one below it runs as whoever starts it.
  const binary = findExecutable("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server");
  const epmdBinary = findExecutable("epmd", "/usr/bin/epmd");
  if (binary === undefined || epmdBinary === undefined)
    return { skipped: "rabbitmq-server is not installed (Debian: apt-get install rabbitmq-server)" };
  const [port, epmdPort, distPort] = [await freePort(), await freePort(), await freePort()];
  for (const name of ["home", "mnesia", "log"]) mkdirSync(join(folder, name));
  writeFileSync(
    join(folder, "rabbitmq.conf"),
    `listeners.tcp.default = 127.0.0.1:${port}\nloopback_users = none\nlog.file.level = warning\ndisk_free_limit.absolute = 1GB\n`,
  );
  writeFileSync(join(folder, "enabled_plugins"), "[].\n");
  writeFileSync(join(folder, "rabbitmq-env.conf"), "");
  const env = {
    ...process.env,
    HOME: join(folder, "home"),
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `bench${port}@localhost`,
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_CONF_ENV_FILE: join(folder, "rabbitmq-env.conf"),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
    RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
    RABBITMQ_PID_FILE: join(folder, "rabbitmq.pid"),
  };
  // Its port mapper would outlive the server; ours is a child that we end.
  const epmd = new PeerProcess(epmdBinary, ["-port", String(epmdPort), "-address", "127.0.0.1"], { log: join(folder, "epmd.log"), env });
  const stopBoth = async (server?: PeerProcess): Promise<void> => {
    await server?.stop(20_000);
    await epmd.stop();
  };
  let server: PeerProcess | undefined;
  try {
    await epmd.listening(epmdPort);
    server = new PeerProcess(binary, [], { log: join(folder, "server.log"), env });
    await server.listening(port);
    const url = `amqp://guest:guest@127.0.0.1:${port}`;
    await declareQueue(url);
    const running = server;
    return { target: { driver: "amqp", url, queue: QUEUE }, close: () => stopBoth(running) };
  } catch (error) {
    await stopBoth(server);
    throw error;
  }
}

async function declareQueue(url: string): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  await channel.assertQueue(QUEUE, { durable: true, arguments: { "x-queue-type": "quorum" } });
  await channel.close();
  await connection.close();
}
