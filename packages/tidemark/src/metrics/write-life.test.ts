import { seededRandom } from "@tidemark/kernel/random";
import { describe, expect, it } from "vitest";
import type { WriteLife } from "./write-life.ts";
import { lengthOf, spansOf, WRITE_STAGES } from "./write-life.ts";
import { WriteLifeSampler } from "./write-life-sampler.ts";

const life: WriteLife = {
  id: "w1",
  store: "db",
  startMs: 1_000,
  passedMs: { accepted: 1_001, journalled: 1_004, committed: 1_010, "wal-received": 1_012, "standby-flushed": 1_011, archived: 1_500 },
  lsn: "0/10",
  end: "complete",
};

function sampler(limits: ConstructorParameters<typeof WriteLifeSampler>[1]["limits"] = {}): WriteLifeSampler {
  return new WriteLifeSampler(seededRandom(1), {
    expected: (store) => (store === "db" ? WRITE_STAGES : ["accepted", "committed"]),
    limits,
  });
}

/** A write of the store without journal or vault, that takes `tookMs`. */
function short(all: WriteLifeSampler, id: string, startMs: number, tookMs: number): void {
  all.begin(id, "small", startMs);
  all.pass(id, "accepted", { atMs: startMs });
  all.pass(id, "committed", { atMs: startMs + tookMs, lsn: "0/1" });
}

describe("the life of one write", () => {
  it("is one span for the whole, and one for each stage from where the one before ended", () => {
    expect(spansOf(life).map(({ name, startMs, endMs, parent }) => [name, startMs, endMs, parent])).toEqual([
      ["tidemark.write", 1_000, 1_500, undefined],
      ["tidemark.write.accept", 1_000, 1_001, "tidemark.write"],
      ["tidemark.journal.append", 1_001, 1_004, "tidemark.write"],
      ["tidemark.applier.commit", 1_004, 1_010, "tidemark.write"],
      ["tidemark.vault.receive", 1_010, 1_012, "tidemark.write"],
      ["tidemark.standby.flush", 1_010, 1_011, "tidemark.write"],
      ["tidemark.vault.archive", 1_010, 1_500, "tidemark.write"],
    ]);
  });

  it("has no span for a stage that was not seen, and none that ends before it begins", () => {
    const { committed: _, ...passedMs } = life.passedMs;
    expect(spansOf({ ...life, passedMs }).map(({ name }) => name)).not.toContain("tidemark.applier.commit");
    for (const span of spansOf({ ...life, passedMs: { ...life.passedMs, committed: 3 } }))
      expect(span.endMs).toBeGreaterThanOrEqual(span.startMs);
  });
});

describe("the sampler of writes", () => {
  it("follows a write to the end, by its id and then by the position of its commit", () => {
    const all = sampler();
    all.begin("w1", "db", 0);
    all.pass("w1", "accepted", { atMs: 1 });
    all.pass("w1", "journalled", { atMs: 2 });
    all.frontier("db", "archived", { atMs: 3, lsn: "F/0" });
    all.pass("w1", "committed", { atMs: 4, lsn: "0/20" });
    all.frontier("db", "wal-received", { atMs: 5, lsn: "0/1F" });
    all.frontier("other", "wal-received", { atMs: 5, lsn: "F/0" });
    all.frontier("db", "wal-received", { atMs: 6, lsn: "0/20" });
    all.frontier("db", "wal-received", { atMs: 7, lsn: "0/30" });
    all.frontier("db", "standby-flushed", { atMs: 8, lsn: "0/30" });
    expect(all.lives().sample).toEqual([]);
    all.frontier("db", "archived", { atMs: 9, lsn: "0/30" });
    expect(all.lives().sample).toEqual([
      {
        id: "w1",
        store: "db",
        startMs: 0,
        lsn: "0/20",
        end: "complete",
        passedMs: { accepted: 1, journalled: 2, committed: 4, "wal-received": 6, "standby-flushed": 8, archived: 9 },
      },
    ]);
  });

  it("keeps so many of a window, and always the slowest", () => {
    const all = sampler({ sample: 5, slowest: 3 });
    const lengths = Array.from({ length: 2_000 }, (_, index) => (index * 7_919) % 2_003);
    for (const [index, tookMs] of lengths.entries()) short(all, `w${index}`, index, tookMs);
    expect(all.lives().sample).toHaveLength(5);
    expect(all.lives().slowest.map(lengthOf)).toEqual(lengths.toSorted((one, other) => other - one).slice(0, 3));
  });

  it("gives each write of a window the same chance", () => {
    const firstHalf = Array.from({ length: 200 }, (_, seed) => {
      const all = new WriteLifeSampler(seededRandom(seed), { expected: () => ["committed"], limits: { sample: 10 } });
      for (let index = 0; index < 100; index++) short(all, String(index), index, 1);
      return all.lives().sample.filter(({ id }) => Number(id) < 50).length;
    }).reduce((sum, one) => sum + one, 0);
    expect(firstHalf / 2_000).toBeGreaterThan(0.45);
    expect(firstHalf / 2_000).toBeLessThan(0.55);
  });

  it("follows so many at once and counts the others; what takes too long is kept as it is", () => {
    const all = sampler({ following: 2, giveUpMs: 100 });
    for (const id of ["a", "b", "c"]) all.begin(id, "db", 0);
    expect(all.lives()).toMatchObject({ unfollowed: 1, sample: [] });
    all.pass("a", "accepted", { atMs: 5 });
    all.begin("d", "db", 101);
    expect(all.lives().slowest).toMatchObject([
      { id: "a", end: "given-up", passedMs: { accepted: 5 } },
      { id: "b", end: "given-up", passedMs: {} },
    ]);
  });

  it("forgets what was refused, and windows that are long ago", () => {
    const all = sampler({ windows: 2, windowMs: 1_000 });
    all.begin("refused", "small", 0);
    all.forget("refused");
    all.pass("refused", "committed", { atMs: 1 });
    for (const second of [1, 2, 3, 1]) short(all, `s${second}`, second * 1_000, 1);
    expect(
      all
        .lives()
        .sample.map(({ id }) => id)
        .toSorted(),
    ).toEqual(["s2", "s3"]);
  });
});
