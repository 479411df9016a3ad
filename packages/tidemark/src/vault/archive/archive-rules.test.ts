// The pure parts: keys, what is stored next, what may leave, how old a lag is, how much is held.
import { describe, expect, it } from "vitest";
import { seededRandom } from "@tidemark/kernel/random";
import { ByteGate } from "./byte-gate.ts";
import { LagClock } from "./lag-clock.ts";
import { mayLeave, type RetentionView } from "./retention.ts";
import { SEGMENT_BYTES, SYSTEM, keySpace, lsn, tli } from "./testing/archive-bench.ts";
import { nextUpload, type UploadView } from "./upload-plan.ts";

const place = (segment: number): { timeline: ReturnType<typeof tli>; start: ReturnType<typeof lsn> } => ({
  timeline: tli(1),
  start: lsn(segment * SEGMENT_BYTES),
});

describe("a key", () => {
  it("says what it stands for, and nothing else is taken for one", () => {
    const random = seededRandom(1);
    for (let turn = 0; turn < 500; turn++) {
      const at = {
        timeline: tli(1 + Math.floor(random.fraction() * 0xffff_fffe)),
        start: lsn(Math.floor(random.fraction() * 2 ** 36) * SEGMENT_BYTES),
      };
      const end = (at.start + BigInt(SEGMENT_BYTES)) as ReturnType<typeof lsn>;
      const name = keySpace.name(at);
      expect(keySpace.parse(keySpace.segment(at))).toEqual({ kind: "segment", name, ...at, end });
      const inside = (at.start + BigInt(1 + Math.floor(random.fraction() * (SEGMENT_BYTES - 1)))) as typeof end;
      expect(keySpace.parse(keySpace.partial(at, inside))).toEqual({ kind: "partial", name, ...at, end: inside });
      expect(keySpace.parse(keySpace.history(at.timeline))).toMatchObject({ kind: "history", timeline: at.timeline });
      const evidence = keySpace.evidence(keySpace.segment(at), "conflict", "ab".repeat(32));
      expect(keySpace.parse(evidence)).toEqual({ kind: "evidence", of: keySpace.segment(at) });
      expect(keySpace.evidenceOf(evidence)).toBe(keySpace.segment(at));
    }
    const whole = keySpace.segment(place(1));
    const wrong = [
      whole.replace(SYSTEM, "1"),
      whole.replace("/00000001/", "/00000002/"),
      `${whole}.partial-${"0".repeat(16)}`,
      `${whole}.partial-0000000000010000`,
      `${whole}.partial-0000000000020001`,
      `${whole}x`,
      whole.toLowerCase().replace("wal/", "WAL/"),
      `${SYSTEM}/timeline/00000000.history`,
    ];
    for (const key of wrong) expect(keySpace.parse(key), key).toBeUndefined();
  });
});

describe("what is stored next", () => {
  const view: UploadView = {
    histories: [],
    segments: [],
    growing: undefined,
    growingStoredTo: undefined,
    sincePartialMs: 100,
    partialEveryMs: 50,
  };
  const growing = { timeline: tli(1), start: lsn(0), end: lsn(500) };

  it("is a history file before anything, and the growing segment after everything", () => {
    expect(nextUpload({ ...view, histories: [tli(2), tli(3)], segments: [place(0)], growing })).toEqual({ kind: "history", timeline: 2 });
    expect(nextUpload({ ...view, segments: [place(0), place(1)], growing })).toEqual({ kind: "segments", places: [place(0), place(1)] });
    expect(nextUpload({ ...view, growing })).toEqual({ kind: "partial", piece: growing });
  });

  it("is the growing segment only if it grew, and not before its interval", () => {
    expect(nextUpload({ ...view, growing, growingStoredTo: lsn(500) })).toEqual({ kind: "wait", forMs: undefined });
    expect(nextUpload({ ...view, growing, growingStoredTo: lsn(499) })).toEqual({ kind: "partial", piece: growing });
    expect(nextUpload({ ...view, growing, growingStoredTo: lsn(499), sincePartialMs: 20 })).toEqual({ kind: "wait", forMs: 30 });
    expect(nextUpload(view)).toEqual({ kind: "wait", forMs: undefined });
  });
});

describe("what may leave the folder", () => {
  const oldest = [0, 1, 2, 3].map((segment) => ({ ...place(segment), archived: true }));
  const view: RetentionView = {
    oldest,
    segments: 6,
    segmentBytes: SEGMENT_BYTES,
    keepBytes: 3 * SEGMENT_BYTES,
    stores: 1,
    neededFrom: undefined,
  };
  const left = (change: Partial<RetentionView>): number => mayLeave({ ...view, ...change }).length;

  it("is what is archived everywhere beyond what is to stay, the oldest first", () => {
    expect(mayLeave(view)).toEqual([place(0), place(1), place(2)]);
    expect(left({ keepBytes: 3 * SEGMENT_BYTES + 1 })).toBe(2);
    expect(left({ keepBytes: 6 * SEGMENT_BYTES })).toBe(0);
  });

  it("is never beyond one that has to stay, whoever needs it", () => {
    expect(left({ oldest: oldest.map((segment, index) => ({ ...segment, archived: index !== 1 })) })).toBe(1);
    expect(left({ oldest: oldest.map((segment) => ({ ...segment, archived: false })) })).toBe(0);
    expect(left({ neededFrom: lsn(2 * SEGMENT_BYTES - 1) })).toBe(1);
    expect(left({ neededFrom: lsn(2 * SEGMENT_BYTES) })).toBe(2);
  });

  it("is nothing where there is no store: the vault is the only copy", () => {
    expect(left({ stores: 0 })).toBe(0);
  });
});

describe("the age of a lag", () => {
  it("is that of the first byte that is not there, and 0 when none is missing", () => {
    const lag = new LagClock();
    lag.advance(lsn(100), 0);
    lag.advance(lsn(200), 1_000);
    lag.advance(lsn(300), 5_000);
    expect(lag.age(lsn(300), 9_000)).toEqual({ ms: 0, isLowerBound: false });
    expect(lag.age(lsn(250), 9_000)).toEqual({ ms: 4_000, isLowerBound: false });
    expect(lag.age(lsn(200), 9_000)).toEqual({ ms: 4_000, isLowerBound: false });
    expect(lag.age(lsn(150), 9_000)).toEqual({ ms: 8_000, isLowerBound: false });
    expect(lag.age(lsn(50), 9_000)).toEqual({ ms: 9_000, isLowerBound: true });
  });

  it("is never told too small, however many samples were dropped", () => {
    const lag = new LagClock();
    for (let at = 0; at <= 5_000; at++) lag.advance(lsn(at * 10), at);
    for (let stored = 10; stored < 50_000; stored += 7) {
      const truth = 5_000 - Math.floor(stored / 10 + 1);
      expect(lag.age(lsn(stored), 5_000).ms).toBeGreaterThanOrEqual(truth);
    }
  });
});

describe("the gate", () => {
  it("never lets more in than its limit, but one alone, and lets all in at last, in order", async () => {
    const gate = new ByteGate(100);
    const random = seededRandom(3);
    const entered: number[] = [];
    let held = 0;
    const never = new AbortController().signal;
    const visits = Array.from({ length: 60 }, async (_, index) => {
      const bytes = index % 13 === 0 ? 150 : 1 + Math.floor(random.fraction() * 60);
      const release = await gate.hold(bytes, never);
      entered.push(index);
      held += bytes;
      expect(held <= 100 || held === bytes).toBe(true);
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      held -= bytes;
      release(0);
      release(0);
    });
    await Promise.all(visits);
    expect(entered).toEqual(Array.from({ length: 60 }, (_, index) => index));
  });

  it("is left by who does not wait any longer, and those behind go on", async () => {
    const gate = new ByteGate(10);
    const release = await gate.hold(10, new AbortController().signal);
    const leaving = new AbortController();
    const left = gate.hold(10, leaving.signal);
    const next = gate.hold(5, new AbortController().signal);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    release(0);
    (await next)(0);
  });
});
