// Times of commits that go back and forth, asked for one by one, against a plain search through the list of all of them.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Lsn } from "@tidemark/kernel/lsn";
import { SMALL_SEGMENT_BYTES, WalBuilder } from "@tidemark/postgres/wal/testing/wal-builder";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CommitTracker } from "./commit-tracker.ts";
import { CommitFolder } from "./testing/commit-folder.ts";

const MIB = BigInt(SMALL_SEGMENT_BYTES);
const NOON = 1_700_000_000_000;

interface Commit {
  readonly lsn: Lsn;
  readonly timeMs: number;
}

function build(times: readonly number[], spread: number): { wal: WalBuilder; commits: Commit[] } {
  const wal = new WalBuilder();
  const commits: Commit[] = [];
  times.forEach((offset, index) => {
    wal.add({ body: new Uint8Array(spread) });
    const timeMs = NOON + offset;
    commits.push({ lsn: wal.commit({ xid: 700 + index, timeMs }).lsn, timeMs });
  });
  return { wal, commits };
}

/** What is meant by the answer, said plainly. */
function expected(commits: readonly Commit[], timeMs: number) {
  const later = commits.findIndex((commit) => commit.timeMs > timeMs);
  return {
    through: (later < 0 ? commits.at(-1) : commits[later - 1])?.lsn,
    next: later < 0 ? undefined : commits[later]?.lsn,
    lastAtOrBefore: commits.findLast((commit) => commit.timeMs <= timeMs)?.lsn,
  };
}

async function ask(tracker: CommitTracker, timeMs: number) {
  const { through, next, lastAtOrBefore, exact } = await tracker.timeToLsn(timeMs);
  return { through: through?.lsn, next: next?.lsn, lastAtOrBefore: lastAtOrBefore?.lsn, exact };
}

describe("a time as a place in WAL", () => {
  it("is the last commit before the first later one, and the last one not later, whatever the clocks did", async () => {
    const times = fc.array(fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 0, max: 500 }) }, { weight: 1, arbitrary: fc.integer({ min: -9_000, max: 90_000 }) }), { minLength: 1, maxLength: 60 }); // prettier-ignore
    await fc.assert(
      fc.asyncProperty(times, fc.integer({ min: 20, max: 150_000 }), fc.boolean(), async (jitter, spread, drifts) => {
        // Mostly forward by ten milliseconds, and off by what was drawn.
        const { wal, commits } = build(jitter.map((off, index) => (drifts ? index * 10 : 0) + off), spread); // prettier-ignore
        const place = new CommitFolder();
        try {
          place.receive(wal);
          await place.track(async (tracker) => {
            await tracker.catchUp(wal.position);
            const asked = new Set(commits.flatMap(({ timeMs }) => [timeMs - 1, timeMs, timeMs + 1]));
            for (const timeMs of [NOON - 100_000, ...asked, NOON + 1_000_000])
              expect(await ask(tracker, timeMs)).toEqual({ ...expected(commits, timeMs), exact: true });
          });
        } finally {
          place.dispose();
        }
      }),
      { numRuns: 40 },
    );
  }, 120_000);

  it("is to the microsecond", async () => {
    const { wal, commits } = build([0.001, 0.002, 0.003], 50);
    const place = new CommitFolder();
    place.receive(wal);
    await place.track(async (tracker) => {
      await tracker.catchUp(wal.position);
      expect((await tracker.timeToLsn(NOON + 0.002)).through?.lsn).toBe(commits[1]?.lsn);
      expect((await tracker.timeToLsn(NOON + 0.002)).through?.timeUs).toBe(NOON * 1000 + 2);
    });
    place.dispose();
  });

  it("is found in segments that are elsewhere by now, or told with the bounds that are known, and is never said to be exact then", async () => {
    const { wal, commits } = build(Array.from({ length: 60 }, (_, index) => index * 10), 90_000); // prettier-ignore
    const place = new CommitFolder();
    place.receive(wal);
    await place.track(async (tracker) => {
      await tracker.catchUp(wal.position);
      for (const name of readdirSync(place.folder.wal).sort().slice(0, 3)) rmSync(join(place.folder.wal, name));
      const spare = async ({ start }: { start: Lsn }): Promise<Uint8Array> =>
        wal.bytes(true).subarray(Number(start - wal.start), Number(start - wal.start + MIB));
      for (const { timeMs } of commits.slice(0, -1)) {
        const truth = expected(commits, timeMs);
        const found = await tracker.timeToLsn(timeMs, spare);
        expect({ through: found.through?.lsn, next: found.next?.lsn, exact: found.exact }).toEqual({ through: truth.through, next: truth.next, exact: true }); // prettier-ignore
        const alone = await tracker.timeToLsn(timeMs);
        if (alone.exact) expect(alone.through?.lsn).toBe(truth.through);
        expect((alone.through?.lsn ?? 0n) <= truth.through!).toBe(true);
        expect((alone.next?.lsn ?? wal.position) >= truth.next!).toBe(true);
      }
    });
    place.dispose();
  });

  it("is found in segments that are elsewhere and that the index lost, which it has again afterwards", async () => {
    // Long commits, so that most go over from one segment into the next.
    const { wal, commits } = build(Array.from({ length: 90 }, (_, index) => index * 10), 90_000); // prettier-ignore
    const place = new CommitFolder();
    place.receive(wal);
    for (const name of readdirSync(place.folder.wal).sort().slice(0, 4)) rmSync(join(place.folder.wal, name));
    let asked = 0;
    const spare = async ({ start }: { start: Lsn }): Promise<Uint8Array | undefined> => {
      asked++;
      return start < wal.start ? undefined : wal.bytes(true).subarray(Number(start - wal.start), Number(start - wal.start + MIB));
    };
    await place.track(async (tracker) => {
      await tracker.catchUp(wal.position);
      const early = commits[1]!;
      expect((await tracker.timeToLsn(early.timeMs, spare)).through).toBeUndefined();
      expect(await tracker.learnArchived(early.timeMs, spare)).toBe("known");
      for (const { timeMs } of commits.slice(0, -1)) {
        const truth = expected(commits, timeMs);
        const found = await tracker.timeToLsn(timeMs, spare);
        expect({ through: found.through?.lsn, next: found.next?.lsn, exact: found.exact }).toEqual({ through: truth.through, next: truth.next, exact: true }); // prettier-ignore
      }
      expect(tracker.facts()).toMatchObject({ commits: commits.length, since: wal.start });
      expect(await tracker.learnArchived(commits[0]!.timeMs - 1, spare)).toBe("ended");
    });
    // What was read from the archive is not read again.
    asked = 0;
    await place.track(async (tracker) => {
      await tracker.catchUp(wal.position);
      expect(tracker.facts()).toMatchObject({ commits: commits.length, since: wal.start });
    });
    expect(asked).toBe(0);
    place.dispose();
  });
});
