import { rename, rm } from "node:fs/promises";
import { roleRestarted, strike, type Fault } from "./fault.ts";

export const loseJournal: Fault = {
  name: "lose-journal",
  summary:
    "The journal's only disk is lost: while orders wait in it, the gateway is killed and the journal's folder is taken away. A single disk cannot survive this; the loss must be stated.",
  variant: {},
  // With the journal the gateway loses its memory of keys; a repeat would be a new write.
  reuseKeys: false,
  keepsCommits: false,
  movesPrimary: false,
  stopsCommits: true,
  prepare: {
    leadMs: 1_500,
    run: (scene) => scene.pauseApplying(true),
  },
  async inject(scene) {
    const pid = scene.rolePid("gateway");
    const targets = scene.processes.tree(pid);
    // Held, nothing can be acknowledged or applied any more: what is counted now is what is lost.
    const held = strike(scene, targets, "SIGSTOP");
    const positionsAtLoss = await scene.positions();
    const gone = `${scene.journalDirectory}.gone`;
    await rename(scene.journalDirectory, gone);
    strike(scene, targets, "SIGKILL");
    await rm(gone, { recursive: true, force: true });
    return {
      beganAtMs: held.beganAtMs,
      endedAtMs: held.endedAtMs,
      positionsAtLoss,
      done: [
        `Applying was paused for 1.5 s. Then SIGSTOP to the gateway, process ${pid}, and its applier, the journal's folder removed, and SIGKILL to both.`,
      ],
      isOver: async () => roleRestarted(scene, { kind: "gateway" }, pid) && (await scene.gatewayAnswers()),
    };
  },
};
