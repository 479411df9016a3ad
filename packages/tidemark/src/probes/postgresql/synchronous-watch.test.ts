import { describe, expect, it } from "vitest";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { PrimaryAnswer, Replica, ServerSettingsAnswer } from "./postgresql-answers.ts";
import { SynchronousWatch } from "./synchronous-watch.ts";

const replica = (pid: number, name: string, more: { flushed: number; syncState?: string; state?: string }): Replica => ({
  pid,
  name,
  state: more.state ?? "streaming",
  syncState: more.syncState ?? "sync",
  flushLsn: BigInt(more.flushed) as Lsn,
});

const answer = (standbyNames: string, written: number, replicas: Replica[]): PrimaryAnswer => ({
  clockMs: 0,
  flushLsn: BigInt(written) as Lsn,
  insertLsn: BigInt(written) as Lsn,
  timeline: 1 as Timeline,
  transactions: 1n,
  standbyNames,
  replicas,
  slots: [],
  oldestTransactionMs: 0,
  archiver: { archived: 0n, failed: 0n },
  prepared: { count: 0 },
});

const settings = (more?: { commit?: string; weakened?: ServerSettingsAnswer["weakened"] }): ServerSettingsAnswer => ({
  settings: { synchronous_commit: more?.commit ?? "on" },
  ownSynchronousCommit: false,
  weakened: more?.weakened ?? [],
  systemIdentifier: "1" as SystemIdentifier,
  user: "u",
  seesStatistics: true,
  seesSettings: true,
  listsWal: true,
  canary: false,
});

describe("which copies acknowledgements wait for", () => {
  it("a copy counts once it has what was acknowledged before it was waited for (trap 22)", () => {
    const watch = new SynchronousWatch();
    const at = (written: number, flushed: number) =>
      watch.take(answer("FIRST 1 (a)", written, [replica(1, "a", { flushed })]), settings(), 0).get(1);
    expect(at(1_000, 400)).toMatchObject({ demanded: true, caughtUp: false });
    expect(at(2_000, 999)).toMatchObject({ demanded: true, caughtUp: false });
    // It lags behind what is written, as ever; what was acknowledged meanwhile waited for it.
    expect(at(9_000, 1_000)).toMatchObject({ demanded: true, caughtUp: true });
    watch.take(answer("", 9_500, [replica(1, "a", { flushed: 1_000, syncState: "async" })]), settings(), 0);
    expect(at(9_900, 1_000)).toMatchObject({ demanded: true, caughtUp: false });
  });

  it("one of a quorum counts only where all of it is needed", () => {
    const members = (): Replica[] => ["a", "b"].map((name, at) => replica(at, name, { flushed: 100, syncState: "quorum" }));
    const demanded = (names: string): boolean[] =>
      [...new SynchronousWatch().take(answer(names, 100, members()), settings(), 0).values()].map((standing) => standing.demanded);
    expect(demanded("ANY 1 (a, b)")).toEqual([false, false]);
    expect(demanded("any 2 (a, b)")).toEqual([true, true]);
    expect(demanded("ANY 2 (a, b, c)")).toEqual([false, false]);
    expect(demanded("ANY 1 (*)")).toEqual([false, false]);
  });

  it("of two copies with one name neither is trusted (trap 21)", () => {
    const twins = [replica(1, "a", { flushed: 100 }), replica(2, "a", { flushed: 100, syncState: "potential" })];
    expect(new SynchronousWatch().take(answer("a", 100, twins), settings(), 0).get(1)).toMatchObject({ caughtUp: false });
  });

  it("a copy that catches up, or whom somebody's commits do not wait for, is not synchronous (trap 19)", () => {
    const standing = (one: Replica, of: ServerSettingsAnswer) => new SynchronousWatch().take(answer("a", 100, [one]), of, 0).get(1);
    expect(standing(replica(1, "a", { flushed: 100, state: "catchup" }), settings())?.demanded).toBe(false);
    const well = replica(1, "a", { flushed: 100 });
    expect(standing(well, settings())?.demanded).toBe(true);
    expect(standing(well, settings({ commit: "local" }))?.demanded).toBe(false);
    expect(standing(well, settings({ weakened: [{ role: "batch", value: "off" }] }))?.demanded).toBe(false);
    expect(standing(well, settings({ weakened: [{ role: "careful", value: "remote_apply" }] }))?.demanded).toBe(true);
  });

  it("remembers when commits were released without their copies (trap 16)", () => {
    const watch = new SynchronousWatch();
    watch.take(answer("FIRST 1 (a)", 100, []), settings(), 1_000);
    expect(watch.releasedAtMs).toBeUndefined();
    watch.take(answer("", 100, []), settings(), 2_000);
    watch.take(answer("", 100, []), settings(), 3_000);
    expect(watch.releasedAtMs).toBe(2_000);
    watch.take(answer("FIRST 1 (a)", 100, []), settings(), 4_000);
    watch.take(answer("FIRST 1 (a)", 100, []), settings({ commit: "off" }), 5_000);
    expect(watch.releasedAtMs).toBe(5_000);
    const fewer = new SynchronousWatch();
    fewer.take(answer("2 (a, b, c)", 100, []), settings(), 1_000);
    fewer.take(answer("ANY 2 (a, b)", 100, []), settings(), 2_000);
    expect(fewer.releasedAtMs).toBeUndefined();
    fewer.take(answer("a, b", 100, []), settings(), 3_000);
    expect(fewer.releasedAtMs).toBe(3_000);
  });
});
