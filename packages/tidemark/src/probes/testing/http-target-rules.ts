// What every probe that asks over HTTP has to bear.
import { afterEach, beforeEach, expect, it } from "vitest";
import { MOST_ANSWER_BYTES } from "../http-json.ts";
import { describeProbeContract, type ProbeUnderTest } from "../contract/probe-contract.ts";
import type { Probe, ProbeReading } from "../probe.ts";
import { HttpStandIn, json, type StandInAnswer } from "./http-stand-in.ts";

export const SECRET = "s3cret-of-the-target";

/**
 * @param rules.make a new probe of the target at `url`, asked with {@link SECRET} where it takes one.
 * @param rules.good an answer that it understands, to every question.
 * @param rules.counts figures that count the elements of a list, and are 0 in truth when the list is shorter.
 */
export function bearsItsTarget(rules: { make: (url: string) => Probe; good: unknown; counts?: readonly string[] }): void {
  const given = async (answer: StandInAnswer | "down"): Promise<ProbeUnderTest> => {
    const standIn = await HttpStandIn.start(answer === "down" ? undefined : answer);
    if (answer === "down") await standIn.stop();
    return { probe: rules.make(standIn.url), [Symbol.asyncDispose]: () => standIn.stop() };
  };
  describeProbeContract("over HTTP", {
    targets: {
      well: () => given(json(rules.good)),
      down: () => given("down"),
      slow: () => given(() => undefined),
      denied: () => given(json({}, 401)),
      version: "cannot happen",
      garbage: () => given((_request, response) => response.end("<html>")),
    },
    secrets: [SECRET],
  });

  let target: HttpStandIn;
  beforeEach(async () => {
    target = await HttpStandIn.start(json(rules.good));
  });
  afterEach(() => target.stop());

  const look = async (signal = new AbortController().signal): Promise<ProbeReading> => {
    const probe = rules.make(target.url);
    const reading = await probe.probe(signal);
    await probe.close();
    expect(JSON.stringify(reading) + probe.name, "a secret is shown").not.toContain(SECRET);
    return reading;
  };

  it("says of a target that is down that it is away", async () => {
    await target.stop();
    expect(await look()).toMatchObject({ ok: false, code: "TM-PROBE-AWAY" });
  });

  it("ends at once when it is given up, and says that the target is slow", async () => {
    const giveUp = new AbortController();
    target.answer = () => giveUp.abort(new Error("late"));
    expect(await look(giveUp.signal)).toMatchObject({ ok: false, code: "TM-PROBE-SLOW" });
  });

  it("says of a target that ends in the middle of its answer that it is away", async () => {
    target.answer = (_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{", () => response.destroy());
    };
    expect(await look()).toMatchObject({ ok: false, code: "TM-PROBE-AWAY" });
  });

  it.each([
    ["no JSON", "<html>" + SECRET],
    ["nothing", ""],
    ["null", "null"],
    ["a list of texts", '["x"]'],
    ["an empty object", "{}"],
    ["a number", "0"],
  ])("takes %s for garbage", async (_what, text) => {
    target.answer = (_request, response) => response.end(text);
    expect(await look()).toMatchObject({ ok: false, code: "TM-PROBE-GARBAGE" });
  });

  it("reads no answer without end", async () => {
    target.answer = (_request, response) => response.end(Buffer.alloc(MOST_ANSWER_BYTES + 1, 0x20));
    expect(await look()).toMatchObject({ ok: false, code: "TM-PROBE-GARBAGE" });
  });

  it("tells a refusal from a fault, and follows nowhere else", async () => {
    target.answer = json({ detail: SECRET }, 401);
    expect(await look()).toMatchObject({ ok: false, code: "TM-PROBE-DENIED" });
    target.answer = json({ detail: SECRET }, 503);
    expect(await look()).toMatchObject({ ok: false, code: "TM-PROBE-FAILED" });
    target.answer = (_request, response) => response.writeHead(302, { location: `${target.url}/${SECRET}` }).end();
    expect(await look()).toMatchObject({ ok: false, code: "TM-PROBE-GARBAGE" });
  });

  it("never makes a number of what is missing or of another type", async () => {
    const whole = figuresOf(await look());
    expect(whole.size).toBeGreaterThan(0);
    for (const path of pathsOf(rules.good)) {
      for (const change of [undefined, null, {}, "x"]) {
        target.answer = json(changed(rules.good, path, change));
        for (const [name, value] of figuresOf(await look())) {
          expect(Number.isFinite(value), `${name} with ${path.join(".")} as ${JSON.stringify(change)}`).toBe(true);
          if (value === 0 && rules.counts?.includes(name) !== true)
            expect(whole.get(name), `${name} with ${path.join(".")} as ${JSON.stringify(change)}`).toBe(0);
        }
      }
    }
  });
}

/** Every known number of a reading, by name. */
export function figuresOf(reading: ProbeReading): Map<string, number> {
  const found = new Map<string, number>();
  if (!reading.ok) return found;
  for (const [name, figure] of Object.entries(reading.figures)) if (figure.known) found.set(name, figure.value);
  for (const copy of reading.copies) {
    if (copy.missingBytes.known) found.set(`${copy.name} bytes`, copy.missingBytes.value);
    if (copy.missingTransactions.known) found.set(`${copy.name} transactions`, copy.missingTransactions.value);
    if (copy.recoveryPoint.known) found.set(`${copy.name} point`, copy.recoveryPoint.value.commitMs);
  }
  return found;
}

type Path = readonly (string | number)[];

function pathsOf(value: unknown, at: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const path = [...at, Array.isArray(value) ? Number(key) : key];
    return [path, ...pathsOf(inner, path)];
  });
}

/** @param change undefined takes the field away. */
function changed(value: unknown, path: Path, change: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return change;
  const copy = structuredClone(value) as Record<string | number, unknown>;
  const inner = rest.length === 0 ? change : changed(copy[first], rest, change);
  if (inner !== undefined || rest.length > 0) copy[first] = inner;
  else if (Array.isArray(copy)) copy.splice(Number(first), 1);
  else delete copy[first];
  return copy;
}
