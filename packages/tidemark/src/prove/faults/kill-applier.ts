import { strike, type Fault } from "./fault.ts";

export const killApplier: Fault = {
  name: "kill-applier",
  summary: "The applier is killed with SIGKILL, with transactions in flight. The position in the database says where to go on.",
  variant: {},
  reuseKeys: true,
  keepsCommits: false,
  movesPrimary: false,
  stopsCommits: false,
  async inject(scene) {
    const pid = await scene.applierPid();
    const { reached: _, ...times } = strike(scene, scene.processes.tree(pid).slice(0, 1), "SIGKILL");
    return {
      ...times,
      done: [`SIGKILL to the applier, process ${pid}.`],
      isOver: async () => (await scene.applierPid()) !== pid,
    };
  },
};
