import type { Fault } from "./fault.ts";

export const none: Fault = {
  name: "none",
  summary: "Nothing is broken: what the load looks like when all is well.",
  variant: {},
  reuseKeys: true,
  keepsCommits: false,
  movesPrimary: false,
  stopsCommits: false,
  inject() {
    const atMs = Date.now();
    return Promise.resolve({ beganAtMs: atMs, endedAtMs: atMs, done: ["Nothing was done."], isOver: () => Promise.resolve(true) });
  },
};
