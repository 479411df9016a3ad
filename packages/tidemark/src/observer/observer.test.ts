import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { describe, expect, it } from "vitest";
import type { CopyFacts } from "../probes/probe-result.ts";
import { known, unknown } from "../probes/probe-result.ts";
import type { Probe, ProbeReading } from "../probes/probe.ts";
import type { ObservedSecond } from "./observer.ts";
import { Observer } from "./observer.ts";

const START_MS = 1_800_000_000_000;

/** A server and its standby, as a test says that they are. */
class SaidProbe implements Probe {
  readonly name = "postgresql pg1";
  readonly store = "orders";
  reading: ((atMs: number) => ProbeReading) | undefined;
  closed = 0;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  probe(): Promise<ProbeReading> {
    const atMs = this.#clock.wallMs();
    return Promise.resolve(this.reading?.(atMs) ?? { ok: false, atMs, code: "TM-PROBE-AWAY", why: "gone" });
  }

  close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }
}

const reading = (atMs: number, standbyMs: number): ProbeReading => {
  const seen = <T>(value: T) => known(value, { atMs, method: "position-history", errorMs: 0 });
  const one = (over: Partial<CopyFacts> & { name: string }): CopyFacts => ({
    kind: "standby",
    domain: {},
    recoveryPoint: seen({ commitMs: standbyMs, complete: standbyMs === atMs }),
    missingBytes: seen(0),
    missingTransactions: seen(0),
    synchronous: seen(false),
    remarks: [],
    ...over,
  });
  return {
    ok: true,
    atMs,
    roundTripMs: 0,
    store: { newestCommit: seen({ commitMs: atMs }), commitRate: seen(1), clockOffset: seen(0) },
    copies: [one({ name: "pg1", kind: "primary", recoveryPoint: seen({ commitMs: atMs, complete: true }) }), one({ name: "pg2" })],
    figures: {},
  };
};

function observing(onSecond?: (second: ObservedSecond) => void) {
  const clock = new ManualClock(START_MS);
  const probe = new SaidProbe(clock);
  const seconds: ObservedSecond[] = [];
  const observer = new Observer({
    services: { orders: { stores: ["orders"], objectives: { "node-loss": { rpoMs: 5_000, rtoMs: 60_000 } } } },
    watch: () => [
      {
        store: "orders",
        probes: [{ probe }],
        expected: [
          { name: "pg1", kind: "standby", domain: { machine: "m1" }, toldBy: [probe.name] },
          { name: "pg2", kind: "standby", domain: { machine: "m2" }, toldBy: ["postgresql pg2"] },
        ],
      },
    ],
    onSecond: (second) => {
      seconds.push(second);
      onSecond?.(second);
    },
    clock,
    random: seededRandom(5),
    logger: silentLogger,
  });
  const stop = new AbortController();
  const done = observer.run(stop.signal);
  done.catch(() => undefined);
  return { clock, probe, seconds, observer, stop, done };
}

function nodeLoss(second: ObservedSecond | undefined) {
  return second?.exposures.find(({ scenario }) => scenario === "node-loss");
}

describe("the observer", () => {
  it("says what is exposed every second of the wall clock, and leaves none out", async () => {
    const { clock, seconds, stop, done } = observing();
    clock.jumpWall(333);
    await clock.advance(10_000);
    stop.abort();
    await clock.advance(5_000);
    await done;
    expect(seconds.map(({ atMs }) => Math.floor((atMs - START_MS) / 1_000))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it("shows an exposure that rises while a copy stalls and the look at it goes on, and falls when it runs again", async () => {
    const { clock, probe, seconds, stop, done } = observing();
    let stalledMs: number | undefined;
    probe.reading = (atMs) => reading(atMs, stalledMs ?? atMs);
    await clock.advance(4_000);
    expect(nodeLoss(seconds.at(-1))).toMatchObject({ exposureMs: { value: 0 }, judgement: "within" });
    stalledMs = clock.wallMs();
    await clock.advance(8_000);
    const stalled = nodeLoss(seconds.at(-1));
    expect(stalled).toMatchObject({ judgement: "above", exposureMs: { known: true } });
    const values = seconds
      .slice(-6)
      .map((second) => nodeLoss(second)?.exposureMs)
      .map((figure) => (figure?.known === true ? figure.value : -1));
    expect(values).toEqual(values.toSorted((one, other) => one - other));
    expect(new Set(values).size).toBe(6);
    stalledMs = undefined;
    await clock.advance(3_000);
    expect(nodeLoss(seconds.at(-1))).toMatchObject({ exposureMs: { value: 0 } });
    stop.abort();
    await clock.advance(5_000);
    await done;
  });

  it("says unknown, and no number, before the first look and when its targets have been away for long", async () => {
    const { clock, probe, seconds, observer, stop, done } = observing();
    expect(nodeLoss(observer.known())?.exposureMs).toEqual(unknown("orders was not looked at yet", START_MS));
    probe.reading = (atMs) => reading(atMs, atMs);
    await clock.advance(3_000);
    probe.reading = undefined;
    const lostMs = clock.wallMs();
    await clock.advance(20_000);
    const figure = nodeLoss(seconds.at(-1))?.exposureMs;
    expect(figure).toMatchObject({ known: false });
    expect(JSON.stringify(figure)).not.toContain('"value"');
    expect(figure?.known === false && Math.abs(figure.sinceMs - lostMs)).toBeLessThanOrEqual(1_100);
    stop.abort();
    await clock.advance(5_000);
    await done;
  });

  it("ends with what its listener threw, closes its probes, and begins anew when it is run again", async () => {
    let bad = true;
    const run = observing(() => {
      if (bad) throw new Error("a bug");
    });
    await run.clock.advance(8_000);
    await expect(run.done).rejects.toThrow("a bug");
    expect(run.probe.closed).toBe(1);
    bad = false;
    const stop = new AbortController();
    const again = run.observer.run(stop.signal);
    await run.clock.advance(3_000);
    expect(run.seconds.length).toBeGreaterThanOrEqual(3);
    stop.abort();
    await run.clock.advance(5_000);
    await again;
  });
});
