import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { Redacted } from "@tidemark/kernel/redacted";
import { faultOf } from "./postgresql-fault.ts";
import { parsePostgresqlTarget } from "./postgresql-target.ts";

const parse = (text: string) => parsePostgresqlTarget(new Redacted(text));

describe("the address of a PostgreSQL", () => {
  it("is read with what it leaves out", () => {
    expect(parse("postgres://db1")).toEqual({ host: "db1", port: 5432, user: "postgres", database: "postgres", tls: "prefer" });
    const full = parse("postgresql://watch%40er:p%2Fw@[::1]:6000/or%20ders?sslmode=verify-full");
    expect(full).toMatchObject({ host: "::1", port: 6000, user: "watch@er", database: "or ders", tls: "verify-full" });
    expect(full.password?.reveal()).toBe("p/w");
    expect(inspect(full, { depth: 9 }) + JSON.stringify(full)).not.toContain("p/w");
  });

  it("is refused when it is none, without repeating what may hold a password", () => {
    for (const text of [
      "hunter2",
      "mysql://u:hunter2@h/d",
      "postgres://u:hunter2@/d",
      "postgres://u:hunter2@h/%E0%A4%A",
      "postgres://u:hunter2@h/d?sslmode=maybe",
    ]) {
      let error: unknown;
      try {
        parse(text);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({ code: "TM-PROBE-TARGET" });
      expect(inspect(error)).not.toContain("hunter2");
    }
  });
});

describe("what a failed question says of its target", () => {
  const said = (name: string, code: string, message: string): string => {
    const fault = faultOf(Object.assign(new Error(message), { name, code }), new Redacted("hunter2"));
    return `${fault.code} ${fault.message}`;
  };

  it("is told apart by its code", () => {
    expect(said("PostgresError", "28P01", "no")).toContain("TM-PROBE-DENIED");
    expect(said("PostgresError", "42501", "no")).toContain("TM-PROBE-DENIED");
    expect(said("PostgresError", "57014", "no")).toContain("TM-PROBE-SLOW");
    expect(said("PostgresError", "57P03", "no")).toContain("TM-PROBE-AWAY");
    expect(said("PostgresError", "53300", "no")).toContain("TM-PROBE-AWAY");
    expect(said("PostgresError", "42703", "no")).toContain("TM-PROBE-FAILED");
    expect(said("Error", "ECONNREFUSED", "no")).toContain("TM-PROBE-AWAY");
    expect(said("Error", "SASL_SIGNATURE_MISMATCH", "no")).toContain("TM-PROBE-GARBAGE");
    expect(faultOf(undefined, undefined).code).toBe("TM-PROBE-GARBAGE");
  });

  it("has no secret, no control characters and no more than a line in it", () => {
    const text = said("PostgresError", "XX000", `hunter2 \u001b[31m${"x".repeat(5_000)}`);
    expect(text).not.toContain("hunter2");
    expect(text).not.toContain("\u001b");
    expect(text.length).toBeLessThan(300);
  });
});
