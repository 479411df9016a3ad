import { isUtf8 } from "node:buffer";
import type { Problem } from "./problem.ts";
import { problem } from "./problem.ts";

/** One write of a request as it was read: a value that came from JSON, or what is wrong with its text. */
export interface ReadWrite {
  /** From 1; undefined for a single write. */
  readonly line: number | undefined;
  readonly value?: unknown;
  readonly problem?: Problem;
}

/** The form of a request's body. */
export type BodyForm = "one" | "array" | "lines";

/** What a body holds, or why it cannot be read at all. */
export type ReadBody = { readonly form: BodyForm; readonly writes: readonly ReadWrite[] } | { readonly problem: Problem };

/** A number with so many digits, or an exponent, that a double may not hold it. Also true of some texts: it only chooses the slower way to read. */
const LONG_NUMBER = /[:,[\s]-?(?:[\d.]{16}|[\d.]+[eE])/;
const SPECIAL_ESCAPE = /\\u(?:0000|[dD][89a-fA-F])/;
const LINE_FEED = 0x0a;

/**
 * Reads a body of `application/json` (an object, or an array of them) or of `application/x-ndjson` (an object a line;
 * blank lines count as lines and are passed over). A line that cannot be read is that line's problem alone. Refuses what
 * JSON allows and the way to the database would change silently: bytes that are not UTF-8, U+0000, lone surrogates, and
 * numbers that a double does not hold exactly.
 */
export function readBody(body: Uint8Array, ndjson: boolean, mostWrites: number): ReadBody {
  if (!isUtf8(body)) return { problem: problem("TM-GATEWAY-MALFORMED", "the body is not UTF-8") };
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (ndjson) return readLines(bytes, mostWrites);
  const read = readValue(bytes.toString("utf8"), undefined);
  if (read.problem !== undefined) return { problem: read.problem };
  if (!Array.isArray(read.value)) return { form: "one", writes: [read] };
  if (read.value.length > mostWrites) return { problem: tooMany(read.value.length, mostWrites) };
  return { form: "array", writes: read.value.map((value: unknown, index) => ({ line: index + 1, value })) };
}

function readLines(bytes: Buffer, mostWrites: number): ReadBody {
  const writes: ReadWrite[] = [];
  let line = 0;
  for (let from = 0; from < bytes.length;) {
    const feed = bytes.indexOf(LINE_FEED, from);
    const to = feed < 0 ? bytes.length : feed;
    line++;
    const text = bytes.toString("utf8", from, to);
    from = to + 1;
    if (text.trim() === "") continue;
    if (writes.length === mostWrites) return { problem: tooMany(mostWrites + 1, mostWrites) };
    writes.push(readValue(text, line));
  }
  return { form: "lines", writes };
}

function tooMany(count: number, most: number): Problem {
  return problem("TM-GATEWAY-TOO-LARGE", `the batch has ${count > most ? `more than ${most}` : count} writes; at most ${most} are taken`);
}

function readValue(text: string, line: number | undefined): ReadWrite {
  let value: unknown;
  try {
    value = LONG_NUMBER.test(text) ? parseExactly(text) : JSON.parse(text);
  } catch (error) {
    const detail = error instanceof InexactNumber ? error.message : `not JSON: ${syntaxMessage(error as Error)}`;
    return { line, problem: problem("TM-GATEWAY-MALFORMED", detail, { line }) };
  }
  if (SPECIAL_ESCAPE.test(text) && !isStorable(value)) {
    return {
      line,
      problem: problem("TM-GATEWAY-MALFORMED", "a text holds U+0000 or half of a surrogate pair, which PostgreSQL cannot store", { line }),
    };
  }
  return { line, value };
}

/** The engine's message without the excerpt of the text, which may hold what does not belong into a log. */
function syntaxMessage(error: Error): string {
  return error.message.replace(/, (?:\.\.\.)?".*$/s, "").replace(/ in JSON/, "");
}

class InexactNumber extends Error {}

function parseExactly(text: string): unknown {
  return JSON.parse(text, (_name, value: unknown, context?: { source?: string }) => {
    if (typeof value !== "number" || context?.source === undefined || holdsExactly(context.source, value)) return value;
    throw new InexactNumber(`the number ${context.source.slice(0, 40)} is not exact as a double; send it as text`);
  });
}

/** Whether a double says the same as the decimal text: an integer in the safe range, or a number that prints as the same digits. */
function holdsExactly(source: string, value: number): boolean {
  if (!Number.isFinite(value)) return false;
  return significantDigits(source) === significantDigits(String(value));
}

function significantDigits(source: string): string {
  const [mantissa = "", exponent = "0"] = source.toLowerCase().replace(/^-/, "").split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const digits = `${whole}${fraction}`.replace(/^0+/, "");
  const trimmed = digits.replace(/0+$/, "");
  if (trimmed === "") return "0";
  return `${trimmed}e${Number(exponent) - fraction.length + (digits.length - trimmed.length)}`;
}

function isStorable(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed() && !value.includes("\0");
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isStorable);
  return Object.entries(value).every(([name, member]) => isStorable(name) && isStorable(member));
}
