import { hasCode, type ErrorCode } from "@tidemark/kernel/errors";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CommandConfig } from "../config/config.ts";
import { boundValues, compileCommand } from "./command-catalogue.ts";
import { sqlTokens } from "./sql-tokens.ts";

function command(statements: string[], extra: Partial<CommandConfig> = {}): CommandConfig {
  return {
    store: "orders",
    key: "/customer",
    schema: { type: "object", properties: { customer: { type: "string" }, total: { type: "integer" } } },
    statements,
    onReject: "skip",
    volatile: false,
    ...extra,
  };
}

function compiled(sql: string, extra: Partial<CommandConfig> = {}) {
  const statement = compileCommand("place", command([sql], extra)).statements[0];
  if (statement === undefined) throw new Error("no statement");
  return statement;
}

function codeOf(sql: string, extra: Partial<CommandConfig> = {}): ErrorCode | undefined {
  try {
    compiled(sql, extra);
    return undefined;
  } catch (error) {
    if (
      hasCode(error, "TM-GATEWAY-COMMAND-SQL") ||
      hasCode(error, "TM-GATEWAY-COMMAND-PARAMETER") ||
      hasCode(error, "TM-GATEWAY-COMMAND-VOLATILE")
    )
      return error.code;
    throw error;
  }
}

describe("parameters", () => {
  test("a name becomes a number, and the same name the same number", () => {
    expect(compiled("INSERT INTO o (id, c, t, c2) VALUES (:id, :customer, :total, :customer)")).toEqual({
      text: "INSERT INTO o (id, c, t, c2) VALUES ($1, $2, $3, $2)",
      parameters: ["id", "customer", "total"],
    });
  });

  test.each([
    ["a string", "SELECT ':nope', :total"],
    ["a string with a doubled quote", "SELECT 'it''s :nope', :total"],
    ["an escape string", "SELECT E'a\\' :nope', :total"],
    ["a quoted identifier", 'SELECT ":nope", :total'],
    ["a dollar quote", "SELECT $$ :nope ; $$, :total"],
    ["a tagged dollar quote", "SELECT $a$ $$ :nope $b$ $a$, :total"],
    ["a line comment", "SELECT -- :nope ; now()\n :total"],
    ["nested block comments", "SELECT /* :nope /* ; */ now() */ :total"],
  ])("nothing inside %s is a parameter", (_, sql) => {
    const statement = compiled(sql);
    expect(statement.parameters).toEqual(["total"]);
    expect(statement.text).toBe(sql.replace(":total", "$1"));
  });

  test("a cast is no parameter", () => {
    expect(compiled("SELECT :total::int, '1'::text")).toEqual({ text: "SELECT $1::int, '1'::text", parameters: ["total"] });
  });

  test("a backslash ends nothing in an ordinary string", () => {
    expect(compiled("SELECT 'a\\', :total").parameters).toEqual(["total"]);
  });

  test.each([
    ["an unknown name", "SELECT :nope"],
    ["a positional parameter", "SELECT $1"],
    ["an array slice that looks like a parameter", "SELECT a[1:n] FROM t"],
  ])("%s is refused", (_, sql) => expect(codeOf(sql)).toBe("TM-GATEWAY-COMMAND-PARAMETER"));

  test("a name that is frozen and declared is refused, because it would mean two things", () => {
    expect(codeOf("SELECT :id", { schema: { type: "object", properties: { id: {} } } })).toBe("TM-GATEWAY-COMMAND-PARAMETER");
  });

  test("values go by name; an absent argument is null, even where a prototype has the name", () => {
    const statement = compiled("SELECT :id, :accepted_at, :key, :customer, :total, :constructor", {
      schema: { type: "object", properties: { customer: {}, total: {}, constructor: {} } },
    });
    expect(boundValues(statement, { id: "u", acceptedAtMs: 0, key: "k", args: { customer: "'; DROP TABLE o; --" } })).toEqual([
      "u",
      "1970-01-01T00:00:00.000Z",
      "k",
      "'; DROP TABLE o; --",
      null,
      null,
    ]);
  });
});

describe("what a statement may be", () => {
  test.each([
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "SET a = 1",
    "RESET ALL",
    "LISTEN a",
    "NOTIFY a",
    "COPY o FROM stdin",
    "CREATE TABLE o ()",
    "DROP TABLE o",
    "TRUNCATE o",
    "LOCK o",
    "DO $$ $$",
    "CALL p()",
    "VACUUM",
    "PREPARE a AS SELECT 1",
    "EXPLAIN SELECT 1",
    "",
    " -- nothing",
    "SELECT 'open",
    "SELECT $a$ open",
    "SELECT /* open",
    "SELECT 1; SELECT 2",
    "SELECT set_config('a', 'b', true)",
  ])("%j is refused", (sql) => expect(codeOf(sql)).toBe("TM-GATEWAY-COMMAND-SQL"));

  test("a final semicolon and what is only a comment behind it are taken off", () => {
    expect(compiled("SELECT 1 ; -- done").text).toBe("SELECT 1");
  });

  test("an error names the command and the statement", () => {
    expect(() => compileCommand("orders.place", command(["SELECT 1", "COMMIT"]))).toThrow(
      'command "orders.place", statement 2 begins with "COMMIT"',
    );
  });

  test.each([
    "SELECT now()",
    "SELECT NOW ()",
    'SELECT "now"()',
    "SELECT pg_catalog.now()",
    "SELECT CURRENT_TIMESTAMP",
    "SELECT localtime(0)",
    "SELECT random()",
    "SELECT gen_random_uuid()",
    "SELECT nextval('s')",
    "SELECT clock_timestamp()",
    "SELECT uuidv7()",
    "SELECT txid_current()",
    "SELECT 'now'::timestamptz",
    "SELECT timestamp 'now'",
    "SELECT date 'today'",
  ])("%s is volatile: refused, but where the command says so", (sql) => {
    expect(codeOf(sql)).toBe("TM-GATEWAY-COMMAND-VOLATILE");
    expect(codeOf(sql, { volatile: true })).toBeUndefined();
  });

  test.each([
    "SELECT now FROM o",
    "SELECT app.now()",
    "SELECT 'now()'",
    'SELECT "current_timestamp" FROM o',
    "SELECT o.current_date FROM o",
    "SELECT 'now'",
    "SELECT :total -- now()",
  ])("%s is not volatile", (sql) => {
    expect(codeOf(sql)).toBeUndefined();
  });
});

test("tokens join to the text that they came from, for any text", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.constantFrom("'", '"', "$", "$a$", ":", ":a", "::", "--", "/*", "*/", "\n", " ", "a", "E'", "U&'", "\\", ";", "1", ".", "é"),
        { maxLength: 30 },
      ),
      (parts) => {
        const sql = parts.join("");
        let tokens;
        try {
          tokens = sqlTokens(sql);
        } catch {
          return;
        }
        expect(tokens.map((token) => token.text).join("")).toBe(sql);
      },
    ),
  );
});
