// What every probe owes to whoever runs it, whatever it looks at. An adapter's test gives a target in each condition, as real as can be
// had, and this suite holds the probe to its port (probe.ts).
import { describe, expect, it } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { sleep } from "@tidemark/kernel/clock";
import type { Probe, ProbeReading } from "../probe.ts";

/** A turn is given up after this in the suite, milliseconds. */
const TURN_MS = 1_500;
/** A probe that was given up has ended after this, milliseconds. The machine may be busy. */
const GIVEN_UP_MS = 1_000;

const CONDITIONS = ["well", "down", "slow", "denied", "version", "garbage"] as const;

export type Condition = (typeof CONDITIONS)[number];

export interface ProbeUnderTest extends AsyncDisposable {
  readonly probe: Probe;
  /** Connections, processes or files that are open because of the probe; undefined where that cannot be counted. */
  readonly open?: () => number | Promise<number>;
}

export interface ProbeHarness {
  /** A probe whose target is in this condition. */
  readonly targets: Readonly<Record<Condition, (() => Promise<ProbeUnderTest>) | "cannot happen">>;
  /** Never in a name, a reading or an error. */
  readonly secrets: readonly string[];
}

const CODES: Readonly<Record<Exclude<Condition, "well">, readonly string[]>> = {
  down: ["TM-PROBE-AWAY"],
  slow: ["TM-PROBE-SLOW"],
  denied: ["TM-PROBE-DENIED"],
  version: ["TM-PROBE-VERSION"],
  garbage: ["TM-PROBE-GARBAGE", "TM-PROBE-AWAY", "TM-PROBE-SLOW"],
};

export function describeProbeContract(kind: string, harness: ProbeHarness): void {
  const given = async (condition: Condition, check: (under: ProbeUnderTest) => Promise<void>): Promise<void> => {
    const make = harness.targets[condition];
    if (make === "cannot happen") return;
    await using under = await make();
    try {
      await check(under);
    } finally {
      await under.probe.close();
    }
  };

  describe(`the contract of probes: ${kind}`, () => {
    it("reads a target that is well again and again, on what it keeps open", () =>
      given("well", async (under) => {
        const readings: ProbeReading[] = [];
        for (let turn = 0; turn < 3; turn++) readings.push(await turnOf(under.probe));
        for (const reading of readings) {
          expect(reading).toMatchObject({ ok: true });
          checkReading(reading, harness.secrets);
        }
        expect((await under.open?.()) ?? 0).toBeLessThanOrEqual(1);
      }));

    for (const condition of CONDITIONS.filter((one) => one !== "well")) {
      it(`says that a target is away with its code and a reason when it is ${condition}, and throws nothing`, () =>
        given(condition, async (under) => {
          for (let turn = 0; turn < 2; turn++) {
            const reading = await turnOf(under.probe);
            checkReading(reading, harness.secrets);
            expect(reading.ok, JSON.stringify(reading, plain)).toBe(false);
            if (!reading.ok) {
              expect(CODES[condition]).toContain(reading.code);
              expect(reading.why).not.toBe("");
            }
          }
          if (condition === "slow") await untilOpen(under, 0);
        }));
    }

    it("ends at once when it is given up, whenever that is, and leaves nothing open", () =>
      given("well", async (under) => {
        for (const afterMs of [0, 1, 3, 10, 40]) {
          const reading = await turnOf(under.probe, afterMs);
          checkReading(reading, harness.secrets);
        }
        expect((await turnOf(under.probe)).ok).toBe(true);
        await under.probe.close();
        await untilOpen(under, 0);
      }));

    it("answers a turn whose signal is aborted already with an away reading", () =>
      given("well", async (under) => {
        const reading = await under.probe.probe(AbortSignal.abort());
        expect(reading.ok).toBe(false);
      }));

    it("leaves nothing open when it is closed, also during a turn and twice", () =>
      given("well", async (under) => {
        await turnOf(under.probe);
        const turn = turnOf(under.probe);
        await under.probe.close();
        await under.probe.close();
        checkReading(await turn, harness.secrets);
        await untilOpen(under, 0);
      }));

    it("says after it was closed that it is, and opens nothing", () =>
      given("well", async (under) => {
        await under.probe.close();
        expect((await turnOf(under.probe)).ok).toBe(false);
        await untilOpen(under, 0);
      }));
  });
}

/** One turn as the runner makes it. Fails when the probe rejects, or does not end after it was given up. */
async function turnOf(probe: Probe, giveUpAfterMs = TURN_MS): Promise<ProbeReading> {
  const giveUp = new AbortController();
  const ended = new AbortController();
  const turn = probe.probe(giveUp.signal).finally(() => ended.abort());
  const timer = systemClock.setTimer(giveUpAfterMs, () => giveUp.abort(new Error("given up")));
  const late = sleep(systemClock, giveUpAfterMs + GIVEN_UP_MS, ended.signal).then(
    () => {
      throw new Error(`${probe.name} did not end ${GIVEN_UP_MS} ms after it was given up`);
    },
    // Ended in time: the turn itself says how.
    () => turn,
  );
  try {
    return await Promise.race([turn, late]);
  } finally {
    timer.clear();
  }
}

/** Resolves when no more than `most` are open; fails after some seconds, with what is. */
async function untilOpen(under: ProbeUnderTest, most: number): Promise<void> {
  if (under.open === undefined) return;
  const deadlineMs = systemClock.monotonicMs() + 5_000;
  for (;;) {
    const open = await under.open();
    if (open <= most) return;
    if (systemClock.monotonicMs() > deadlineMs) expect(open).toBe(most);
    await sleep(systemClock, 20);
  }
}

/** The form of a reading: figures are known with a number, a time and an error bound, or unknown without any number. */
function checkReading(reading: ProbeReading, secrets: readonly string[]): void {
  const text = JSON.stringify(reading, plain);
  for (const secret of secrets) expect(text).not.toContain(secret);
  expect(reading.atMs).toBeGreaterThan(1_600_000_000_000);
  if (!reading.ok) {
    expect(Object.keys(reading).sort()).toEqual(["atMs", "code", "ok", "why"]);
    return;
  }
  expect(reading.roundTripMs).toBeGreaterThanOrEqual(0);
  expect(new Set(reading.copies.map(({ name }) => name)).size).toBe(reading.copies.length);
  for (const figure of figuresIn(reading)) {
    if (figure["known"] === true) {
      expect(figure["errorMs"]).toBeGreaterThanOrEqual(0);
      expect(Number.isFinite(figure["errorMs"]), text).toBe(true);
      expect(Number.isFinite(figure["atMs"]), text).toBe(true);
      if (typeof figure["value"] === "number") expect(Number.isFinite(figure["value"]), text).toBe(true);
      expect(figure["value"]).not.toBeUndefined();
    } else {
      expect(Object.keys(figure).sort()).toEqual(["known", "sinceMs", "why"]);
      expect(figure["why"]).not.toBe("");
    }
  }
}

/** Everything below that says whether it is known. */
function figuresIn(value: unknown): Record<string, unknown>[] {
  if (typeof value !== "object" || value === null) return [];
  const fields = value as Record<string, unknown>;
  if (typeof fields["known"] === "boolean") return [fields, ...figuresIn(fields["value"])];
  return Object.values(fields).flatMap(figuresIn);
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
