import type { Problem, Retry } from "./client-error.ts";
import type { ReceiptFacts } from "./receipt.ts";
import type { Failure } from "./retry-policy.ts";
import type { TransportAnswer } from "./transport.ts";

/** What became of one write of a request. */
export type LineResult =
  | { readonly kind: "receipt"; readonly receipt: ReceiptFacts }
  | { readonly kind: "failed"; readonly failure: Failure };

/** What became of a request: a result for each of its writes, or one failure of the whole. */
export type BatchResult =
  | { readonly kind: "lines"; readonly lines: readonly LineResult[] }
  | { readonly kind: "whole"; readonly failure: Failure };

/**
 * Reads the answer to an NDJSON batch of `expected` writes: one line for each, in their order, a receipt or a problem.
 * A line proves what it says only while every line before it made sense: from the first one that does not, and after the
 * end of a partial answer, the outcome is unknown.
 */
export function readBatchAnswer(answer: TransportAnswer, expected: number): BatchResult {
  const head = answer.kind === "answer" ? answer : answer.partial;
  const broken: Failure | undefined = answer.kind === "broken" ? { kind: "network", sent: answer.sent, cause: answer.cause } : undefined;
  if (head === undefined || (broken !== undefined && !isSuccess(head.status))) return { kind: "whole", failure: broken as Failure };
  if (!isSuccess(head.status)) return { kind: "whole", failure: problemOfAnswer(answer as Extract<TransportAnswer, { kind: "answer" }>) };
  const texts = splitLines(head.body, broken !== undefined);
  if (texts.length > expected) return { kind: "whole", failure: protocol(`${texts.length} results for ${expected} writes`) };
  const lines: LineResult[] = [];
  for (const text of texts) {
    const line = readLine(text);
    if (line === undefined) break;
    lines.push(line);
  }
  if (lines.length === 0 && expected > 0)
    return { kind: "whole", failure: broken ?? protocol(`no result in ${JSON.stringify(head.body.slice(0, 80))}`) };
  const rest: Failure = broken ?? protocol(`the answer ends after ${lines.length} of ${expected} results`);
  while (lines.length < expected) lines.push({ kind: "failed", failure: rest });
  return { kind: "lines", lines };
}

/** The failure that an answer with an error status stands for. */
export function problemOfAnswer(answer: Extract<TransportAnswer, { kind: "answer" }>): Failure {
  const parsed = parseObject(answer.body) ?? {};
  const given = readProblem(parsed);
  const after = readRetryAfter(answer.headers["retry-after"], answer.headers["date"]) ?? given.retryAfterSeconds;
  return { kind: "problem", problem: { ...given, status: answer.status, ...(after === undefined ? {} : { retryAfterSeconds: after }) } };
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** @param cut whether the body may end within a line, which then proves nothing. */
function splitLines(body: string, cut: boolean): string[] {
  const lines = body.split("\n");
  const last = lines.pop();
  if (!cut && last !== undefined && last !== "") lines.push(last);
  return lines;
}

function readLine(text: string): LineResult | undefined {
  const value = parseObject(text);
  if (value === undefined) return undefined;
  if (typeof value["sequence"] === "string" && typeof value["id"] === "string")
    return { kind: "receipt", receipt: value as unknown as ReceiptFacts };
  if (typeof value["status"] === "number" && value["status"] >= 400)
    return { kind: "failed", failure: { kind: "problem", problem: readProblem(value) } };
  return undefined;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The members of a problem that have the type that they should have. */
function readProblem(value: Record<string, unknown>): Problem {
  const text = (name: string): Record<string, string> => (typeof value[name] === "string" ? { [name]: value[name] } : {});
  const retry = value["retry"];
  const after = value["retryAfterSeconds"];
  return {
    status: typeof value["status"] === "number" ? value["status"] : 0,
    ...text("code"),
    ...text("title"),
    ...text("detail"),
    ...text("hint"),
    ...text("field"),
    ...text("write"),
    ...(isRetry(retry) ? { retry } : {}),
    ...(typeof after === "number" && after >= 0 ? { retryAfterSeconds: after } : {}),
  };
}

function isRetry(value: unknown): value is Retry {
  return value === "never" || value === "later" || value === "unknown";
}

/** Retry-After (RFC 9110 §10.2.3) in seconds: a number, or a date that is compared with the answer's own. */
function readRetryAfter(value: string | undefined, date: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value);
  const seconds = (Date.parse(value) - Date.parse(date ?? "")) / 1_000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

function protocol(message: string): Failure {
  return { kind: "protocol", message };
}
