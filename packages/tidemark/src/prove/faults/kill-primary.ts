import { primaryMoved, strike, waitedFor, type Fault } from "./fault.ts";

export const killPrimary: Fault = {
  name: "kill-primary",
  summary: "The primary's PostgreSQL is killed: its postmaster and all its children at once, with SIGKILL.",
  variant: {},
  reuseKeys: true,
  keepsCommits: true,
  movesPrimary: true,
  stopsCommits: true,
  async inject(scene) {
    const before = await scene.route();
    const pid = await scene.postmasterPid();
    const committed = await waitedFor(scene, before);
    const targets = scene.processes.tree(pid);
    const { reached, ...times } = strike(scene, targets, "SIGKILL");
    return {
      ...times,
      ...committed,
      done: [`SIGKILL to postmaster ${pid} of ${before.node} and ${reached - 1} children.`],
      isOver: () => primaryMoved(scene, before),
    };
  },
};
