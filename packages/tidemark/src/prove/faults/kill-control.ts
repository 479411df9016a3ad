import { roleRestarted, strike, type Fault } from "./fault.ts";

export const killControl: Fault = {
  name: "kill-control",
  summary: "Control is killed with SIGKILL, and with it the lease store and the coordinator of failovers. Writes must go on.",
  variant: {},
  reuseKeys: true,
  keepsCommits: false,
  movesPrimary: false,
  stopsCommits: false,
  async inject(scene) {
    const before = await scene.route();
    const pid = scene.rolePid("control");
    const { reached: _, ...times } = strike(scene, scene.processes.tree(pid).slice(0, 1), "SIGKILL");
    return {
      ...times,
      done: [`SIGKILL to control, process ${pid}.`],
      isOver: async () => {
        if (!roleRestarted(scene, { kind: "control" }, pid)) return false;
        const route = await scene.route();
        return route.state === "open" && route.epoch >= before.epoch;
      },
    };
  },
};
