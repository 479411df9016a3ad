import { assert as check, property, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { renderHba } from "./initialise-cluster.ts";
import { followSettings } from "./make-standby.ts";
import { quoteSetting, renderSettings } from "./server-settings.ts";

/** What PostgreSQL's configuration lexer makes of a quoted value (guc-file.l: GUC_scanstr). */
function unquote(quoted: string): string {
  return quoted.slice(1, -1).replaceAll(/\\(.)|''/g, (whole, escaped: string | undefined) => (whole === "''" ? "'" : (escaped ?? "")));
}

describe("settings", () => {
  it("come out of their quotes as they went in, or are refused", () => {
    check(
      property(string({ unit: "binary" }), (value) => {
        try {
          const quoted = quoteSetting(value);
          expect(quoted).toMatch(/^'(?:[^'\\\n]|\\.|'')*'$/u);
          expect(unquote(quoted)).toBe(value);
        } catch (error) {
          expect(error).toMatchObject({ code: "TM-PG-SETTING" });
        }
      }),
    );
  });

  it("cannot bring a second line or a second setting along", () => {
    expect(() => renderSettings({ port: "1\nfsync = off" })).toThrow(expect.objectContaining({ code: "TM-PG-SETTING" }));
    for (const name of ["a = 1\nb", "", "1a", "a b", "a.b.c", "a'"])
      expect(() => renderSettings({ [name]: "1" })).toThrow(expect.objectContaining({ code: "TM-PG-SETTING" }));
  });

  it("give the same bytes in whatever order they were named", () => {
    expect(renderSettings({ b: "2", a: "it's" })).toBe(renderSettings({ a: "it's", b: "2" }));
    expect(renderSettings({ a: "it's" })).toContain("\na = 'it''s'\n");
  });
});

describe("the upstream of a standby", () => {
  const upstream = { host: "10.0.0.1", port: 5432, user: "o'reilly", passfile: "/a b/c", applicationName: "pg2-77" };

  it("is named without a password, each value in quotes", () => {
    expect(followSettings(upstream)).toEqual({
      primary_conninfo: "host='10.0.0.1' port='5432' user='o\\'reilly' passfile='/a b/c' application_name='pg2-77' sslmode='prefer'",
      primary_slot_name: "",
      recovery_target_timeline: "latest",
    });
  });

  it("is refused when a part holds a control character", () => {
    expect(() => followSettings({ ...upstream, host: "a\nb" })).toThrow(expect.objectContaining({ code: "TM-PG-SETTING" }));
  });
});

describe("pg_hba.conf", () => {
  it("trusts nobody: every line asks for SCRAM-SHA-256", () => {
    const lines = renderHba(["10.0.0.0/8", "fd00::/8"])
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    expect(lines).toHaveLength(10);
    for (const line of lines) expect(line).toMatch(/ scram-sha-256$/);
  });

  it("refuses what is not a network", () => {
    for (const network of ["all", "10.0.0.0", "10.0.0.0/8 trust\nhost all all 0.0.0.0/0"]) {
      expect(() => renderHba([network])).toThrow(expect.objectContaining({ code: "TM-PG-SETTING" }));
    }
  });
});
