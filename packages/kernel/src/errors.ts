import { errorCatalogue, type ErrorCode } from "./error-catalogue.ts";

export type { ErrorCode };

/** May the same attempt be made again? `never`: it will fail again. `later`: yes, as it is. `unknown`: it may have taken effect; repeat only what is idempotent. */
export type Retry = "never" | "later" | "unknown";

/** One entry of the error catalogue. The docs page docs/errors.md is generated from it. */
export interface ErrorEntry {
  /** What the code means, a sentence. */
  readonly meaning: string;
  /** Is it part of normal operation (true), or does somebody have to look (false)? */
  readonly normal: boolean;
  readonly retry: Retry;
  /** What to do, a sentence. */
  readonly hint: string;
  /** The HTTP status when it reaches a client, where it does. */
  readonly httpStatus?: number;
}

/** Facts that go with an error: what was attempted and on what. Never secrets. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | bigint | undefined>>;

/**
 * An error with a code. The code is its identity, never the message. The message says what was attempted and what
 * happened; the catalogue adds whether to retry and what to do.
 */
export class TidemarkError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; details?: ErrorDetails; hint?: string }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = "TidemarkError";
    this.code = code;
    this.details = options?.details ?? {};
    this.#hint = options?.hint;
  }

  readonly #hint: string | undefined;

  get entry(): ErrorEntry {
    return errorCatalogue[this.code];
  }

  /** What to do: the hint of this occurrence, or the catalogue's. */
  get hint(): string {
    return this.#hint ?? this.entry.hint;
  }

  get retry(): Retry {
    return this.entry.retry;
  }
}

/** Whether `error` is a TidemarkError with `code`. */
export function hasCode(error: unknown, code: ErrorCode): error is TidemarkError {
  return error instanceof TidemarkError && error.code === code;
}

/** Stops the process's current path on a bug: a condition that only a programming error can break. Never for input or faults. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** For the branch that the types rule out. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}
