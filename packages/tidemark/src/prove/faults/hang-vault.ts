import { strike, vaultIsBack, type Fault } from "./fault.ts";

export const hangVault: Fault = {
  name: "hang-vault",
  summary:
    "The vault hangs: it is held with SIGSTOP while commits wait for it, its connection stays open. Commits go on once it is out of the synchronous set; then it is let go on.",
  variant: {},
  reuseKeys: true,
  keepsCommits: false,
  movesPrimary: false,
  stopsCommits: false,
  async inject(scene) {
    const { identity } = await scene.vault();
    const pid = scene.rolePid("vault");
    const targets = scene.processes.tree(pid);
    const { reached: _, ...times } = strike(scene, targets, "SIGSTOP");
    let letGo = false;
    return {
      ...times,
      done: [`SIGSTOP to the vault, process ${pid}; SIGCONT once commits did not wait for it any more.`],
      isOver: async () => {
        if (letGo) return vaultIsBack(scene);
        const { state, demanded } = await scene.route();
        if (state !== "open" || demanded.includes(identity)) return false;
        scene.processes.signal(targets, "SIGCONT");
        letGo = true;
        return false;
      },
    };
  },
};
