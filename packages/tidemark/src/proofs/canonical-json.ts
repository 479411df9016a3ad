// One text for one value, so that a hash or a signature over it means the value: RFC 8785 (JSON Canonicalization
// Scheme) for the values that JSON has. Members in order of the UTF-16 units of their names, no white space, numbers and
// strings as ECMAScript writes them. What JSON cannot hold without loss is refused instead of being changed.
import { TidemarkError } from "@tidemark/kernel/errors";

/** What JSON can hold. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [name: string]: JsonValue | undefined };

/** The deepest nesting that is written. */
const MAX_DEPTH = 64;

/**
 * The canonical text of `value`. Members that are undefined are left out. Throws TM-PROOF-CANONICAL on what JSON cannot
 * hold: NaN and infinities, bigints, functions, lone surrogates, undefined in lists, objects with a class, deep nesting.
 */
export function canonicalJson(value: JsonValue): string {
  return write(value, 0);
}

function write(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) throw refused(`more than ${MAX_DEPTH} levels`);
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return writeString(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw refused(`the number ${value}`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(",")}]`;
  if (typeof value === "object") {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) throw refused("an object of a class");
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    members.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([name, member]) => `${writeString(name)}:${write(member, depth + 1)}`).join(",")}}`;
  }
  throw refused(`a value of type ${typeof value}`);
}

function writeString(text: string): string {
  if (!text.isWellFormed()) throw refused("a text with half a surrogate pair");
  return JSON.stringify(text);
}

function refused(what: string): TidemarkError {
  return new TidemarkError("TM-PROOF-CANONICAL", `could not write canonical JSON: ${what}`);
}
