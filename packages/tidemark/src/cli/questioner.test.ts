import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FoundStore } from "../init/found-store.ts";
import { askStandbys, interview } from "../init/interview.ts";
import { GoneAway, LineQuestioner } from "./questioner.ts";
import { makePaint, type Terminal } from "./terminal.ts";

let input: PassThrough;
let output: string;
let questioner: LineQuestioner;
beforeEach(() => {
  input = new PassThrough();
  output = "";
  const screen = new PassThrough();
  screen.on("data", (bytes: Buffer) => (output += bytes.toString("utf8")));
  const out = (text: string): void => void (output += `${text}\n`);
  const terminal: Terminal = { out, err: out, paint: makePaint(false), columns: 80, interactive: true };
  questioner = new LineQuestioner(terminal, { input, output: screen });
});
afterEach(() => questioner[Symbol.dispose]());

const FOUND: FoundStore = {
  servers: [{ name: "db1", address: { host: "db1", port: 5432 }, remarks: [] }],
  target: { host: "db1", port: 5432, user: "monitor", database: "Shop_DB", tls: "prefer" },
  archiving: { archiving: "off", stanza: null, barmanServer: null },
  remarks: [],
  unlocated: [],
  superuser: false,
};

/** A line for each question, as a person types them. */
function answers(...lines: readonly string[]): void {
  input.write(lines.map((line) => `${line}\n`).join(""));
}

describe("the questions of a first configuration", () => {
  it("take Enter for the usual answer, and leave out what is not said", async () => {
    answers("", "", "", "", "", "", "", "");
    expect(await interview(questioner, { zones: {} }, FOUND)).toEqual({
      name: "shop-db",
      service: "shop-db",
      store: "shop-db-db",
      tier: "high",
      canary: "positions",
      zones: {},
    });
  });

  it("come back until the answer can be", async () => {
    answers("Shop", "shop", "ops", "hihg", "low", "5 seconds", "12h", "", "because", "orders", "-1", "60", "euro", "EUR 1000", "b");
    expect(await interview(questioner, { zones: {} }, FOUND)).toEqual({
      name: "shop",
      service: "shop",
      store: "shop-db",
      owner: "ops",
      tier: "low",
      rpo: "12h",
      why: "because",
      business: { unit: "orders", perHour: 60, revenue: { currency: "EUR", perHour: 1_000 } },
      canary: "positions",
      zones: { db1: "b" },
    });
    expect(output.match(/That does not fit/g)).toHaveLength(5);
  });

  it("are not asked of what was said before", async () => {
    const given = {
      service: "shop",
      owner: "ops",
      tier: "high",
      rpo: "1m",
      rto: "1h",
      why: "x",
      business: { unit: "orders", perHour: 1 },
      zones: { db1: "a" },
    } as const;
    expect(await interview(questioner, given, FOUND)).toMatchObject(given);
    expect(output).toBe("");
  });

  it("take no address that is none for a standby, and none at all for leaving it out", async () => {
    answers("db2", "db2:5433", "");
    expect(await askStandbys(questioner, ["standby1", "standby2"])).toEqual({ standby1: { host: "db2", port: 5433 } });
  });

  it("end with Ctrl-C, and when the terminal goes away", async () => {
    const asked = questioner.ask({ text: "Who?" });
    input.write("\u0003");
    await expect(asked).rejects.toBeInstanceOf(GoneAway);
    await expect(questioner.ask({ text: "Who else?" })).rejects.toBeInstanceOf(GoneAway);
  });
});
