import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readBody } from "./write-text.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("bodies of any kind", () => {
  test("are read or are a problem, and nothing is thrown", () => {
    const pieces = fc.constantFrom(
      "{",
      "}",
      '"',
      "\\",
      "\n",
      "\r\n",
      ":",
      ",",
      "[",
      "]",
      "1e999",
      "12345678901234567",
      "\\u0000",
      "\\ud800",
      "é",
      '{"a":1}',
      " ",
    );
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(pieces, { maxLength: 20 }).map((parts) => bytes(parts.join(""))),
    );
    fc.assert(
      fc.property(body, fc.boolean(), (input, ndjson) => {
        const read = readBody(input, ndjson, 5);
        if ("problem" in read) expect(read.problem.code).toMatch(/^TM-GATEWAY-(MALFORMED|TOO-LARGE)$/);
        else for (const write of read.writes) expect(write.problem === undefined || write.value === undefined).toBe(true);
      }),
    );
  });

  test("a batch has one result per line that is not blank, with the line's number", () => {
    const line = fc.oneof(
      fc.constant(""),
      fc.constant("  "),
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc.constant("{oops"),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), fc.constantFrom("\n", "\r\n"), (lines, end) => {
        const read = readBody(bytes(lines.join(end)), true, 100);
        if ("problem" in read) throw new Error(read.problem.detail);
        const expected = lines.flatMap((text, index) => (text.trim() === "" ? [] : [index + 1]));
        expect(read.writes.map((write) => write.line)).toEqual(expected);
      }),
    );
  });

  test("what JSON.stringify wrote comes back as it was", () => {
    const storable = fc.jsonValue({ stringUnit: "grapheme" }).filter((value) => !JSON.stringify(value).includes("\\u0000"));
    fc.assert(
      fc.property(storable, (value) => {
        const read = readBody(bytes(JSON.stringify({ value })), false, 1);
        if ("problem" in read) throw new Error(read.problem.detail);
        expect(read.writes[0]?.value).toEqual(JSON.parse(JSON.stringify({ value })));
      }),
    );
  });

  test("an integer is taken exactly when the digits that its double prints are its own", () => {
    // Beyond it a double prints an exponent.
    const most = 10n ** 20n;
    fc.assert(
      fc.property(fc.bigInt({ min: -most, max: most }), (integer) => {
        const read = readBody(bytes(`{"n":${integer}}`), false, 1);
        // Shortest digits that name the double: what PostgreSQL would be sent.
        expect("problem" in read).toBe(BigInt(String(Number(integer))) !== integer);
      }),
    );
  });
});
