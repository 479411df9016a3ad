import { Command } from "commander";
import { TidemarkError } from "@tidemark/kernel/errors";
import { didYouMean } from "../config/did-you-mean.ts";
import type { CommandContext } from "./command-line.ts";
import { findPlace, withPlace, type PlaceOptions } from "./place.ts";

const ROLE_HELP = `
Its log goes to standard output, as JSON lines; TIDEMARK_LOG_LEVEL sets the level.
SIGTERM stops it cleanly. Exit codes: 0 stopped · 70 FAIL-STOP, do not start it
again before the cause is gone · 75 a fault that may pass · 78 configuration.`;

/** `tidemark control`. */
export function controlCommand(context: CommandContext): Command {
  return withPlace(new Command("control"))
    .description("Runs control: the lease store, the coordinator of failovers, the routes and the status.")
    .addHelpText("after", `${ROLE_HELP}\n\nExample:\n  tidemark control --config /etc/tidemark/tidemark.yaml`)
    .action(async (options: PlaceOptions) => {
      await runRole(context, "control", options, async (role) => (await import("../control/control-role.ts")).runControlRole(role));
    });
}

/** `tidemark agent --node <name>`. */
export function agentCommand(context: CommandContext): Command {
  return withPlace(new Command("agent"))
    .description("Runs the agent of one PostgreSQL node: start, follow, promote, fence, clone.")
    .requiredOption("-n, --node <name>", "the node, as named in the configuration")
    .addHelpText("after", `${ROLE_HELP}\n\nExample:\n  tidemark agent --node pg1`)
    .action(async (options: PlaceOptions & { node: string }) => {
      await runRole(context, `agent-${options.node}`, options, async (role) => {
        const nodes = Object.values(role.config.stores).flatMap((store) => store.nodes.map((node) => node.name));
        const store = Object.entries(role.config.stores).find(([, { nodes: own }]) => own.some((node) => node.name === options.node))?.[0];
        if (store === undefined) {
          const meant = didYouMean(options.node, nodes);
          throw new TidemarkError(
            "TM-PLATFORM-ROLE-UNKNOWN",
            `run the agent of node "${options.node}", which ${role.config.file} does not have`,
            { hint: meant === undefined ? `Its nodes are ${nodes.join(", ")}.` : `Did you mean ${meant}?` },
          );
        }
        await (await import("../cluster/agent/agent-role.ts")).runAgentRole({ ...role, store, node: options.node });
      });
    });
}

/** `tidemark gateway`. */
export function gatewayCommand(context: CommandContext): Command {
  return withPlace(new Command("gateway"))
    .description("Runs the gateway: accepts writes, makes them durable in the journal, and applies them (by its own child, the applier).")
    .addHelpText("after", `${ROLE_HELP}\n\nExample:\n  tidemark gateway --config /etc/tidemark/tidemark.yaml`)
    .action(async (options: PlaceOptions) => {
      await runRole(context, "gateway", options, async (role) => (await import("../gateway/gateway-role.ts")).runGatewayRole(role));
    });
}

async function runRole(
  context: CommandContext,
  role: string,
  options: PlaceOptions,
  run: Parameters<(typeof import("../platform/role-runtime.ts"))["runRoleProcess"]>[1],
): Promise<void> {
  const place = await findPlace(options);
  const { runRoleProcess } = await import("../platform/role-runtime.ts");
  const code = await runRoleProcess(
    { role, configFile: place.configFile, ...(place.stateDir === undefined ? {} : { stateDir: place.stateDir }) },
    run,
  );
  context.end(code);
  // What a role left open (a keep-alive connection, a timer) must not keep its process: everything was closed by now.
  setTimeout(() => process.exit(code), LINGER_MS).unref();
}

/** How long a role's process may live on after its role has ended. */
const LINGER_MS = 500;
