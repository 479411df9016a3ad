import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { DueQueue } from "./due-queue.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { DEFAULT_PACE, nextDueMs } from "./probe-pace.ts";
import type { ProbeTurn } from "./probe-runner.ts";
import { ProbeRunner } from "./probe-runner.ts";

const WELL: ProbeReading = { ok: true, atMs: 0, roundTripMs: 1, copies: [], figures: {} };
const AWAY: ProbeReading = { ok: false, atMs: 0, code: "TM-PROBE-AWAY", why: "gone" };

class FakeProbe implements Probe {
  readonly name: string;
  readonly store = "orders";
  calls = 0;
  underWay = 0;
  mostUnderWay = 0;
  closed = 0;
  answer: (signal: AbortSignal) => Promise<ProbeReading>;

  constructor(name: string, answer: (signal: AbortSignal) => Promise<ProbeReading>) {
    this.name = name;
    this.answer = answer;
  }

  async probe(signal: AbortSignal): Promise<ProbeReading> {
    this.calls++;
    this.underWay++;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    try {
      return await this.answer(signal);
    } finally {
      this.underWay--;
    }
  }

  close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }
}

const well = (name: string): FakeProbe => new FakeProbe(name, () => Promise.resolve(WELL));

/** Ends when it is given up, as a probe should. */
const hanging = (name: string): FakeProbe =>
  new FakeProbe(name, (signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(AWAY), { once: true })));

function start(probes: FakeProbe[]) {
  const clock = new ManualClock();
  const turns: (ProbeTurn & { atMs: number })[] = [];
  const stop = new AbortController();
  const runner = new ProbeRunner({
    probes: probes.map((probe) => ({ probe })),
    onTurn: (turn) => turns.push({ ...turn, atMs: clock.monotonicMs() }),
    clock,
    random: seededRandom(7),
    logger: silentLogger,
  });
  const done = runner.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await clock.advance(10_000);
    await done;
  };
  return { clock, turns, end, stop, done };
}

describe("the runner of probes", () => {
  it("looks at each target about once a second, and not at all of them at once", async () => {
    const probes = Array.from({ length: 20 }, (_, at) => well(`p${at}`));
    const run = start(probes);
    await run.clock.advance(20_000);
    await run.end();
    for (const probe of probes) {
      expect(probe.calls).toBeGreaterThanOrEqual(18);
      expect(probe.calls).toBeLessThanOrEqual(22);
    }
    const firsts = new Set(probes.map((probe) => run.turns.find((turn) => turn.probe === probe)?.atMs));
    expect(firsts.size).toBeGreaterThan(15);
  });

  it("gives up a target that does not answer, says so, and asks it more and more seldom until it is back", async () => {
    const probe = hanging("slow");
    const run = start([probe]);
    await run.clock.advance(60_000);
    const away = run.turns.slice();
    expect(away[0]?.reading).toMatchObject({ ok: false, code: "TM-PROBE-SLOW" });
    expect(away[0]?.tookMs).toBe(DEFAULT_PACE.timeoutMs);
    const waits = away.slice(1).map((turn, at) => turn.atMs - (away[at] as { atMs: number }).atMs);
    expect(waits.at(-1)).toBeGreaterThan(DEFAULT_PACE.mostBackoffMs * 0.9);
    expect(Math.max(...waits)).toBeLessThanOrEqual(DEFAULT_PACE.mostBackoffMs * 1.1 + DEFAULT_PACE.timeoutMs);
    expect(away.at(-1)?.failures).toBe(away.length);
    probe.answer = () => Promise.resolve(WELL);
    await run.clock.advance(DEFAULT_PACE.mostBackoffMs * 1.2 + 3_000);
    const back = run.turns.slice(away.length).filter((turn) => turn.reading.ok);
    expect(back.length).toBeGreaterThanOrEqual(2);
    expect(back[0]?.failures).toBe(0);
    await run.end();
  });

  it("never lets a slow target delay another, also when a hundred hang at once", async () => {
    const good = Array.from({ length: 50 }, (_, at) => well(`good${at}`));
    const bad = Array.from({ length: 100 }, (_, at) => well(`bad${at}`));
    const run = start([...bad, ...good]);
    await run.clock.advance(5_000);
    for (const probe of bad) probe.answer = hanging("x").answer;
    const from = run.turns.length;
    await run.clock.advance(20_000);
    const late = run.turns.slice(from).filter((turn) => turn.probe.name.startsWith("good"));
    expect(Math.max(...late.map((turn) => turn.lateMs))).toBeLessThan(300);
    for (const probe of good) expect(probe.calls).toBeGreaterThanOrEqual(23);
    await run.end();
  });

  it("has one turn of a target under way, and says of a probe that does not end that it is broken", async () => {
    const stuck = new FakeProbe("stuck", () => new Promise(() => undefined));
    const run = start([stuck]);
    await run.clock.advance(30_000);
    expect(stuck.calls).toBe(1);
    expect(run.turns.map((turn) => (turn.reading.ok ? "ok" : turn.reading.code))).toEqual([
      "TM-PROBE-SLOW",
      ...Array.from({ length: run.turns.length - 1 }, () => "TM-PROBE-BUG"),
    ]);
    expect(run.turns.length).toBeGreaterThan(3);
    await run.end();
    expect(stuck.closed).toBe(1);
  });

  it("survives probes that throw or reject, and goes on asking the others", async () => {
    const good = well("good");
    const bad = new FakeProbe("bad", () => Promise.reject(new Error("password=hunter2")));
    const worse = well("worse");
    worse.answer = () => {
      throw new Error("at once");
    };
    const run = start([bad, worse, good]);
    await run.clock.advance(10_000);
    for (const probe of [bad, worse]) {
      const readings = run.turns.filter((turn) => turn.probe === probe).map((turn) => turn.reading);
      expect(readings.length).toBeGreaterThan(2);
      for (const reading of readings) expect(reading).toMatchObject({ ok: false, code: "TM-PROBE-BUG", why: "the probe itself failed" });
    }
    expect(good.calls).toBeGreaterThanOrEqual(9);
    expect(JSON.stringify(run.turns.map((turn) => turn.reading))).not.toContain("hunter2");
    await run.end();
  });

  it("keeps its pace when the wall clock is set back or forward by an hour", async () => {
    const probe = well("p");
    const run = start([probe]);
    await run.clock.advance(5_000);
    run.clock.jumpWall(-3_600_000);
    await run.clock.advance(5_000);
    run.clock.jumpWall(7_200_000);
    await run.clock.advance(5_000);
    expect(probe.calls).toBeGreaterThanOrEqual(14);
    expect(probe.calls).toBeLessThanOrEqual(16);
    await run.end();
  });

  it("gives up what is under way when it is stopped, closes every probe, and reports nothing more", async () => {
    const slow = hanging("slow");
    const good = well("good");
    const run = start([slow, good]);
    await run.clock.advance(1_100);
    expect(slow.underWay).toBe(1);
    const before = run.turns.length;
    await run.end();
    expect(slow.underWay).toBe(0);
    expect([slow.closed, good.closed]).toEqual([1, 1]);
    await run.clock.advance(10_000);
    expect(run.turns.length).toBe(before);
  });

  it("ends with the error of whoever takes the readings", async () => {
    const clock = new ManualClock();
    const probe = well("p");
    const runner = new ProbeRunner({
      probes: [{ probe }],
      onTurn: () => {
        throw new Error("a bug of the reader");
      },
      clock,
      random: seededRandom(1),
      logger: silentLogger,
    });
    const done = expect(runner.run(new AbortController().signal)).rejects.toThrow("a bug of the reader");
    await clock.advance(2_000);
    await done;
    expect(probe.closed).toBe(1);
  });
});

describe("the bookkeeping of the runner", () => {
  it("gives what is due in order, and nothing before its time", () => {
    const random = seededRandom(3);
    const queue = new DueQueue<number>();
    const times = Array.from({ length: 1_000 }, () => Math.floor(random.fraction() * 500));
    for (const time of times) queue.push(time, time);
    expect(queue.takeDue(-1)).toBeUndefined();
    const taken: number[] = [];
    for (let item = queue.takeDue(250); item !== undefined; item = queue.takeDue(250)) taken.push(item);
    expect(taken).toEqual(times.filter((time) => time <= 250).sort((a, b) => a - b));
    expect(queue.nextMs).toBeGreaterThan(250);
  });

  it("plans a thousand targets for ten minutes in little time", () => {
    const random = seededRandom(3);
    const queue = new DueQueue<{ beatMs: number; dueMs: number }>();
    for (let at = 0; at < 1_000; at++) queue.push({ beatMs: at, dueMs: at }, at);
    const began = process.cpuUsage();
    let turns = 0;
    for (let second = 1; second <= 600; second++) {
      const nowMs = second * 1_000;
      for (let target = queue.takeDue(nowMs); target !== undefined; target = queue.takeDue(nowMs)) {
        turns++;
        const last = { dueMs: target.dueMs, endedMs: target.dueMs, failures: 0 };
        target.dueMs = nextDueMs(DEFAULT_PACE, { beatMs: target.beatMs, last }, random);
        queue.push(target, target.dueMs);
      }
    }
    const used = process.cpuUsage(began);
    expect(turns).toBeGreaterThan(550_000);
    // Ten minutes of a thousand targets: under 1 % of a core is 6 s.
    expect(used.user / 1_000).toBeLessThan(6_000);
  });

  it("leaves out turns that were missed instead of making up for them", () => {
    const next = nextDueMs(DEFAULT_PACE, { beatMs: 400, last: { dueMs: 1_400, endedMs: 9_000, failures: 0 } }, seededRandom(1));
    expect(next).toBeGreaterThanOrEqual(9_350);
    expect(next).toBeLessThanOrEqual(9_450);
  });

  it("keeps a target to its beats, whatever held it up, a little beside them, and waits a while after a long turn", () => {
    fc.assert(
      fc.property(
        fc.nat(1_000_000),
        fc.array(fc.record({ lateMs: fc.nat(5_000), failures: fc.nat(6) }), { minLength: 1, maxLength: 50 }),
        fc.integer(),
        (beatMs, turns, seed) => {
          const random = seededRandom(seed);
          const { periodMs, jitter, mostBackoffMs } = DEFAULT_PACE;
          let dueMs = beatMs;
          for (const { lateMs, failures } of turns) {
            const endedMs = dueMs + lateMs;
            const next = nextDueMs(DEFAULT_PACE, { beatMs, last: { dueMs, endedMs, failures } }, random);
            const off = Math.abs(next - beatMs - Math.round((next - beatMs) / periodMs) * periodMs);
            expect(off).toBeLessThanOrEqual(jitter * periodMs + 1e-6);
            expect(next - endedMs).toBeGreaterThanOrEqual(0.2 * periodMs);
            // Nothing is missed without need.
            const waitMs = failures > 1 ? Math.min(periodMs * 2 ** (failures - 1), mostBackoffMs) : periodMs;
            expect(next).toBeLessThanOrEqual(Math.max(dueMs + waitMs, endedMs + periodMs) + (0.5 + 2 * jitter) * periodMs);
            dueMs = next;
          }
        },
      ),
    );
  });

  it("keeps the distances between the targets of a store, and changes them when it is told to", async () => {
    const clock = new ManualClock();
    const [one, other, free] = [well("one"), well("other"), well("free")];
    const begun: { name: string; atMs: number }[] = [];
    let phase = 0.5;
    const runner = new ProbeRunner({
      probes: [{ probe: one, phase: () => 0 }, { probe: other, phase: () => phase }, { probe: free }],
      onTurn: ({ probe: { name } }) => begun.push({ name, atMs: clock.monotonicMs() }),
      clock,
      random: seededRandom(11),
      logger: silentLogger,
    });
    const stop = new AbortController();
    const done = runner.run(stop.signal);
    const { periodMs, jitter } = DEFAULT_PACE;
    const distances = (): number[] =>
      begun
        .filter(({ name }) => name === "other")
        .flatMap(({ atMs }) => {
          const before = begun.findLast((turn) => turn.name === "one" && turn.atMs <= atMs);
          return before === undefined ? [] : [(atMs - before.atMs) / periodMs];
        });
    await clock.advance(30_000);
    for (const distance of distances()) expect(Math.abs(distance - 0.5)).toBeLessThan(2 * jitter + 0.01);
    expect(distances().length).toBeGreaterThan(25);
    phase = 0.25;
    await clock.advance(2_000);
    begun.length = 0;
    await clock.advance(20_000);
    for (const distance of distances()) expect(Math.abs(distance - 0.25)).toBeLessThan(2 * jitter + 0.01);
    expect(distances().length).toBeGreaterThan(15);
    stop.abort();
    await done;
  });
});
