import { roleRestarted, strike, vaultIsBack, type Fault } from "./fault.ts";

export const killVault: Fault = {
  name: "kill-vault",
  summary:
    "The vault is killed with SIGKILL while commits wait for it. It comes back, goes on where it had got to, and is waited for again.",
  variant: {},
  reuseKeys: true,
  keepsCommits: false,
  movesPrimary: false,
  stopsCommits: false,
  async inject(scene) {
    const pid = scene.rolePid("vault");
    const targets = scene.processes.tree(pid);
    const { reached: _, ...times } = strike(scene, targets, "SIGKILL");
    return {
      ...times,
      done: [`SIGKILL to the vault, process ${pid}.`],
      isOver: async () => roleRestarted(scene, { kind: "vault" }, pid) && (await vaultIsBack(scene)),
    };
  },
};
