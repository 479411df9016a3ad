import { roleRestarted, strike, type Fault } from "./fault.ts";

export const killAgent: Fault = {
  name: "kill-agent",
  summary: "The primary's agent is killed with SIGKILL. PostgreSQL goes on; the next agent adopts it.",
  variant: {},
  reuseKeys: true,
  keepsCommits: false,
  movesPrimary: false,
  stopsCommits: false,
  async inject(scene) {
    const { node } = await scene.route();
    const pid = scene.rolePid("agent", node);
    const { reached: _, ...times } = strike(scene, scene.processes.tree(pid).slice(0, 1), "SIGKILL");
    return {
      ...times,
      done: [`SIGKILL to the agent of ${node}, process ${pid}.`],
      isOver: async () => roleRestarted(scene, { kind: "agent", node }, pid) && (await scene.route()).state === "open",
    };
  },
};
