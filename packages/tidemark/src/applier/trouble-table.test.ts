import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { troubleOf, troubleRows, type Reaction } from "./trouble-table.ts";

const reaction = (sqlstate: string | undefined, routine?: string): Reaction =>
  troubleOf({ message: "m", ...(sqlstate === undefined ? {} : { sqlstate }), ...(routine === undefined ? {} : { routine }) }).reaction;

describe("the table of troubles", () => {
  it("takes an error without SQLSTATE for a lost connection, whose transaction is in doubt", () => {
    expect(reaction(undefined)).toBe("reconnect");
  });

  it.each<[string, Reaction]>([
    ["25006", "reconnect"],
    ["57P01", "reconnect"],
    ["57P03", "reconnect"],
    ["08006", "reconnect"],
    ["TM001", "reconnect"],
    ["TM003", "reconnect"],
    ["TM002", "duplicates"],
    ["40001", "retry"],
    ["40P01", "retry"],
    ["55P03", "retry"],
    ["57014", "retry"],
    ["53100", "wait"],
    ["53200", "wait"],
    ["53300", "wait"],
    ["58030", "wait"],
    ["42P01", "wait"],
    ["42501", "wait"],
    ["3F000", "wait"],
    ["28P01", "wait"],
    ["XX000", "wait"],
    ["XX001", "stop"],
    ["23505", "dead-letter"],
    ["23503", "dead-letter"],
    ["22001", "dead-letter"],
    ["22P05", "dead-letter"],
    ["P0001", "dead-letter"],
    ["44000", "dead-letter"],
    ["25P02", "earlier"],
  ])("reacts to %s with %s", (sqlstate, expected) => {
    expect(reaction(sqlstate)).toBe(expected);
  });

  it("waits on what it does not know: no error drops a write", () => {
    for (const sqlstate of ["ZZ999", "99000", "H1234", ""]) expect(reaction(sqlstate)).toBe("wait");
    expect(new Set(troubleRows.map((row) => row.reaction))).toEqual(
      new Set<Reaction>(["reconnect", "retry", "wait", "stop", "dead-letter", "duplicates", "earlier"]),
    );
  });

  it("plans a statement again on a new connection when its table changed, and waits for a feature that is missing", () => {
    expect(reaction("0A000", "RevalidateCachedQuery")).toBe("reconnect");
    expect(reaction("0A000", "transformSomething")).toBe("wait");
  });

  it("agrees with the table in docs/write-protocol.md", async () => {
    const page = await readFile(new URL("../../../../docs/write-protocol.md", import.meta.url), "utf8");
    const rows = [...page.matchAll(/^\| ([^|]+?) \| [^|]+ \| ([^|]+) \|$/gm)];
    let checked = 0;
    for (const [, states = "", told = ""] of rows) {
      const word = /\*\*([a-z-]+)\*\*/.exec(told)?.[1];
      if (word === undefined) continue;
      for (const state of states.matchAll(/\b([0-9A-Z]{2})(xxx|[0-9A-Z]{3})\b/g)) {
        const [whole, head, rest] = state;
        expect(reaction(rest === "xxx" ? `${head}ZZZ` : whole), whole).toBe(word);
        checked++;
      }
    }
    expect(checked).toBeGreaterThan(30);
  });
});
