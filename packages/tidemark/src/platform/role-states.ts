import type { RoleState } from "./run-file.ts";

/**
 * What can happen to a role. `died`: its process ended and may be started again; `failed`: it ended for good;
 * `stop`: the stack goes down.
 */
export type RoleEvent = "spawned" | "ready" | "died" | "failed" | "stop";

const TABLE: Readonly<Record<RoleState, Readonly<Record<RoleEvent, RoleState>>>> = {
  starting: { spawned: "starting", ready: "ready", died: "waiting", failed: "stopped", stop: "stopping" },
  ready: { spawned: "ready", ready: "ready", died: "waiting", failed: "stopped", stop: "stopping" },
  // A message that was on its way when the process died changes nothing.
  waiting: { spawned: "starting", ready: "waiting", died: "waiting", failed: "stopped", stop: "ended" },
  stopped: { spawned: "stopped", ready: "stopped", died: "stopped", failed: "stopped", stop: "ended" },
  stopping: { spawned: "stopping", ready: "stopping", died: "ended", failed: "ended", stop: "stopping" },
  ended: { spawned: "ended", ready: "ended", died: "ended", failed: "ended", stop: "ended" },
};

/** The state after `event`. */
export function nextRoleState(state: RoleState, event: RoleEvent): RoleState {
  return TABLE[state][event];
}
