// A process that uses this package and that a test may kill. Its one argument is the task as JSON; each line that it
// prints is JSON as well.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { silentLogger } from "@tidemark/kernel/logger";
import { Redacted } from "@tidemark/kernel/redacted";
import { takeBaseBackup } from "../base-backup.ts";
import { EmbeddedServer } from "../embedded-server.ts";
import { choosePostgresUser } from "../unprivileged-user.ts";
import { TEST_PASSWORD, TEST_SUPERUSER, replicationLogin, testBinaries } from "./cluster-fixture.ts";
import type { ConnectionDetails } from "./cluster-fixture.ts";

export type DriverTask =
  /** Starts an existing data directory, prints `{ pid }`, stays. */
  | { readonly kind: "start"; readonly dataDir: string; readonly logFile: string; readonly port: number }
  /** Makes, starts, stops a server in `folder`, prints `{ uid, version, stopped }`, ends. */
  | { readonly kind: "cycle"; readonly folder: string; readonly port: number }
  /** Takes a slow base backup, prints `{ doneBytes }` as it goes on. */
  | { readonly kind: "clone"; readonly connection: ConnectionDetails; readonly targetDir: string };

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function perform(task: DriverTask): Promise<void> {
  const user = choosePostgresUser();
  if (task.kind === "clone") {
    const from = replicationLogin(task.connection);
    await takeBaseBackup({
      from,
      targetDir: task.targetDir,
      label: "slow",
      user,
      maxRateKb: 8_192,
      onProgress: ({ doneBytes }) => say({ doneBytes }),
    });
    return;
  }
  const binaries = await testBinaries(user);
  const common = { binaries, user, port: task.port, logger: silentLogger, clock: systemClock };
  if (task.kind === "start") {
    const server = new EmbeddedServer({ ...common, dataDir: task.dataDir, logFile: task.logFile });
    await server.start({ awaitReady: "accepting" });
    say({ pid: server.pid });
    await server.exited();
    return;
  }
  await mkdir(task.folder, { recursive: true });
  const server = new EmbeddedServer({ ...common, dataDir: join(task.folder, "data"), logFile: join(task.folder, "postgres.log") });
  await server.initialise({ superuser: TEST_SUPERUSER, password: new Redacted(TEST_PASSWORD) });
  await server.configure({ max_connections: "10" });
  await server.start({ awaitReady: "accepting" });
  say({ uid: process.getuid?.(), version: binaries.version, stopped: await server.stop("fast") });
}

await perform(JSON.parse(process.argv[2] ?? "") as DriverTask);
