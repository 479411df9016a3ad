import { describe, expect, test } from "vitest";
import { readBatchAnswer } from "./write-answer.ts";

const receipt = '{"id":"w_1","sequence":"1"}';
const refusal = '{"status":422,"code":"TM-GATEWAY-INVALID","retry":"never","line":2,"hint":5}';
const ok = (body: string): Parameters<typeof readBatchAnswer>[0] => ({ kind: "answer", status: 200, headers: {}, body });
const kinds = (body: Parameters<typeof readBatchAnswer>[0], expected: number): string[] => {
  const result = readBatchAnswer(body, expected);
  return result.kind === "whole"
    ? [`whole ${result.failure.kind}`]
    : result.lines.map((line) => (line.kind === "receipt" ? "receipt" : line.failure.kind));
};

describe("an answer to a batch", () => {
  test("has a result for each write, receipts and problems mixed", () => {
    expect(kinds(ok(`${receipt}\n${refusal}\n${receipt}\n`), 3)).toEqual(["receipt", "problem", "receipt"]);
    expect(kinds(ok(`${receipt}\n${refusal}`), 2)).toEqual(["receipt", "problem"]);
  });

  test("proves nothing from the first line on that makes no sense", () => {
    expect(kinds(ok(`${receipt}\ngarbage\n${receipt}\n`), 3)).toEqual(["receipt", "protocol", "protocol"]);
    expect(kinds(ok(`${receipt}\n{}\n${receipt}\n`), 3)).toEqual(["receipt", "protocol", "protocol"]);
    expect(kinds(ok("<html>hello</html>"), 2)).toEqual(["whole protocol"]);
    expect(kinds(ok(""), 1)).toEqual(["whole protocol"]);
  });

  test("with more results than writes proves nothing at all", () => {
    expect(kinds(ok(`${receipt}\n${receipt}\n`), 1)).toEqual(["whole protocol"]);
  });

  test("that ends early leaves the rest unknown, and a line without its end proves nothing", () => {
    const cut = (body: string): Parameters<typeof readBatchAnswer>[0] => ({
      kind: "broken",
      sent: true,
      cause: new Error("reset"),
      partial: { status: 200, body },
    });
    expect(kinds(cut(`${receipt}\n${receipt}\n{"id":"w_`), 4)).toEqual(["receipt", "receipt", "network", "network"]);
    expect(kinds(cut(`${receipt}\n${receipt}`), 2)).toEqual(["receipt", "network"]);
    expect(kinds(cut(""), 2)).toEqual(["whole network"]);
    expect(kinds({ kind: "broken", sent: true, cause: 0, partial: { status: 503, body: "{" } }, 2)).toEqual(["whole network"]);
  });

  test("of another status is one problem, whose Retry-After may be seconds or a date", () => {
    const after = (headers: Record<string, string>, body = ""): unknown => {
      const result = readBatchAnswer({ kind: "answer", status: 503, headers, body }, 2);
      return result.kind === "whole" && result.failure.kind === "problem" ? result.failure.problem.retryAfterSeconds : "none";
    };
    expect(after({ "retry-after": "7" })).toBe(7);
    expect(after({ "retry-after": "Fri, 20 Nov 2026 13:00:09 GMT", date: "Fri, 20 Nov 2026 13:00:04 GMT" })).toBe(5);
    expect(after({ "retry-after": "soon" })).toBeUndefined();
    expect(after({}, '{"retryAfterSeconds":3}')).toBe(3);
  });
});
