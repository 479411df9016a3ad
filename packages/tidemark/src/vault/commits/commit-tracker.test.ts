import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import type { Lsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { SMALL_SEGMENT_BYTES, WalBuilder } from "@tidemark/postgres/wal/testing/wal-builder";
import type { BuiltRecord } from "@tidemark/postgres/wal/testing/wal-builder";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mayLeave } from "../archive/retention.ts";
import { CommitFolder } from "./testing/commit-folder.ts";
import type { CommitFacts } from "./commit-facts.ts";
import type { CommitTracker } from "./commit-tracker.ts";
import { PIECE_BYTES } from "./trail-cursor.ts";

const MIB = BigInt(SMALL_SEGMENT_BYTES);
const NOON = 1_700_000_000_000;

let place: CommitFolder;
beforeEach(() => (place = new CommitFolder()));
afterEach(() => place.dispose());

/** Commits of all sizes with other records between, over some segments. */
function sampleWal(options: { segments?: number; wal?: WalBuilder; xid?: number; long?: boolean } = {}): WalBuilder {
  const wal = options.wal ?? new WalBuilder();
  const until = wal.position + BigInt(options.segments ?? 3) * MIB;
  let xid = options.xid ?? 700;
  while (wal.position < until) {
    wal.add({ xid, body: new Uint8Array((xid * 7919) % 3_000) });
    if (xid % 5 === 0) wal.abort({ xid, timeMs: NOON + xid });
    // Long ones go over from one segment into the next.
    else wal.commit({ xid, timeMs: NOON + xid, extra: options.long === true ? 300_000 : xid % 50 === 0 ? 20_000 : xid % 100 });
    if (xid % 200 === 0) wal.add({ body: new Uint8Array(300_000) });
    xid++;
  }
  return wal;
}

function commitsOf(wal: WalBuilder, to: bigint = wal.position): BuiltRecord[] {
  return wal.records.filter(({ rmid, info, end }) => rmid === 1 && info === 0 && end <= to);
}

function expectFacts(facts: CommitFacts, wal: WalBuilder, to: Lsn = wal.position): void {
  const commits = commitsOf(wal, to);
  const whole = wal.records.findLast(({ end }) => end <= to)!;
  expect(facts.position.lsn).toBe(whole.end);
  expect(facts.commits).toBe(commits.length);
  expect(facts.lastCommit?.lsn).toBe(commits.at(-1)?.lsn);
  expect(facts.lastCommit?.end).toBe(commits.at(-1)?.end);
  expect(facts.lastCommit?.xid).toBe(commits.at(-1)?.xid);
}

function indexed(tracker: CommitTracker, wal: WalBuilder, timeline = 1): number {
  let count = 0;
  for (let start = wal.start; start + MIB <= wal.position; start += MIB)
    count += tracker.segmentFacts({ timeline: timeline as Timeline, start: start as Lsn })?.count ?? Number.NaN;
  return count;
}

describe("the commit tracker", () => {
  it("knows at every step the end of the last whole record, the last commit and how many there are", async () => {
    const wal = sampleWal({ segments: 4 });
    await place.track(async (tracker) => {
      expect(tracker.facts()).toBeUndefined();
      const steps = [MIB + 100n, 2n * MIB, 2n * MIB + 31n, 3n * MIB - 1n, 3n * MIB + 500_000n].map((at) => (wal.start + at) as Lsn);
      let from = wal.start as Lsn;
      for (const to of [...steps, wal.position]) {
        place.receive(wal, { from, to });
        from = to;
        expectFacts(await tracker.catchUp(to), wal, to);
      }
      expect(tracker.faults).toEqual([]);
      expect(tracker.facts()?.since).toBe(wal.start);
    });
  });

  it("leaves the processor to a receiver that is far behind its server, unless somebody waits for it", async () => {
    const wal = sampleWal({ segments: 4 });
    const delays: number[] = [];
    const clock: Clock = {
      wallMs: () => systemClock.wallMs(),
      monotonicMs: () => systemClock.monotonicMs(),
      setTimer(delayMs, callback, options) {
        delays.push(delayMs);
        return systemClock.setTimer(delayMs, callback, options);
      },
    };
    const far = (wal.position + 1_073_741_824n) as Lsn;
    place.receive(wal);
    place.flushed(1, wal.position, far);
    const whole = wal.records.at(-1)?.end;
    await place.track(async (tracker) => {
      while (tracker.position()?.lsn !== whole) await new Promise((resolve) => setImmediate(resolve));
      expect(delays.filter((delay) => delay === 20).length).toBeGreaterThan(0);
    }, place.tracker({ clock }));
    rmSync(join(place.directory, "commits.sqlite"));
    delays.length = 0;
    await place.track(async (tracker) => {
      expectFacts(await tracker.catchUp(wal.position), wal);
      expect(delays).toEqual([]);
    }, place.tracker({ clock }));
  });

  it("goes on after a restart where the index ends, and does not count twice", async () => {
    const wal = sampleWal({ segments: 4 });
    const half = (wal.start + 2n * MIB + 300_000n) as Lsn;
    place.receive(wal, { to: half });
    await place.track(async (tracker) => expectFacts(await tracker.catchUp(half), wal, half));
    place.receive(wal);
    // What was indexed is not read again: the files may be gone by then.
    for (const name of readdirSync(place.folder.wal).sort().slice(0, 1)) rmSync(join(place.folder.wal, name));
    await place.track(async (tracker) => {
      expectFacts(await tracker.catchUp(wal.position), wal);
      expect(tracker.facts()?.since).toBe(wal.start);
    });
  });

  it("makes the index again when it is lost, of another cluster, cut off or changed, and keeps what was there", async () => {
    const wal = sampleWal({ segments: 4 });
    place.receive(wal);
    await place.track(async (tracker) => void (await tracker.catchUp(wal.position)));
    const path = join(place.directory, "commits.sqlite");
    const spoils: (() => void)[] = [
      () => rmSync(path),
      () => writeFileSync(path, "this is no database"),
      () => writeFileSync(path, readFileSync(path).subarray(0, 5_000)),
      () => {
        const database = new DatabaseSync(path);
        database.exec("UPDATE segment SET count = count + 1");
        database.close();
      },
      () => {
        const database = new DatabaseSync(path);
        database.exec("UPDATE cluster SET system_identifier = '1'");
        database.close();
      },
    ];
    for (const spoil of spoils) {
      for (const ending of ["-wal", "-shm"]) rmSync(path + ending, { force: true });
      spoil();
      await place.track(async (tracker) => {
        await tracker.catchUp(wal.position);
        expectFacts(tracker.facts()!, wal);
        expect(indexed(tracker, wal)).toBe(commitsOf(wal, wal.position - (wal.position % MIB)).length);
      });
    }
    expect(readdirSync(place.directory).filter((name) => /commits\.sqlite\.damaged-\d+$/.test(name)).length).toBeGreaterThanOrEqual(1);
  });

  it.each([false, true])("knows the live end first when much is to be read, and then reads the past (long commits: %s)", async (long) => {
    const wal = sampleWal({ segments: 24, long });
    place.receive(wal);
    await place.track(async (tracker) => {
      const first = await tracker.catchUp(wal.position);
      expect(first.since > wal.start).toBe(true);
      expect(first.lastCommit?.lsn).toBe(commitsOf(wal).at(-1)?.lsn);
      expect(tracker.neededFrom()).toBe(wal.start);
      const deadline = performance.now() + 20_000;
      while (tracker.facts()?.since !== wal.start && performance.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
      expectFacts(tracker.facts()!, wal);
      expect(indexed(tracker, wal)).toBe(commitsOf(wal, wal.position - (wal.position % MIB)).length);
      expect(tracker.neededFrom() ?? 0n).toBeGreaterThan(wal.position - 2n * MIB);
    });
  });

  it("needs all of the WAL until it has begun, so that none of it leaves before it was read", async () => {
    const wal = sampleWal({ segments: 3 });
    const tracker = place.tracker();
    expect(tracker.neededFrom()).toBe(0n);
    place.receive(wal);
    const oldest = [0n, 1n, 2n].map((at) => ({ timeline: 1 as Timeline, start: (wal.start + at * MIB) as Lsn, archived: true }));
    const leaving = (): number =>
      mayLeave({ oldest, segments: 3, segmentBytes: SMALL_SEGMENT_BYTES, keepBytes: 0, stores: 1, neededFrom: tracker.neededFrom() })
        .length;
    expect(leaving()).toBe(0);
    await place.track(async () => {
      await tracker.catchUp(wal.position);
      expect(leaving()).toBeGreaterThan(0);
    }, tracker);
    expect(leaving()).toBe(0);
  });

  it("lets everything else in the process have its turn while it reads", async () => {
    const wal = sampleWal({ segments: 24 });
    place.receive(wal);
    // A clock on which every look takes a millisecond: five pieces are a slice.
    let nowMs = 0;
    const clock = { wallMs: () => NOON, monotonicMs: () => ++nowMs, setTimer: (_: number, callback: () => void) => (setImmediate(callback), { clear: () => undefined }) }; // prettier-ignore
    await place.track(async (tracker) => {
      let counting = true;
      let last: bigint = wal.start;
      let longest = 0n;
      const look = (): void => {
        const at = tracker.facts()?.position.lsn ?? last;
        if (last > wal.start && at - last > longest) longest = at - last;
        last = at;
        if (counting) setImmediate(look);
      };
      setImmediate(look);
      await tracker.catchUp(wal.position);
      counting = false;
      // A record that goes over several pieces is seen at its end.
      expect(longest > 0n && longest < BigInt(7 * PIECE_BYTES + 400_000)).toBe(true);
    }, place.tracker({ clock }));
  });

  it("holds nothing for what is read: no more than its buffers, whatever the backlog", async () => {
    const wal = sampleWal({ segments: 40 });
    place.receive(wal);
    const before = process.memoryUsage();
    await place.track(async (tracker) => {
      await tracker.catchUp(wal.position);
      const after = process.memoryUsage();
      expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(8_000_000);
    });
  });

  it("goes over to a new timeline at the fork, with one count for both", async () => {
    const wal = sampleWal({ segments: 2 });
    const fork = wal.position;
    place.receive(wal);
    await place.track(async (tracker) => {
      expect(await tracker.catchUp(fork)).toMatchObject({ position: { timeline: 1, lsn: fork } });
      wal.timeline = 2 as Timeline;
      sampleWal({ wal, segments: 2, xid: 9_000 });
      place.history(2, [{ timeline: 1, lsn: fork }]);
      // The new timeline's first segment comes from its beginning.
      place.flushed(2, (fork - (fork % MIB)) as Lsn);
      expect(tracker.position()).toBeUndefined();
      await untilAt(tracker, ({ position }) => position.timeline === 1 && position.lsn === fork);
      place.receive(wal, { timeline: 2, from: fork });
      expectFacts(await tracker.catchUp(wal.position), wal);
      expect(tracker.position()?.timeline).toBe(2);
      expect(tracker.facts()?.since).toBe(wal.start);
    });
    // And from the index alone, after a start.
    await place.track(async (tracker) => expectFacts(await tracker.catchUp(wal.position), wal));
  });

  it("drops what it counted on the old timeline past the fork", async () => {
    const wal = sampleWal({ segments: 2 });
    const fork = wal.position;
    const old = new WalBuilder();
    sampleWal({ wal: old, segments: 2 });
    expect(old.position).toBe(fork);
    // Of the same shape as what comes instead: only the content tells them apart.
    sampleWal({ wal: old, segments: 2, xid: 5_001 });
    place.receive(old);
    await place.track(async (tracker) => {
      expectFacts(await tracker.catchUp(old.position), old);
      wal.timeline = 2 as Timeline;
      sampleWal({ wal, segments: 3, xid: 8_001 });
      place.history(2, [{ timeline: 1, lsn: fork }]);
      place.receive(wal, { timeline: 2, from: fork });
      expectFacts(await tracker.catchUp(wal.position), wal);
      expect(await tracker.timeToLsn(NOON + 1_000_000)).toMatchObject({ through: { lsn: commitsOf(wal).at(-1)?.lsn }, next: undefined });
      for (let start = fork - (fork % MIB); start + MIB <= wal.position; start += MIB) {
        const facts = tracker.segmentFacts({ timeline: 2 as Timeline, start: start as Lsn });
        expect(facts?.last?.xid).toBe(commitsOf(wal, start + MIB).at(-1)?.xid);
      }
      const lost = commitsOf(old).at(-1)!;
      expect((await tracker.timeToLsn(NOON + lost.xid)).through?.lsn).toBe(commitsOf(wal, fork).at(-1)?.lsn);
    });
  });

  it("reads again what was received again, when the receiver was set back", async () => {
    const wal = sampleWal({ segments: 3 });
    place.receive(wal);
    await place.track(async (tracker) => {
      await tracker.catchUp(wal.position);
      const back = (wal.start + MIB + 5_000n) as Lsn;
      place.receive(wal, { to: back });
      for (const name of readdirSync(place.folder.wal).sort().slice(2)) rmSync(join(place.folder.wal, name));
      expectFacts(await untilAt(tracker, (facts) => facts.position.lsn <= back), wal, back);
      expect(tracker.segmentFacts({ timeline: 1 as Timeline, start: wal.start as Lsn })).toBeDefined();
      expect(tracker.segmentFacts({ timeline: 1 as Timeline, start: (wal.start + MIB) as Lsn })).toBeUndefined();
      place.receive(wal);
      expectFacts(await tracker.catchUp(wal.position), wal);
    });
  });

  it("says where durable WAL cannot be read, and claims nothing behind it until that is put right", async () => {
    const wal = sampleWal({ segments: 3 });
    place.receive(wal);
    const broken = wal.records.find(({ lsn }) => lsn > wal.start + MIB + 200_000n)!;
    const path = place.folder.segment({ timeline: 1 as Timeline, lsn: broken.lsn }, true);
    const right = readFileSync(path);
    const wrong = Buffer.from(right);
    wrong[Number(broken.lsn % MIB) + 20]! ^= 1;
    writeFileSync(path, wrong);
    await place.track(async (tracker) => {
      await expect(tracker.catchUp(wal.position)).rejects.toMatchObject({ code: "TM-VAULT-WAL-UNREADABLE" });
      expect(tracker.faults).toMatchObject([{ from: { timeline: 1, lsn: broken.lsn }, to: { lsn: wal.position } }]);
      expectFacts(tracker.facts()!, wal, broken.lsn);
      writeFileSync(path, right);
      expectFacts(await untilAt(tracker, (facts) => facts.position.lsn === wal.position), wal);
      expect(tracker.faults).toEqual([]);
    });
  });

  it("begins a new count behind a gap, and says from where it counts", async () => {
    const wal = sampleWal({ segments: 2 });
    place.receive(wal);
    await place.track(async (tracker) => {
      await tracker.catchUp(wal.position);
      sampleWal({ wal, segments: 2, xid: 9_000 });
      const again = wal.start + 3n * MIB;
      sampleWal({ wal, segments: 3, xid: 20_000 });
      place.receive(wal, { from: (again + MIB) as Lsn });
      rmSync(place.folder.segment({ timeline: 1 as Timeline, lsn: (wal.start + 2n * MIB) as Lsn }, false), { force: true });
      const facts = await untilAt(tracker, ({ position }) => position.lsn === wal.position);
      expect(facts.since).toBe(again + MIB);
      expect(facts.commits).toBe(commitsOf(wal).filter(({ lsn }) => lsn >= again + MIB).length);
    });
  });

  it.each([false, true])(
    "tells the commits of a segment and of the beginning of one, as the archive asks (long commits: %s)",
    async (long) => {
      const wal = sampleWal({ segments: 3, long });
      wal.add({ body: new Uint8Array(10_000) });
      place.receive(wal);
      await place.track(async (tracker) => {
        await tracker.catchUp(wal.position);
        const current = wal.position - (wal.position % MIB);
        const ranges = [[wal.start, wal.start + MIB], [wal.start + MIB, wal.start + 2n * MIB], [current, wal.position], [current, current + 333n], [current, wal.position - 9_001n]] as const; // prettier-ignore
        for (const [start, end] of ranges) {
          const inside = commitsOf(wal).filter((commit) => commit.end > start && commit.end <= end);
          const found = await tracker.commitsOf({ timeline: 1 as Timeline, start: start as Lsn, end: end as Lsn });
          expect(found?.count).toBe(inside.length);
          expect(found?.first?.lsn).toBe(inside[0]?.lsn);
          expect(found?.last?.lsn).toBe(inside.at(-1)?.lsn);
          expect(found?.last?.timeMs).toBe(inside.length === 0 ? undefined : NOON + inside.at(-1)!.xid);
        }
        expect(await tracker.commitsOf({ timeline: 7 as Timeline, start: current as Lsn, end: wal.position })).toBeUndefined();
      });
    },
  );

  it("lets go of those who wait when it stops, or when they no longer wait", async () => {
    const wal = sampleWal({ segments: 1 });
    place.receive(wal);
    const stop = new AbortController();
    const tracker = place.tracker();
    const running = tracker.run(stop.signal);
    const gone = new AbortController();
    const impatient = tracker.catchUp((wal.position + MIB) as Lsn, gone.signal);
    gone.abort(new Error("enough"));
    await expect(impatient).rejects.toThrow("enough");
    const waiting = tracker.catchUp((wal.position + MIB) as Lsn);
    const rejected = expect(waiting).rejects.toMatchObject({ code: "TM-VAULT-WAL-UNREADABLE" });
    stop.abort();
    await running;
    await rejected;
    expect(existsSync(join(place.directory, "commits.sqlite"))).toBe(true);
  });
});

async function untilAt(tracker: CommitTracker, holds: (facts: CommitFacts) => boolean): Promise<CommitFacts> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const facts = tracker.facts();
    if (facts !== undefined && holds(facts)) return facts;
    if (performance.now() > deadline) throw new Error(`still at ${facts?.position.lsn}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
