import { errorCatalogue } from "@tidemark/kernel/error-catalogue";
import { TidemarkError, type ErrorCode, type ErrorEntry, type Retry } from "@tidemark/kernel/errors";

/** An error over HTTP: RFC 9457, with Tidemark's members. Serialized as `application/problem+json`. */
export interface Problem {
  /** Where the code is explained, relative to the documentation. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  /** `never`: it will fail again. `later`: nothing was accepted, repeat as it is. `unknown`: it may have taken effect, repeat with the same idempotency key. */
  readonly retry: Retry;
  readonly hint: string;
  /** JSON Pointer into the write to the member that is wrong. */
  readonly field?: string;
  /** Line of the batch, from 1; in an array the place in it, from 1. */
  readonly line?: number;
  /** The id of the write in the journal, where there is one. */
  readonly write?: string;
  /** For Retry-After: seconds, rounded up there. */
  readonly retryAfterSeconds?: number;
}

/** What a problem may say beside the catalogue's words. */
export interface ProblemFacts {
  readonly status?: number;
  readonly field?: string;
  readonly line?: number | undefined;
  readonly write?: string;
  readonly retryAfterSeconds?: number;
}

/** Statuses of codes that reach HTTP from other areas and have none of their own. */
const STATUS_WITHOUT_ENTRY = 503;

/** A problem with the catalogue's words for `code`. */
export function problem(code: ErrorCode, detail: string, facts: ProblemFacts = {}): Problem {
  const entry: ErrorEntry = errorCatalogue[code];
  return {
    type: `/docs/errors#${code.toLowerCase()}`,
    title: entry.meaning,
    status: facts.status ?? entry.httpStatus ?? STATUS_WITHOUT_ENTRY,
    detail,
    code,
    retry: entry.retry,
    hint: entry.hint,
    ...(facts.field === undefined ? {} : { field: facts.field }),
    ...(facts.line === undefined ? {} : { line: facts.line }),
    ...(facts.write === undefined ? {} : { write: facts.write }),
    ...(facts.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: facts.retryAfterSeconds }),
  };
}

/** What the outside may know of an error: a TidemarkError's words, or that there was a defect. Never a stack trace, never a foreign message. */
export function problemOf(error: unknown, facts: ProblemFacts = {}): Problem {
  if (!(error instanceof TidemarkError)) return problem("TM-GATEWAY-INTERNAL", "the gateway failed while it worked on the request", facts);
  const known = problem(error.code, error.message, facts);
  return error.hint === known.hint ? known : { ...known, hint: error.hint };
}

/** Carries a problem through `throw` to the error handler of the HTTP server. */
export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(carried: Problem) {
    super(carried.detail);
    this.name = "ProblemError";
    this.problem = carried;
  }
}
