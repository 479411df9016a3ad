import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Config } from "../config/config.ts";
import { formatAddress } from "../config/listen-address.ts";
import type { RoleKind } from "./run-file.ts";

/** One role that the supervisor keeps running. */
export interface RolePlan {
  readonly name: string;
  readonly kind: RoleKind;
  readonly node?: string;
  readonly vault?: string;
  /** Where it will listen, as `host:port`. */
  readonly address?: string;
  /** Program and arguments. */
  readonly command: readonly [string, ...string[]];
  /**
   * Roles of a smaller stage stop first: the gateway drains while PostgreSQL runs; agents stop PostgreSQL while the vaults
   * still receive, so that they have the shutdown checkpoint and no walsender waits for a vault that does not answer; control
   * answers until all have stopped.
   */
  readonly stopStage: number;
  /** How long a clean stop may take before the role is killed. */
  readonly stopLimitMs: number;
}

/** Draining acknowledges what was accepted: a moment, unless the disk hangs. */
const GATEWAY_STOP_MS = 15_000;
/** A fast shutdown makes a checkpoint. */
const AGENT_STOP_MS = 60_000;
/** What is under way to an object store may end. */
const VAULT_STOP_MS = 30_000;
const CONTROL_STOP_MS = 10_000;

/** Whether there is anything to write to: stores that somebody else runs are looked at alone. */
export function hasGateway(config: Config): boolean {
  return Object.keys(config.stores).length > 0;
}

/** The roles of a configuration on this machine; control alone where every store is run by somebody else. */
export function planRoles(config: Config): RolePlan[] {
  const common = ["--config", config.file, "--state-dir", config.stateDir];
  const agents = Object.values(config.stores).flatMap((store) => store.nodes);
  const vaults = Object.entries(config.stores).flatMap(([store, { vaults: own }]) => own.map((vault) => ({ store, vault })));
  const gateway: RolePlan = {
    name: "gateway",
    kind: "gateway",
    address: formatAddress(config.gateway),
    command: selfCommand(["gateway", ...common]),
    stopStage: 0,
    stopLimitMs: GATEWAY_STOP_MS,
  };
  return [
    {
      name: "control",
      kind: "control",
      address: formatAddress(config.control),
      command: selfCommand(["control", ...common]),
      stopStage: 3,
      stopLimitMs: CONTROL_STOP_MS,
    },
    ...agents.map(({ name, agent }): RolePlan => ({
      name: `agent-${name}`,
      kind: "agent",
      node: name,
      address: formatAddress(agent),
      command: selfCommand(["agent", "--node", name, ...common]),
      stopStage: 1,
      stopLimitMs: AGENT_STOP_MS,
    })),
    ...vaults.map(({ store, vault }): RolePlan => ({
      name: `vault-${vault.name}`,
      kind: "vault",
      vault: vault.name,
      address: formatAddress(vault),
      command: selfCommand(["vault", "--store", store, "--vault", vault.name, ...common]),
      stopStage: 2,
      stopLimitMs: VAULT_STOP_MS,
    })),
    ...(hasGateway(config) ? [gateway] : []),
  ];
}

/** The command line that runs this program: from its sources where they are there, else as built. */
export function selfCommand(args: readonly string[]): [string, ...string[]] {
  const source = fileURLToPath(new URL("../main.ts", import.meta.url));
  const main = existsSync(source) ? ["--conditions=@tidemark/source", source] : [fileURLToPath(new URL("../main.js", import.meta.url))];
  return [process.execPath, "--disable-warning=ExperimentalWarning", ...main, ...args];
}
