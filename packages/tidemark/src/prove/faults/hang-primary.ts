import { primaryMoved, strike, waitedFor, type Fault } from "./fault.ts";

export const hangPrimary: Fault = {
  name: "hang-primary",
  summary:
    "The primary's PostgreSQL hangs: its postmaster and all its children are held with SIGSTOP. Connections stay open, nothing answers.",
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
    const { reached, ...times } = strike(scene, targets, "SIGSTOP");
    return {
      ...times,
      ...committed,
      done: [`SIGSTOP to postmaster ${pid} of ${before.node} and ${reached - 1} children; they were never let go on by the prover.`],
      isOver: () => primaryMoved(scene, before),
    };
  },
};
