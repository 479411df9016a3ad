/**
 * May the same write be sent again? `never`: it will fail again. `later`: nothing was accepted, repeat as it is.
 * `unknown`: it may have been accepted; repeat only with the same idempotency key.
 */
export type Retry = "never" | "later" | "unknown";

/** An error of the gateway as it came over HTTP (RFC 9457). */
export interface Problem {
  readonly status: number;
  /** A code of docs/errors.md, such as `TM-GATEWAY-INVALID`. */
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly retry?: Retry;
  readonly hint?: string;
  /** Id of the write in the journal, where it stands there already. */
  readonly write?: string;
  /** JSON Pointer into the write to the member that is wrong. */
  readonly field?: string;
  readonly retryAfterSeconds?: number;
}

/** The client's own codes; those of the gateway are in docs/errors.md. docs/sdk.md lists both kinds. */
export const CLIENT_CODES = {
  "TM-CLIENT-INVALID": {
    meaning: "The client or a write was given something that cannot be used.",
    hint: "Correct the option or the arguments that the message names.",
  },
  "TM-CLIENT-QUEUE-FULL": {
    meaning: "More writes wait in this client than its limits allow; this one was not sent.",
    hint: "Await receipts before writing more, or raise `limits.queuedWrites` or `limits.queuedBytes`.",
  },
  "TM-CLIENT-DEADLINE": {
    meaning: "The write's time ran out before there was a receipt.",
    hint: "When `retry` is unknown, write again with the `idempotencyKey` of this error: it cannot take effect twice. Otherwise nothing was accepted.",
  },
  "TM-CLIENT-WINDOW": {
    meaning: "The time for which the gateway remembers idempotency keys is over; another attempt could take effect twice.",
    hint: "Look into the database whether the write took effect before it is written again.",
  },
  "TM-CLIENT-ABORTED": {
    meaning: "The caller's signal aborted the write.",
    hint: "When `retry` is unknown, the write may take effect all the same.",
  },
  "TM-CLIENT-CLOSED": {
    meaning: "The client is closed.",
    hint: "Write before close(), or make another client.",
  },
  "TM-CLIENT-NETWORK": {
    meaning: "The gateway could not be reached, or the connection broke.",
    hint: "Look whether the gateway runs and whether the client's url is right.",
  },
  "TM-CLIENT-PROTOCOL": {
    meaning: "The answer is not one that a Tidemark gateway gives.",
    hint: "Make sure that a Tidemark gateway of the same major version answers at the client's url, and that no proxy changes its answers.",
  },
  "TM-CLIENT-NOT-APPLIED": {
    meaning: "The write was acknowledged and not applied within the time that applied() waited.",
    hint: "It is safe in the journal and will be applied: wait longer, and look at `tidemark status` if the store is away.",
  },
  "TM-CLIENT-HTTP": {
    meaning: "The gateway, or something before it, refused the request without a code.",
    hint: "Look at `problem.status`, and at what stands between this client and the gateway.",
  },
} as const satisfies Record<string, { meaning: string; hint: string }>;

export type ClientCode = keyof typeof CLIENT_CODES;

/** What a {@link TidemarkClientError} carries beside code and message. */
export interface ClientErrorFacts {
  readonly retry: Retry;
  readonly problem?: Problem;
  readonly idempotencyKey?: string;
  readonly attempts?: number;
  readonly cause?: unknown;
}

/** Why there is no receipt, or no application. The code is its identity, never the message. */
export class TidemarkClientError extends Error {
  /** One of {@link CLIENT_CODES}, or the gateway's own code. */
  readonly code: string;
  /** Whether the same write may be sent again; see {@link Retry}. It takes every attempt into account, not only the last. */
  readonly retry: Retry;
  /** What to do, a sentence. */
  readonly hint: string;
  /** The gateway's answer, where there was one. */
  readonly problem: Problem | undefined;
  /** The idempotency key that the write was sent with: needed to repeat a write whose outcome is unknown. */
  readonly idempotencyKey: string | undefined;
  /** How often it was sent. */
  readonly attempts: number;

  constructor(code: string, message: string, facts: ClientErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = "TidemarkClientError";
    this.code = code;
    this.retry = facts.retry;
    this.problem = facts.problem;
    this.hint = facts.problem?.hint ?? (isClientCode(code) ? CLIENT_CODES[code].hint : CLIENT_CODES["TM-CLIENT-HTTP"].hint);
    this.idempotencyKey = facts.idempotencyKey;
    this.attempts = facts.attempts ?? 0;
  }
}

function isClientCode(code: string): code is ClientCode {
  return code in CLIENT_CODES;
}
