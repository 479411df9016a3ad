import { strike, type Fault } from "./fault.ts";

export const killEverything: Fault = {
  name: "kill-everything",
  summary:
    "All processes are killed at once with SIGKILL: supervisor, gateway, applier, control, agents, vault and both PostgreSQL. Then the stack is started again.",
  variant: {},
  reuseKeys: true,
  keepsCommits: false,
  movesPrimary: false,
  stopsCommits: true,
  inject(scene) {
    const targets = scene.processes.refresh();
    let ready = false;
    const { reached, ...times } = strike(scene, targets, "SIGKILL");
    return Promise.resolve({
      ...times,
      done: [`SIGKILL to all ${reached} processes of the stack; then \`tidemark up\` on the same state.`],
      afterwards: async () => {
        await scene.processes.end(); // What was being started in that moment.
        await scene.up();
        ready = true;
      },
      isOver: async () => ready && (await scene.gatewayAnswers()) && (await scene.route()).state === "open",
    });
  },
};
