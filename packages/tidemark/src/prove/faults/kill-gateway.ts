import { roleRestarted, strike, type Fault } from "./fault.ts";

export const killGateway: Fault = {
  name: "kill-gateway",
  summary:
    "The gateway is killed with SIGKILL, with writes between journal and answer. Clients repeat them under the same idempotency key.",
  variant: {},
  reuseKeys: true,
  keepsCommits: false,
  movesPrimary: false,
  stopsCommits: false,
  inject(scene) {
    const pid = scene.rolePid("gateway");
    const targets = scene.processes.tree(pid).slice(0, 1);
    const { reached: _, ...times } = strike(scene, targets, "SIGKILL");
    return Promise.resolve({
      ...times,
      done: [`SIGKILL to the gateway, process ${pid}; its applier was left to notice by itself.`],
      isOver: async () => roleRestarted(scene, { kind: "gateway" }, pid) && (await scene.gatewayAnswers()),
    });
  },
};
