// A role as a process of its own, for tests: `role-process.ts <control|agent|vault> <config.json> [node or vault] [step]`. Logs JSON
// lines to standard error; ends cleanly on SIGTERM; an agent kills itself (SIGKILL) at the step that is named.
import { readFileSync } from "node:fs";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { pino } from "pino";
import type { Config } from "../../config/config.ts";
import { runControlRole } from "../../control/control-role.ts";
import { runVaultRole } from "../../vault/vault-role.ts";
import { runAgentRole } from "../agent/agent-role.ts";
import { keepCompiled } from "../../platform/compile-cache.ts";

const [role, configFile, node, killAt] = process.argv.slice(2);
const config = JSON.parse(readFileSync(configFile ?? "", "utf8")) as Config;
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());
const logger = pino({ base: { role: `${role ?? ""}${node ?? ""}` } }, pino.destination({ dest: 2, sync: true }));
const shared = { config, logger, clock: systemClock, random: systemRandom, signal: stop.signal, onReady };
function onReady(): void {
  process.send?.("ready");
  keepCompiled();
}

function step(reached: string): void {
  if (reached === killAt) process.kill(process.pid, "SIGKILL");
}

try {
  if (role === "control") await runControlRole(shared);
  else if (role === "vault") await runVaultRole({ ...shared, vault: node ?? "" });
  else await runAgentRole({ ...shared, node: node ?? "", ...(killAt === undefined ? {} : { step }) });
  process.exit(0);
} catch (error) {
  logger.error({ err: error }, "the role ended");
  process.exit(1);
}
