import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { describe, expect, it } from "vitest";
import { behind, copy, exposed, measured, never, NOW_MS, primary } from "../exposure/testing/sample-facts.ts";
import type { CopyFacts, StoreFacts } from "../probes/probe-result.ts";
import { known, unknown } from "../probes/probe-result.ts";
import type { ExpectedCopy } from "./expected-copy.ts";
import { mergeStore } from "./merge-store.ts";
import type { Sight, TargetView } from "./target-view.ts";
import { viewAfter } from "./target-view.ts";

const PG1: ExpectedCopy = {
  name: "pg1",
  kind: "standby",
  domain: { machine: "m1", zone: "a" },
  toldBy: ["postgresql pg1", "agent pg1"],
};
const PG2: ExpectedCopy = {
  name: "pg2",
  kind: "standby",
  domain: { machine: "m2", zone: "b" },
  toldBy: ["postgresql pg2", "agent pg2"],
};

const SINCE_MS = NOW_MS - 600_000;

function view(target: string, copies: readonly CopyFacts[], over: Partial<Sight> = {}): TargetView {
  return { target, sight: { ok: true, atMs: NOW_MS, roundTripMs: 1, copies, figures: {}, ...over } };
}

const away = (of: TargetView, agoMs = 5_000): TargetView => ({
  ...of,
  away: { code: "TM-PROBE-AWAY", why: "no connection (ECONNREFUSED)", sinceMs: NOW_MS - agoMs },
});

function merged(views: readonly TargetView[], over: Partial<Parameters<typeof mergeStore>[0]> = {}): StoreFacts {
  return mergeStore({ store: "db", nowMs: NOW_MS, sinceMs: SINCE_MS, views, expected: [PG1, PG2], ...over });
}

function named(facts: StoreFacts, name: string): CopyFacts {
  const found = facts.copies.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no copy ${name}`);
  return found;
}

const ago = <T>(value: T, ms: number) => known(value, { atMs: NOW_MS - ms, method: "position-history", errorMs: 5 });

const reigning = (over: Partial<Sight> = {}, timeline = 1): TargetView =>
  view(
    "postgresql pg1",
    [
      primary({ name: "pg1", recoveryPoint: behind(0, { timeline }) }),
      copy({
        name: "pg2",
        domain: {},
        synchronous: measured(true, "reported"),
        recoveryPoint: behind(0, { method: "synchronous", timeline }),
      }),
    ],
    {
      store: {
        newestCommit: measured({ commitMs: NOW_MS, timeline: timeline as Timeline }),
        commitRate: measured(3),
        clockOffset: measured(0),
      },
      ...over,
    },
  );

describe("what is known of a store", () => {
  it("has every copy of the configuration, as unknown since the start until somebody tells of it", () => {
    const facts = merged([{ target: "postgresql pg1" }]);
    expect(facts.copies.map(({ name }) => name)).toEqual(["pg1", "pg2"]);
    for (const one of facts.copies) expect(one.recoveryPoint).toEqual(unknown("it was not looked at yet", SINCE_MS));
    expect(facts.newestCommit).toEqual(unknown("no primary was seen", SINCE_MS));
    expect(facts.commitRate.known).toBe(false);
  });

  it("says why a copy was never seen where its probe gets no answer, without the address", () => {
    const one = named(merged([away({ target: "postgresql pg2" })]), "pg2");
    expect(one.recoveryPoint).toMatchObject({
      known: false,
      why: "the probe postgresql pg2 gets no answer: no connection (ECONNREFUSED) (TM-PROBE-AWAY)",
    });
  });

  it("puts what several probes say of one copy together, where it is as the configuration says", () => {
    const own = view("postgresql pg2", [
      copy({ name: "pg2", synchronous: never, recoveryPoint: ago({ commitMs: NOW_MS - 400, complete: false }, 0) }),
    ]);
    const facts = merged([reigning(), own, view("agent pg2", [copy({ name: "pg2", recoveryPoint: never, synchronous: never })])]);
    const pg2 = named(facts, "pg2");
    expect(facts.copies).toHaveLength(2);
    expect(pg2.domain).toEqual(PG2.domain);
    expect(pg2.synchronous).toMatchObject({ known: true, value: true });
  });

  it("takes the newest look at an asynchronous copy, whoever looked", () => {
    const said = (target: string, agoMs: number, complete: boolean): TargetView =>
      view(target, [copy({ name: "pg2", synchronous: measured(false), recoveryPoint: ago({ commitMs: NOW_MS - 900, complete }, agoMs) })], {
        atMs: NOW_MS - agoMs,
      });
    expect(named(merged([said("postgresql pg1", 900, true), said("postgresql pg2", 100, false)]), "pg2").recoveryPoint).toMatchObject({
      value: { complete: false },
    });
    expect(named(merged([said("postgresql pg1", 100, true), said("postgresql pg2", 900, false)]), "pg2").recoveryPoint).toMatchObject({
      value: { complete: true },
    });
  });

  it("lets a copy have what it was seen to have, when its primary sees it further and still a commit behind", () => {
    const at = (lsn: string, timeline: number, of: { agoMs: number; complete: boolean; commitMs: number }): CopyFacts =>
      copy({
        name: "pg2",
        synchronous: measured(false),
        recoveryPoint: ago({ commitMs: of.commitMs, complete: of.complete, lsn, timeline: timeline as Timeline }, of.agoMs),
      });
    const primaryWord = view("postgresql pg1", [at("0/200", 1, { agoMs: 100, complete: false, commitMs: NOW_MS - 1_100 })]);
    const ownWord = (lsn: string, timeline = 1, commitMs = NOW_MS - 520): TargetView =>
      view("postgresql pg2", [at(lsn, timeline, { agoMs: 500, complete: true, commitMs })], { atMs: NOW_MS - 500 });
    const pointOf = (own: TargetView) => named(merged([primaryWord, own]), "pg2").recoveryPoint;
    expect(pointOf(ownWord("0/200"))).toMatchObject({ atMs: NOW_MS - 100, value: { complete: false, commitMs: NOW_MS - 520 } });
    // It went back, is on another timeline, or of a time that had not come.
    for (const own of [ownWord("0/201"), ownWord("0/200", 2), ownWord("0/200", 1, NOW_MS)])
      expect(pointOf(own)).toMatchObject({ value: { complete: false, commitMs: NOW_MS - 1_100 } });
  });

  it("takes the word of a copy that was looked at after its primary, though what it says is dated to that look", () => {
    const primarys = view(
      "postgresql pg1",
      [
        copy({
          name: "pg2",
          recoveryPoint: ago({ commitMs: NOW_MS - 1_200, complete: false, lsn: "0/100", timeline: 1 as Timeline }, 676),
        }),
      ],
      { atMs: NOW_MS - 676 },
    );
    const own = (agoMs: number): TargetView =>
      view(
        "postgresql pg2",
        [
          copy({
            name: "pg2",
            recoveryPoint: ago({ commitMs: NOW_MS - 250, complete: true, lsn: "0/200", timeline: 1 as Timeline }, agoMs),
          }),
        ],
        { atMs: NOW_MS - 223 },
      );
    expect(named(merged([primarys, own(679)]), "pg2").recoveryPoint).toMatchObject({ value: { complete: true }, atMs: NOW_MS - 679 });
    // Of a primary that was seen too long ago it says nothing.
    expect(named(merged([primarys, own(11_000)]), "pg2").recoveryPoint).toMatchObject({ value: { complete: false } });
  });

  it("counts WAL that is on its way to a copy which acknowledgements wait for as no loss, while its primary answers", () => {
    const own = view("postgresql pg2", [
      copy({ name: "pg2", synchronous: never, recoveryPoint: ago({ commitMs: NOW_MS - 400, complete: false }, -100) }),
    ]);
    expect(named(merged([reigning(), own]), "pg2").recoveryPoint).toMatchObject({ method: "synchronous", value: { complete: true } });
    expect(named(merged([away(reigning()), own]), "pg2").recoveryPoint).toMatchObject({ value: { complete: false } });
  });

  it("keeps a figure of a target that is away until it is too old, and then says since when and why", () => {
    const seen = view("postgresql pg2", [copy({ name: "pg2", recoveryPoint: ago({ commitMs: NOW_MS, complete: true }, 4_000) })]);
    expect(named(merged([away(seen)]), "pg2").recoveryPoint.known).toBe(true);
    const old = view("postgresql pg2", [copy({ name: "pg2", recoveryPoint: ago({ commitMs: NOW_MS, complete: true }, 11_000) })]);
    expect(named(merged([away(old)]), "pg2").recoveryPoint).toEqual(
      unknown("the probe postgresql pg2 gets no answer: no connection (ECONNREFUSED) (TM-PROBE-AWAY)", NOW_MS - 11_000),
    );
    expect(named(merged([away(old)]), "pg2").remarks).toContain("The probe postgresql pg2 gets no answer.");
  });

  it("knows servers that are asked seldom as long as they say, and what would be lost of them", () => {
    const aged = (freshForMs?: number): StoreFacts => {
      const seldom = freshForMs === undefined ? {} : { freshForMs };
      const point = ago({ commitMs: NOW_MS - 25_000, complete: true }, 25_000);
      return merged([
        reigning({
          copies: [
            primary({ name: "pg1", recoveryPoint: point, ...seldom }),
            copy({ name: "pg2", recoveryPoint: point, synchronous: ago(false, 25_000), ...seldom }),
          ],
          store: {
            newestCommit: ago({ commitMs: NOW_MS - 25_000 }, 25_000),
            commitRate: ago(3, 25_000),
            clockOffset: measured(0),
            ...seldom,
          },
        }),
      ]);
    };
    const facts = aged(90_000);
    expect(facts).toMatchObject({ newestCommit: { known: true }, commitRate: { known: true } });
    expect(exposed("node-loss", [facts]).exposureMs).toMatchObject({ known: true, value: 0 });
    expect(exposed("node-loss", [aged()]).exposureMs.known).toBe(false);
  });

  it("lets what one does not know take nothing from what another one saw", () => {
    const facts = merged([
      view("postgresql pg2", [copy({ name: "pg2", recoveryPoint: never, missingBytes: never })]),
      view("agent pg2", [
        copy({ name: "pg2", recoveryPoint: ago({ commitMs: NOW_MS - 5, complete: false }, 900), missingBytes: measured(7) }),
      ]),
    ]);
    expect(named(facts, "pg2")).toMatchObject({ recoveryPoint: { known: true }, missingBytes: { value: 7 } });
  });

  it("shows two primaries as two where both answer, and nobody knows what would be lost", () => {
    const other = view("postgresql pg2", [primary({ name: "pg2", recoveryPoint: behind(0, { timeline: 1 }) })]);
    const facts = merged([reigning(), other]);
    expect(facts.copies.filter(({ kind }) => kind === "primary").map(({ name }) => name)).toEqual(["pg1", "pg2"]);
    expect(exposed("node-loss", [facts]).exposureMs).toMatchObject({ known: false });
  });

  it("takes a server on a newer timeline for the primary, and no word of the one before it", () => {
    const after = view("postgresql pg2", [primary({ name: "pg2", recoveryPoint: behind(0, { timeline: 2 }) })], {
      store: { newestCommit: measured({ commitMs: NOW_MS, timeline: 2 as Timeline }), commitRate: measured(1) },
    });
    const before = reigning();
    for (const facts of [merged([away(before), after]), merged([before, after])]) {
      expect(facts.copies.map(({ name, kind }) => [name, kind])).toEqual([
        ["pg1", "standby"],
        ["pg2", "primary"],
      ]);
      expect(named(facts, "pg1").recoveryPoint).toMatchObject({ known: false });
      expect(named(facts, "pg2").synchronous).not.toMatchObject({ method: "reported" });
      expect(facts.newestCommit).toMatchObject({ value: { timeline: 2 } });
    }
  });

  it("keeps the word of a primary that is away while nobody contradicts it, and says that its newest commit is not known any more", () => {
    const old = reigning({
      atMs: NOW_MS - 60_000,
      store: { newestCommit: ago({ commitMs: NOW_MS - 60_000 }, 60_000), commitRate: ago(3, 60_000) },
    });
    const facts = merged([away(old, 59_000)]);
    expect(named(facts, "pg1").kind).toBe("primary");
    expect(facts.newestCommit).toMatchObject({ known: false, sinceMs: NOW_MS - 60_000 });
    expect(facts.commitRate).toMatchObject({ known: false });
  });

  it("counts no copy of another cluster", () => {
    const theirs = view("agent pg2", [copy({ name: "pg2" })], { store: { systemIdentifier: "2" as SystemIdentifier } });
    const ours = view("postgresql pg1", [primary({ name: "pg1" })], { store: { systemIdentifier: "1" as SystemIdentifier } });
    expect(named(merged([ours, theirs]), "pg2").recoveryPoint).toEqual(unknown("it is a copy of another cluster", NOW_MS));
  });

  it("keeps a copy that was found and is in no configuration", () => {
    const facts = merged([view("postgresql pg1", [primary({ name: "pg1" }), copy({ name: "pg_receivewal" })])]);
    expect(facts.copies.map(({ name }) => name)).toEqual(["pg1", "pg2", "pg_receivewal"]);
  });

  it("moves the end of a range with the newer recovery point that somebody else saw, and promises no range that ends before", () => {
    const range = (toMs: number): TargetView =>
      view("vault vault1", [
        copy({
          name: "vault1",
          kind: "vault",
          holds: "wal",
          pointInTime: { fromMs: 5, toMs },
          recoveryPoint: ago({ commitMs: NOW_MS - 800, complete: false }, 800),
        }),
      ]);
    const told = view("postgresql pg1", [
      primary({ name: "pg1" }),
      copy({ name: "vault1", kind: "vault", recoveryPoint: ago({ commitMs: NOW_MS - 10, complete: false }, 10) }),
    ]);
    expect(named(merged([range(NOW_MS - 800), told]), "vault1")).toMatchObject({
      holds: "wal",
      pointInTime: { fromMs: 5, toMs: NOW_MS - 10 },
    });
    expect(named(merged([range(NOW_MS - 9_000), told]), "vault1").pointInTime).toEqual({ fromMs: 5, toMs: NOW_MS - 9_000 });
  });

  it("counts a promised lock from the newest commit that is there, and promises none of a copy of which nothing is known", () => {
    const expected = [{ ...PG2, lockedForMs: 1_000 }];
    const point = ago({ commitMs: NOW_MS - 300, complete: false }, 100);
    expect(named(merged([view("postgresql pg2", [copy({ name: "pg2", recoveryPoint: point })])], { expected }), "pg2").lockedUntilMs).toBe(
      NOW_MS + 700,
    );
    expect(
      named(merged([view("postgresql pg2", [copy({ name: "pg2", recoveryPoint: never })])], { expected }), "pg2").lockedUntilMs,
    ).toBeUndefined();
  });

  it("says which journal acknowledges its writes", () => {
    const acknowledgedBy = { name: "gateway/journal", domain: { machine: "m1" } };
    expect(merged([reigning()], { acknowledgedBy }).acknowledgedBy).toEqual(acknowledgedBy);
    expect(merged([reigning()])).not.toHaveProperty("acknowledgedBy");
  });

  it("gives a copy the proof of its last recovery", () => {
    const proof = { atMs: NOW_MS - 5, tookMs: 900 };
    expect(named(merged([reigning()], { proofs: new Map([["pg2", proof]]) }), "pg2").proof).toEqual(proof);
  });
});

describe("a view of a target", () => {
  it("remembers the last look that succeeded, and since when looks fail", () => {
    const first = viewAfter({ target: "t" }, { ok: false, atMs: 5, code: "TM-PROBE-AWAY", why: "gone" });
    const second = viewAfter(first, { ok: false, atMs: 9, code: "TM-PROBE-SLOW", why: "late" });
    expect(second).toEqual({ target: "t", away: { code: "TM-PROBE-SLOW", why: "late", sinceMs: 5 } });
    const back = viewAfter(second, { ok: true, atMs: 12, roundTripMs: 1, copies: [], figures: {} });
    expect(back.away).toBeUndefined();
    expect(viewAfter(back, { ok: false, atMs: 15, code: "TM-PROBE-AWAY", why: "gone" })).toMatchObject({
      sight: { atMs: 12 },
      away: { sinceMs: 15 },
    });
  });
});
