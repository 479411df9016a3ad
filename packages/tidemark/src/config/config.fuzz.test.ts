import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { checkConfig } from "./load-config.ts";

const EXAMPLES = ["orders", "observed"].map((name) => readFileSync(new URL(`../../examples/${name}.yaml`, import.meta.url), "utf8"));
const RUNS = 200;

/** Whatever the text: an answer, never an exception, and every problem has a place in the file. */
function answers(text: string): void {
  const checked = checkConfig(text, "tidemark.yaml");
  if (!("problems" in checked)) return;
  expect(checked.problems.length).toBeGreaterThan(0);
  const lines = text.split("\n");
  for (const { line, column, message, expected, code, path } of checked.problems) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lines.length);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(message).not.toBe("");
    expect(expected).not.toBe("");
    expect(code).toMatch(/^TM-/);
    expect(path === "" || path.startsWith("/")).toBe(true);
  }
}

const KEYS = [
  "version",
  "name",
  "services",
  "stores",
  "nodes",
  "vaults",
  "archive",
  "encryption",
  "commands",
  "journal",
  "gateway",
  "tokens",
  "schema",
  "sql",
  "key",
  "policy",
  "objectives",
  "__proto__",
  "constructor",
  "toString",
  "process-loss",
  "pg1",
  "settings",
  "kind",
  "copies",
  "postgresql",
  "pgbackrest",
  "objects",
  "namespaces",
  "business",
  "alerts",
  "receivers",
  "rules",
  "history",
];
const PUNCTUATION = Array.from("{}[]:,-&*!|>'\"%@`# \n\tab1?~");
const SCALARS: unknown[] = [
  null,
  0,
  1,
  -1,
  1.5,
  true,
  "",
  "5s",
  "64MiB",
  "127.0.0.1:1",
  "/a",
  "never-lose",
  "object",
  "observed",
  "postgres://u:p@h/d",
  Number.NaN,
  Number.POSITIVE_INFINITY,
  "*x",
  "&a",
  "!!js",
  "\u0000",
  "\u{1f600}",
  [],
  {},
];

const anything = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(...SCALARS),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...KEYS), tie("value"), { maxKeys: 5 }),
  ),
})).value;

describe("checking a configuration", () => {
  it("answers to any text", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: "binary", maxLength: 200 }), fc.string({ unit: fc.constantFrom(...PUNCTUATION), maxLength: 120 })),
        answers,
      ),
      { numRuns: RUNS },
    );
  });

  it("answers to any data under the keys that it knows", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...KEYS), anything, { maxKeys: 8 }), (data) => answers(stringify(data))),
      { numRuns: RUNS },
    );
  });

  it.each(EXAMPLES)("answers to an example with a piece cut out, doubled or replaced", (example) => {
    const piece = fc.tuple(
      fc.nat(example.length),
      fc.nat(60),
      fc.oneof(fc.constant(""), fc.string({ maxLength: 8 }), fc.constantFrom("{}", "[]", "null", "*x", ": ", "\n  ", "- ", "1")),
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 4 }), (cuts) =>
        answers(cuts.reduce((text, [at, length, put]) => text.slice(0, at) + put + text.slice(at + length), example)),
      ),
      { numRuns: RUNS },
    );
  });

  it.each(EXAMPLES)("answers to an example with the value of any key replaced by any data", (example) => {
    const lines = example
      .split("\n")
      .map((line, index) => ({ line, index }))
      .filter(({ line }) => /^\s*[\w-]+:/.test(line));
    fc.assert(
      fc.property(fc.constantFrom(...lines), anything, ({ line, index }, data) => {
        const text = example
          .split("\n")
          .with(index, `${line.slice(0, line.indexOf(":"))}: ${JSON.stringify(data) ?? "~"}`)
          .join("\n");
        answers(text);
      }),
      { numRuns: RUNS },
    );
  });
});
