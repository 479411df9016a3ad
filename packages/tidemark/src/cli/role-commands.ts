import { Command } from "commander";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Config, VaultConfig } from "../config/config.ts";
import { didYouMean } from "../config/did-you-mean.ts";
import { makeArchiveKeys } from "../platform/archive-keys.ts";
import { keepHeapSmall } from "../platform/heap-growth.ts";
import type { CommandContext } from "./command-line.ts";
import { findPlace, loadPlace, withPlace, type PlaceOptions } from "./place.ts";

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
      keepHeapSmall();
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
      const named = { ...options, find: (config: Config) => storeOfNode(config, options.node) };
      await runRole(context, `agent-${options.node}`, named, async (role) => {
        const store = storeOfNode(role.config, options.node);
        await (await import("../cluster/agent/agent-role.ts")).runAgentRole({ ...role, store, node: options.node });
      });
    });
}

/** The store of a node. Throws TM-PLATFORM-ROLE-UNKNOWN when no store has it. */
function storeOfNode(config: Config, node: string): string {
  const nodes = Object.entries(config.stores).flatMap(([store, { nodes: own }]) => own.map(({ name }) => ({ store, name })));
  const found = nodes.find(({ name }) => name === node);
  if (found !== undefined) return found.store;
  const names = nodes.map(({ name }) => name);
  const meant = didYouMean(node, names);
  const there = names.length === 0 ? "It has no nodes." : `Its nodes are ${names.join(", ")}.`;
  throw new TidemarkError("TM-PLATFORM-ROLE-UNKNOWN", `run the agent of node "${node}", which ${config.file} does not have`, {
    hint: meant === undefined ? there : `Did you mean ${meant}?`,
  });
}

/** `tidemark vault --store <name> --vault <name>`. */
export function vaultCommand(context: CommandContext): Command {
  return withPlace(new Command("vault"))
    .description("Runs a vault: receives a store's WAL as a synchronous copy, keeps it, votes in failovers, and archives it.")
    .requiredOption("-n, --vault <name>", "the vault, as named in the configuration")
    .option("-s, --store <name>", "its store; the vault's name alone says which one it is")
    .addHelpText("after", `${ROLE_HELP}\n\nExample:\n  tidemark vault --vault vault1`)
    .action(async (options: PlaceOptions & { vault: string; store?: string }) => {
      const named = { ...options, find: (config: Config) => findVault(config, options) };
      await runRole(context, `vault-${options.vault}`, named, async (role) => {
        const { store, vault } = findVault(role.config, options);
        await makeArchiveKeys(vault);
        await (await import("../vault/vault-role.ts")).runVaultRole({ ...role, store, vault: vault.name });
      });
    });
}

/** The vault of a name. Throws TM-PLATFORM-ROLE-UNKNOWN when there is none. */
function findVault(config: Config, wanted: { vault: string; store?: string }): { store: string; vault: VaultConfig } {
  const all = Object.entries(config.stores).flatMap(([store, { vaults }]) => vaults.map((vault) => ({ store, vault })));
  const found = all.find(({ store, vault }) => vault.name === wanted.vault && (wanted.store === undefined || wanted.store === store));
  if (found !== undefined) return found;
  const names = all.map(({ vault }) => vault.name);
  const meant = didYouMean(wanted.vault, names);
  const there = names.length === 0 ? "It has no vaults." : `Its vaults are ${names.join(", ")}.`;
  throw new TidemarkError(
    "TM-PLATFORM-ROLE-UNKNOWN",
    `run the vault "${wanted.vault}"${wanted.store === undefined ? "" : ` of store "${wanted.store}"`}, which ${config.file} does not have`,
    { hint: meant === undefined || meant === wanted.vault ? there : `Did you mean ${meant}?` },
  );
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
  /** `find` throws when the configuration does not have what is to run. */
  options: PlaceOptions & { readonly find?: (config: Config) => unknown },
  run: Parameters<(typeof import("../platform/role-runtime.ts"))["runRoleProcess"]>[1],
): Promise<void> {
  const place = await findPlace(options);
  // A person who mistyped something reads it as of every command; programs get it in the log, as JSON.
  if (context.terminal.interactive) {
    const config = await loadPlace(place);
    options.find?.(config);
  }
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
