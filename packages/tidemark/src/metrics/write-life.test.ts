import { seededRandom } from "@tidemark/kernel/random";
import { describe, expect, it } from "vitest";
import { slownessOf, spansOf, WRITE_ATTRIBUTES, WRITE_STAGES, type WriteLife } from "./write-life.ts";
import { WriteLifeSampler, type Beginning } from "./write-life-sampler.ts";

const life: WriteLife = {
  id: "w1",
  store: "db",
  startMs: 1_000,
  passedMs: { accepted: 1_001, journalled: 1_004, committed: 1_010, "wal-received": 1_012, "standby-flushed": 1_011, archived: 1_500 },
  lsn: "0/10",
  timeline: 1,
  end: "complete",
};

/** Wall time minus monotonic time. */
const OFFSET_MS = 500_000;

function sampler(limits: ConstructorParameters<typeof WriteLifeSampler>[1]["limits"] = {}): WriteLifeSampler {
  return new WriteLifeSampler(seededRandom(1), {
    expected: (store) => (store === "db" ? WRITE_STAGES : ["accepted", "journalled"]),
    limits,
  });
}

function beginning(id: string, over: Partial<Beginning> = {}): Beginning {
  const atMs = over.atMs ?? 0;
  return { id, store: "db", atMs, startMs: OFFSET_MS + atMs, chosen: "by-chance", ...over };
}

/** A write of the store without copies, that takes `tookMs`. */
function short(all: WriteLifeSampler, id: string, at: { atMs: number; tookMs: number; chosen?: Beginning["chosen"] }): void {
  const { atMs, tookMs, chosen = "by-chance" } = at;
  all.begin(beginning(id, { store: "small", atMs, chosen }));
  all.pass(id, "accepted", atMs);
  all.pass(id, "journalled", atMs + tookMs);
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
    expect(spansOf(life)[0]?.attributes).toEqual({
      "tidemark.write.id": "w1",
      "tidemark.store": "db",
      "tidemark.lsn": "0/10",
      "tidemark.timeline": 1,
      "tidemark.write.end": "complete",
    });
  });

  it("says in its spans what is listed, and nothing else", () => {
    const said = spansOf(life).flatMap(({ attributes }) => Object.keys(attributes));
    expect([...new Set(said)].toSorted()).toEqual(Object.keys(WRITE_ATTRIBUTES).toSorted());
  });

  it("has no span for a stage that was not seen, and none that ends before it begins", () => {
    const { committed: _, ...passedMs } = life.passedMs;
    expect(spansOf({ ...life, passedMs }).map(({ name }) => name)).not.toContain("tidemark.applier.commit");
    for (const span of spansOf({ ...life, passedMs: { ...life.passedMs, committed: 3 } }))
      expect(span.endMs).toBeGreaterThanOrEqual(span.startMs);
  });

  it("is as slow as its acknowledgement was", () => {
    expect(slownessOf(life)).toBe(4);
    expect(slownessOf({ ...life, passedMs: {} })).toBe(0);
  });
});

describe("the sampler of writes", () => {
  it("follows a write to the end, by its id and then by the position of its commit", () => {
    const all = sampler();
    all.begin(beginning("w1"));
    all.pass("w1", "accepted", 1);
    all.pass("w1", "journalled", 2);
    expect([...all.awaited("db")]).toEqual([]);
    all.frontier("db", "archived", { atMs: 3, lsn: "F/0", timeline: 1 });
    all.commit("w1", { atMs: 4, lsn: "0/20", timeline: 1 });
    expect([...all.awaited("db")]).toEqual(["wal-received", "standby-flushed", "archived"]);
    all.frontier("db", "wal-received", { atMs: 5, lsn: "0/1F", timeline: 1 });
    all.frontier("other", "wal-received", { atMs: 5, lsn: "F/0", timeline: 1 });
    all.frontier("db", "wal-received", { atMs: 6, lsn: "0/20", timeline: 1 });
    all.frontier("db", "wal-received", { atMs: 7, lsn: "0/30", timeline: 1 });
    all.frontier("db", "standby-flushed", { atMs: 8, lsn: "0/30", timeline: 1 });
    expect([...all.awaited("db")]).toEqual(["archived"]);
    expect(all.lives().sample).toEqual([]);
    all.frontier("db", "archived", { atMs: 9, lsn: "0/30", timeline: 1 });
    const passed = { accepted: 1, journalled: 2, committed: 4, "wal-received": 6, "standby-flushed": 8, archived: 9 };
    expect(all.lives().sample).toEqual([
      {
        id: "w1",
        store: "db",
        startMs: OFFSET_MS,
        lsn: "0/20",
        timeline: 1,
        end: "complete",
        passedMs: Object.fromEntries(Object.entries(passed).map(([stage, atMs]) => [stage, OFFSET_MS + atMs])),
      },
    ]);
  });

  it("counts no position of another timeline (R11), and goes on with the one on which the write stands after a failover", () => {
    const all = sampler();
    all.begin(beginning("w1"));
    all.commit("w1", { atMs: 4, lsn: "0/20", timeline: 1 });
    all.frontier("db", "standby-flushed", { atMs: 5, lsn: "0/20", timeline: 1 });
    all.frontier("db", "archived", { atMs: 6, lsn: "F/0", timeline: 2 });
    expect(all.awaited("db")).toContain("archived");
    all.commit("w1", { atMs: 7, lsn: "0/50", timeline: 2 });
    all.frontier("db", "archived", { atMs: 8, lsn: "0/40", timeline: 2 });
    all.frontier("db", "archived", { atMs: 8, lsn: "F/0", timeline: 1 });
    expect([...all.awaited("db")]).toEqual(["wal-received", "archived"]);
    all.frontier("db", "archived", { atMs: 9, lsn: "0/50", timeline: 2 });
    expect([...all.awaited("db")]).toEqual(["wal-received"]);
  });

  it("takes back what a commit had passed that a failover took back", () => {
    const all = sampler({ giveUpMs: 100 });
    all.begin(beginning("w1"));
    all.pass("w1", "accepted", 1);
    all.pass("w1", "journalled", 2);
    all.commit("w1", { atMs: 4, lsn: "0/20", timeline: 1 });
    all.frontier("db", "wal-received", { atMs: 5, lsn: "0/20", timeline: 1 });
    all.takeBack("w1");
    expect([...all.awaited("db")]).toEqual([]);
    all.commit("w1", { atMs: 30, lsn: "0/19", timeline: 2 });
    all.giveUp(101);
    expect(all.lives().sample).toMatchObject([
      {
        end: "given-up",
        lsn: "0/19",
        timeline: 2,
        passedMs: { accepted: OFFSET_MS + 1, journalled: OFFSET_MS + 2, committed: OFFSET_MS + 30 },
      },
    ]);
    expect(all.lives().sample[0]?.passedMs).not.toHaveProperty("wal-received");
  });

  it("keeps so many of a window, and always those that were slowest to be journalled", () => {
    const all = sampler({ sample: 5, slowest: 3 });
    const lengths = Array.from({ length: 2_000 }, (_, index) => (index * 7_919) % 2_003);
    for (const [index, tookMs] of lengths.entries()) short(all, `w${index}`, { atMs: index, tookMs });
    expect(all.lives().sample).toHaveLength(5);
    expect(all.lives().slowest.map(slownessOf)).toEqual(lengths.toSorted((one, other) => other - one).slice(0, 3));
  });

  it("gives each write of a window the same chance, and what was chosen because it was slow none", () => {
    const firstHalf = Array.from({ length: 200 }, (_, seed) => {
      const all = new WriteLifeSampler(seededRandom(seed), { expected: () => ["journalled"], limits: { sample: 10 } });
      for (let index = 0; index < 100; index++) {
        short(all, String(index), { atMs: index, tookMs: 1 });
        short(all, `slow${index}`, { atMs: index, tookMs: 9, chosen: "slow" });
      }
      expect(all.lives().sample.some(({ id }) => id.startsWith("slow"))).toBe(false);
      return all.lives().sample.filter(({ id }) => Number(id) < 50).length;
    }).reduce((sum, one) => sum + one, 0);
    expect(firstHalf / 2_000).toBeGreaterThan(0.45);
    expect(firstHalf / 2_000).toBeLessThan(0.55);
  });

  it("follows so many at once and counts the others; what takes too long is kept as it is", () => {
    const all = sampler({ following: 2, giveUpMs: 100 });
    for (const id of ["a", "b", "c"]) all.begin(beginning(id));
    expect(all.lives()).toMatchObject({ unfollowed: 1, sample: [] });
    all.pass("a", "accepted", 5);
    all.begin(beginning("d", { atMs: 101 }));
    expect(all.follows("d")).toBe(true);
    expect(all.lives().slowest).toMatchObject([
      { id: "a", end: "given-up", passedMs: { accepted: OFFSET_MS + 5 } },
      { id: "b", end: "given-up", passedMs: {} },
    ]);
  });

  it("forgets what was rejected, and windows that are long ago", () => {
    const all = sampler({ windows: 2, windowMs: 1_000 });
    all.begin(beginning("rejected", { store: "small" }));
    all.forget("rejected");
    all.pass("rejected", "journalled", 1);
    for (const [id, atMs] of [
      ["s1", 1_000],
      ["s2", 2_000],
      ["s3", 3_000],
      ["late", 1_500],
    ] as const)
      short(all, id, { atMs, tookMs: 1 });
    expect(
      all
        .lives()
        .sample.map(({ id }) => id)
        .toSorted(),
    ).toEqual(["s2", "s3"]);
  });
});
