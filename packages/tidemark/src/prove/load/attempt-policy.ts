import type { LedgerReceipt } from "../ledger/ledger-entry.ts";

/** What one HTTP attempt came to. */
export type AttemptResult =
  /** The connection was refused: the gateway cannot have seen it. */
  | { readonly kind: "not-sent"; readonly reason: string }
  /** It was sent, at least in part, and no whole answer came. */
  | { readonly kind: "no-answer"; readonly reason: string }
  | { readonly kind: "receipt"; readonly receipt: LedgerReceipt }
  | { readonly kind: "error"; readonly status: number; readonly code: string; readonly retryAfterMs?: number };

/** What is known of a write's attempts so far. */
export interface AttemptHistory {
  readonly attempts: number;
  /** Whether an attempt may have been accepted without an answer: then an error that follows refuses nothing. */
  readonly ambiguous: boolean;
  readonly lastReason: string;
}

export const NO_ATTEMPTS: AttemptHistory = { attempts: 0, ambiguous: false, lastReason: "not sent" };

export type NextStep =
  | { readonly step: "acknowledged"; readonly receipt: LedgerReceipt }
  | { readonly step: "refused"; readonly status: number; readonly code: string }
  | { readonly step: "unanswered"; readonly reason: string }
  | { readonly step: "retry"; readonly afterMs: number };

/** Malformed, key used for other content, too large, wrong type, invalid: the same however often it is sent. */
const FOR_ITS_CONTENT: ReadonlySet<number> = new Set([400, 409, 413, 415, 422]);

const FIRST_RETRY_MS = 20;
/** At most so long between two attempts. */
const MOST_RETRY_MS = 400;

/**
 * Decides what follows an attempt. Repeating is safe because every attempt carries the same idempotency key.
 * An error before acceptance (4xx, 429, 503) ends it as refused, but only when no earlier attempt can have been accepted;
 * otherwise, and after 500 ("unknown", R15), it is repeated until the deadline, for only a receipt settles it. What is
 * refused for its content settles it too: had an earlier attempt been accepted, this one would have got its receipt.
 *
 * @param jitter a number in [0, 1): the delay is between half and the whole of the doubled one.
 */
export function decideNext(
  history: AttemptHistory,
  result: AttemptResult,
  world: { untilDeadlineMs: number; jitter: number },
): { history: AttemptHistory; next: NextStep } {
  const attempts = history.attempts + 1;
  if (result.kind === "receipt") return { history: { ...history, attempts }, next: { step: "acknowledged", receipt: result.receipt } };
  const before = result.kind === "not-sent" || (result.kind === "error" && (result.status < 500 || result.status === 503));
  const ambiguous = history.ambiguous || !before;
  const reason = result.kind === "error" ? `${result.status} ${result.code}` : result.reason;
  const after: AttemptHistory = { attempts, ambiguous, lastReason: reason };
  if (result.kind === "error" && (!ambiguous || FOR_ITS_CONTENT.has(result.status)))
    return { history: after, next: { step: "refused", status: result.status, code: result.code } };
  const doubled = Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts - 1, 10));
  const afterMs = Math.max(doubled * (0.5 + world.jitter / 2), result.kind === "error" ? (result.retryAfterMs ?? 0) : 0);
  if (afterMs >= world.untilDeadlineMs) return { history: after, next: { step: "unanswered", reason } };
  return { history: after, next: { step: "retry", afterMs } };
}
