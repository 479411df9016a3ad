import { NODES } from "../stack/prove-config.ts";
import { primaryMoved, strike, type Fault } from "./fault.ts";

export const laggingStandby: Fault = {
  name: "lagging-standby",
  summary:
    "The standby is asynchronous and held back, then the primary is killed: PostgreSQL itself loses commits, and the journal has to put them back.",
  variant: { required: 0 },
  reuseKeys: true,
  movesPrimary: true,
  stopsCommits: true,
  prepare: {
    leadMs: 3_000,
    async run(scene) {
      const { node } = await scene.route();
      for (const other of NODES) if (other !== node) await scene.holdBack(other, true);
    },
  },
  async inject(scene) {
    const before = await scene.route();
    const pid = await scene.postmasterPid();
    const ordersBefore = await scene.orders();
    const targets = scene.processes.tree(pid);
    const { reached, ...times } = strike(scene, targets, "SIGKILL");
    return {
      ...times,
      ordersBefore,
      done: [
        `The standby's WAL receiver was held back for ${(this.prepare?.leadMs ?? 0) / 1_000} s.`,
        `SIGKILL to postmaster ${pid} of ${before.node} and ${reached - 1} children.`,
      ],
      isOver: () => primaryMoved(scene, before),
    };
  },
};
