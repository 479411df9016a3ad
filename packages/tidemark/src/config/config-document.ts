// tidemark.yaml as text: parsed with the place of every key and value, so that each problem can name its line and column.
import { isAlias, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from "yaml";
import type { ConfigPath, Finding } from "./config-problem.ts";

/** The largest tidemark.yaml: 1 MiB. A longer one is refused before it is parsed. */
const MAX_CONFIG_BYTES = 1_048_576;

/** The deepest nesting; a deeper file is no configuration. */
const MAX_DEPTH = 64;

/** The most places that an anchor's content may be repeated in, against files that explode. */
const MAX_ALIASES = 100;

export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A parsed file: its plain value, what is wrong with its form, and where things stand. */
export interface ConfigDocument {
  /** Plain data; undefined when the form is broken. */
  readonly value: unknown;
  readonly broken: readonly (Place & Omit<Finding, "path">)[];
  /** The place of the value at `path`, or of its key; of the nearest thing above when it is not there. */
  locate(path: ConfigPath, at?: "key" | "value"): Place;
}

const FORM_EXPECTED = "YAML 1.2: keys and values with consistent indentation, every key once";

/** Parses `text`. Never throws: what is wrong stands in `broken`. */
export function parseConfigDocument(text: string): ConfigDocument {
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES) {
    return brokenDocument({
      line: 1,
      column: 1,
      message: `the file has more than ${MAX_CONFIG_BYTES} bytes`,
      expected: "a smaller file",
      code: "TM-CONFIG-SYNTAX",
    });
  }
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(Math.max(0, Math.min(offset, text.length)));
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "silent", stringKeys: true, uniqueKeys: true });
  } catch (error) {
    // The parser recurses; a file of nothing but brackets exhausts the stack.
    return brokenDocument({
      line: 1,
      column: 1,
      message: `the file cannot be parsed: ${messageOf(error)}`,
      expected: FORM_EXPECTED,
      code: "TM-CONFIG-SYNTAX",
    });
  }
  const broken: (Place & Omit<Finding, "path">)[] = [...document.errors, ...document.warnings].map((error) => ({
    ...place(error.pos[0]),
    message: error.message.replaceAll(/\s+/g, " "),
    expected: error.code === "DUPLICATE_KEY" ? "every key once" : FORM_EXPECTED,
    code: "TM-CONFIG-SYNTAX",
  }));
  let value: unknown;
  if (broken.length === 0) {
    try {
      assertShallow(document.contents, 0);
      value = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      broken.push({
        line: 1,
        column: 1,
        message: `the file cannot be read as data: ${messageOf(error)}`,
        expected: `at most ${MAX_DEPTH} levels and ${MAX_ALIASES} repetitions of anchors`,
        code: "TM-CONFIG-SYNTAX",
      });
    }
  }
  return { value, broken, locate: (path, at = "value") => place(offsetOf(document, path, at)) };
}

function brokenDocument(problem: Place & Omit<Finding, "path">): ConfigDocument {
  return { value: undefined, broken: [problem], locate: () => ({ line: 1, column: 1 }) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
}

function assertShallow(node: unknown, depth: number): void {
  if (depth > MAX_DEPTH) throw new Error(`more than ${MAX_DEPTH} levels`);
  if (isMap(node) || isSeq(node)) for (const item of node.items) assertShallow(isPair(item) ? item.value : item, depth + 1);
}

function offsetOf(document: Document.Parsed, path: ConfigPath, at: "key" | "value"): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [index, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    let found: unknown;
    if (isMap(node)) {
      const pair = node.items.find((item) => (isScalar(item.key) ? String(item.key.value) : String(item.key)) === String(step));
      if (pair === undefined) return offset;
      found = pair.value;
      const wantsKey = index === path.length - 1 && at === "key";
      const keyOffset = startOf(pair.key) ?? offset;
      // A key without a value has no place of its own.
      offset = wantsKey || isEmpty(found) ? keyOffset : (startOf(found) ?? keyOffset);
    } else if (isSeq(node)) {
      found = node.items[Number(step)];
      if (found === undefined) return offset;
      offset = startOf(found) ?? offset;
    } else {
      return offset;
    }
    node = found;
  }
  return offset;
}

function isEmpty(node: unknown): boolean {
  return node === null || (isScalar(node) && node.value === null && node.source === "");
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined;
}
