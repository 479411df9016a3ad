import { NODES } from "../stack/prove-config.ts";
import { primaryMoved, strike, type Fault, type FaultScene, type Injected } from "./fault.ts";

/** Long enough for the set to shrink to the copies that are left (R1), and for commits that only they have. */
const HELD_MS = 5_000;

/** How long the set may take to do without the standby. */
const SHRINK_MS = 15_000;

const prepare = {
  leadMs: HELD_MS,
  async run(scene: FaultScene): Promise<void> {
    await scene.holdBack(await standby(scene), true);
  },
};

export const laggingStandby: Fault = {
  name: "lagging-standby",
  summary:
    "The standby is held back, the vault is the only synchronous copy left, then the primary is killed: the standby lacks commits, and is completed from the vault before it is promoted. The journal has nothing to put back.",
  variant: {},
  reuseKeys: true,
  keepsCommits: true,
  movesPrimary: true,
  stopsCommits: true,
  prepare,
  async inject(scene) {
    // Commits waited for the standby until it was out of the set. From then on the vault alone has them.
    const identity = (await scene.vault()).identity;
    const deadlineMs = Date.now() + SHRINK_MS;
    for (;;) {
      const { guarantee, demanded } = await scene.route();
      if (guarantee === "synchronous" && demanded.length === 1 && demanded[0] === identity) break;
      if (Date.now() > deadlineMs) throw new Error(`the set is ${demanded.join(", ") || "empty"}, and not the vault alone`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return killPrimary(scene, "The standby's WAL receiver was held back, and commits waited for the vault alone.");
  },
};

export const laggingStandbyNoVault: Fault = {
  name: "lagging-standby-no-vault",
  summary:
    "There is no vault, the standby is asynchronous and held back, then the primary is killed: PostgreSQL itself loses commits, and the journal has to put them back.",
  variant: { required: 0, vault: false },
  reuseKeys: true,
  keepsCommits: false,
  movesPrimary: true,
  stopsCommits: true,
  prepare: { ...prepare, leadMs: 3_000 },
  inject: (scene) => killPrimary(scene, "The standby's WAL receiver was held back for 3 s."),
};

async function standby(scene: FaultScene): Promise<string> {
  const { node } = await scene.route();
  return NODES.find((other) => other !== node) ?? node;
}

async function killPrimary(scene: FaultScene, first: string): Promise<Injected> {
  const before = await scene.route();
  const pid = await scene.postmasterPid();
  const ordersOnStandby = await scene.ordersOn(await standby(scene));
  const ordersBefore = await scene.orders();
  const targets = scene.processes.tree(pid);
  const { reached, ...times } = strike(scene, targets, "SIGKILL");
  return {
    ...times,
    ordersBefore,
    ordersOnStandby,
    done: [first, `SIGKILL to postmaster ${pid} of ${before.node} and ${reached - 1} children.`],
    isOver: () => primaryMoved(scene, before),
  };
}
