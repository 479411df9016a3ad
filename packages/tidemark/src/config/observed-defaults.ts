// Defaults of what is looked at.
import { HISTORY_DEFAULTS } from "../history/history-options.ts";
import type { HistoryConfig, ObservedConfig } from "./observed-config.ts";

/** The pages that come with the project. */
export const DEFAULT_RUNBOOKS = "docs/runbooks";

export const DEFAULT_HISTORY: HistoryConfig = {
  keepSecondsMs: HISTORY_DEFAULTS.keepSecondsMs,
  keepMinutesMs: HISTORY_DEFAULTS.keepMinutesMs,
  keepHoursMs: HISTORY_DEFAULTS.keepHoursMs,
  mostBytes: HISTORY_DEFAULTS.mostBytes,
};

/** A store that Tidemark runs: its nodes, vaults and journal are looked at by themselves. */
export function observeOwnStore(): ObservedConfig {
  return { copies: [], canary: "write" };
}
