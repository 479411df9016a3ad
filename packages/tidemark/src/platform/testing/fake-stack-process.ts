// A supervisor of fake roles as a process of its own, so that a test can kill it. Arguments: configuration, state folder,
// diary. Prints `ready <pids of the roles>` once all of them are; SIGTERM stops it in order.
import { silentLogger } from "@tidemark/kernel/logger";
import { startStack } from "../start-stack.ts";
import { fakePlans } from "./fake-plans.ts";

const [configFile = "", stateDir = "", diary = ""] = process.argv.slice(2);
const stack = await startStack({
  configFile,
  stateDir,
  logger: silentLogger,
  checkPorts: () => Promise.resolve(),
  plan: () => fakePlans({ configFile, stateDir, diary }),
});
const asked = new Promise<void>((resolve) => process.once("SIGTERM", () => resolve()));
await stack.settled();
process.stdout.write(
  `ready ${stack
    .roles()
    .map((role) => role.pid)
    .join(" ")}\n`,
);
await asked;
await stack.stop();
