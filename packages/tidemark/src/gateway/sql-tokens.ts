/**
 * Splits SQL into tokens, as far as finding parameters needs it: what is inside strings, quoted identifiers and comments
 * must never be taken for a parameter or a keyword.
 *
 *   token := word | quoted | string | parameter | positional | operator | space
 *
 * Rules of PostgreSQL's lexer (https://www.postgresql.org/docs/current/sql-syntax-lexical.html) with
 * standard_conforming_strings on: a backslash is an escape in E'' strings alone, block comments nest, a dollar quote ends
 * at its own tag, an identifier may contain `$` after its first character.
 */
export type SqlTokenKind =
  /** A keyword or unquoted identifier. */
  | "word"
  /** A quoted identifier, with its quotes. */
  | "quoted"
  /** A string constant of any kind, with its prefix and quotes. */
  | "string"
  /** `:name`. */
  | "parameter"
  /** `$1`. */
  | "positional"
  /** A number, an operator or punctuation; `::` and `:=` are one token. */
  | "operator"
  /** White space or a comment. */
  | "space";

export interface SqlToken {
  readonly kind: SqlTokenKind;
  readonly text: string;
}

/** A constant, identifier or comment that is never closed. `what` names it for the message. */
export class UnclosedSql extends Error {
  readonly what: string;
  constructor(what: string) {
    super(`${what} is never closed`);
    this.name = "UnclosedSql";
    this.what = what;
  }
}

const WORD_START = /[A-Za-z_\u0080-\uffff]/;
const WORD = /[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y;
const SPACE = /[ \t\r\n\f\v]+/y;
const LINE_COMMENT = /--[^\r\n]*/y;
const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;
const POSITIONAL = /\$\d+/y;
const NUMBER = /(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?/y;
const PARAMETER = /:[A-Za-z_][A-Za-z0-9_]*/y;
const STRING_PREFIX = /(?:[eEbBxXnN]|[uU]&)(?=')/y;

function matchAt(pattern: RegExp, sql: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(sql)?.[0];
}

/** The tokens of `sql`; joined, their texts are `sql` again. Throws {@link UnclosedSql}. */
export function sqlTokens(sql: string): SqlToken[] {
  const tokens: SqlToken[] = [];
  let at = 0;
  while (at < sql.length) {
    const token = tokenAt(sql, at);
    tokens.push(token);
    at += token.text.length;
  }
  return tokens;
}

function tokenAt(sql: string, at: number): SqlToken {
  const space = matchAt(SPACE, sql, at) ?? matchAt(LINE_COMMENT, sql, at);
  if (space !== undefined) return { kind: "space", text: space };
  if (sql.startsWith("/*", at)) return { kind: "space", text: blockComment(sql, at) };
  const prefix = matchAt(STRING_PREFIX, sql, at) ?? "";
  if (sql[at + prefix.length] === "'")
    return { kind: "string", text: prefix + quotedText(sql, at + prefix.length, prefix.toLowerCase() === "e") };
  if (sql[at] === '"') return { kind: "quoted", text: quotedText(sql, at, false) };
  if (matchAt(/[uU]&(?=")/y, sql, at) !== undefined)
    return { kind: "quoted", text: sql.slice(at, at + 2) + quotedText(sql, at + 2, false) };
  if (sql[at] === "$") return dollarToken(sql, at);
  if (sql.startsWith("::", at) || sql.startsWith(":=", at)) return { kind: "operator", text: sql.slice(at, at + 2) };
  const parameter = matchAt(PARAMETER, sql, at);
  if (parameter !== undefined) return { kind: "parameter", text: parameter };
  if (WORD_START.test(sql[at] ?? "")) return { kind: "word", text: matchAt(WORD, sql, at) ?? "" };
  return { kind: "operator", text: matchAt(NUMBER, sql, at) ?? sql[at] ?? "" };
}

function dollarToken(sql: string, at: number): SqlToken {
  const tag = matchAt(DOLLAR_TAG, sql, at);
  if (tag !== undefined) {
    const end = sql.indexOf(tag, at + tag.length);
    if (end < 0) throw new UnclosedSql(`the string that begins with ${tag}`);
    return { kind: "string", text: sql.slice(at, end + tag.length) };
  }
  const positional = matchAt(POSITIONAL, sql, at);
  return positional === undefined ? { kind: "operator", text: "$" } : { kind: "positional", text: positional };
}

/** A text between two of the same quote, doubled inside; with `backslash`, `\` takes the next character along. */
function quotedText(sql: string, at: number, backslash: boolean): string {
  const quote = sql[at];
  let end = at + 1;
  for (;;) {
    if (end >= sql.length) throw new UnclosedSql(quote === '"' ? "a quoted identifier" : "a string");
    const character = sql[end];
    if (backslash && character === "\\") end += 2;
    else if (character !== quote) end++;
    else if (sql[end + 1] === quote) end += 2;
    else return sql.slice(at, end + 1);
  }
}

function blockComment(sql: string, at: number): string {
  let depth = 0;
  let end = at;
  while (end < sql.length) {
    if (sql.startsWith("/*", end)) depth++;
    else if (sql.startsWith("*/", end)) depth--;
    else {
      end++;
      continue;
    }
    end += 2;
    if (depth === 0) return sql.slice(at, end);
  }
  throw new UnclosedSql("a comment");
}
