/** The faults, in the order in which `--all` runs them. */
export const FAULT_NAMES = [
  "none",
  "kill-primary",
  "hang-primary",
  "kill-gateway",
  "kill-applier",
  "kill-everything",
  "lagging-standby",
  "lagging-standby-no-vault",
  "kill-vault",
  "hang-vault",
  "kill-control",
  "kill-agent",
  "lose-journal",
] as const;

export type FaultName = (typeof FAULT_NAMES)[number];

export const DEFAULT_FAULT: FaultName = "kill-primary";
