// From verdicts to transitions, as a complete table. Two durations keep an alert from flapping: `forMs`, for which a rule has to
// hold before it fires, and `keepMs`, for which it has to be clear before the alert ends. What is not known moves nothing: an
// alert never ends because nobody can see any more.
import { unreachable } from "@tidemark/kernel/errors";

export type VerdictKind = "holds" | "clear" | "unknown";
export type Phase = "inactive" | "pending" | "firing";

export interface Lifecycle {
  readonly phase: Phase;
  /** When the rule began to hold; meaningless while inactive. */
  readonly sinceMs: number;
  /** While firing: since when it has been clear without a break. */
  readonly clearSinceMs?: number;
}

export interface Durations {
  readonly forMs: number;
  readonly keepMs: number;
}

export const INACTIVE: Lifecycle = { phase: "inactive", sinceMs: 0 };

type Move = "stay" | "begin" | "ripen" | "drop" | "renew" | "fade";

const TABLE: Readonly<Record<Phase, Readonly<Record<VerdictKind, Move>>>> = {
  inactive: { holds: "begin", clear: "stay", unknown: "stay" },
  pending: { holds: "ripen", clear: "drop", unknown: "stay" },
  firing: { holds: "renew", clear: "fade", unknown: "renew" },
};

/** The next state. Returns `from` itself where nothing changes, so that the many that are inactive cost nothing. */
export function stepLifecycle(from: Lifecycle, verdict: VerdictKind, at: { nowMs: number; durations: Durations }): Lifecycle {
  const { nowMs, durations } = at;
  // A clock that was set back must not make a duration longer than it is.
  const sinceMs = Math.min(from.sinceMs, nowMs);
  const move = TABLE[from.phase][verdict];
  switch (move) {
    case "stay":
      return from;
    case "begin":
      return { phase: durations.forMs <= 0 ? "firing" : "pending", sinceMs: nowMs };
    case "ripen":
      if (nowMs - sinceMs >= durations.forMs) return { phase: "firing", sinceMs };
      return sinceMs === from.sinceMs ? from : { phase: "pending", sinceMs };
    case "drop":
      return INACTIVE;
    case "renew":
      return from.clearSinceMs === undefined ? from : { phase: "firing", sinceMs: from.sinceMs };
    case "fade": {
      const clearSinceMs = Math.min(from.clearSinceMs ?? nowMs, nowMs);
      if (nowMs - clearSinceMs >= durations.keepMs) return INACTIVE;
      return clearSinceMs === from.clearSinceMs ? from : { ...from, clearSinceMs };
    }
    default:
      return unreachable(move);
  }
}
