import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AuditRecord } from "../audit/audit-entry.ts";
import { unknown } from "../probes/probe-result.ts";
import { AlertFile } from "./alert-file.ts";
import { JudgementEngine } from "./judgement-engine.ts";
import type { JudgementSettings } from "./judgement-settings.ts";
import { SettledJudgement } from "./judgement-settings.ts";
import type { Observation } from "./observation.ts";
import { Outbox } from "./outbox.ts";
import type { SilenceRequest } from "./silence.ts";
import { silences } from "./silence.ts";
import { copyOfTest, exposureOfTest, storeOfTest } from "./testing/sample-observation.ts";

const MINUTE_MS = 60_000;

let place: string;
let clock: ManualClock;
let file: AlertFile;
let outbox: Outbox;
let audited: AuditRecord[];
let auditFails: boolean;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "tidemark-engine-"));
  clock = new ManualClock(1_700_000_000_000);
  audited = [];
  auditFails = false;
});
afterEach(() => {
  file.close();
  rmSync(place, { recursive: true, force: true });
});

/** Nobody fetches what is owed here: `delivery-stalled` is off unless a test has its own rules. */
function open(settings: Partial<JudgementSettings> = {}): JudgementEngine {
  file = new AlertFile(join(place, "alerts.sqlite"), "file");
  outbox = new Outbox(file);
  return new JudgementEngine({
    file,
    outbox,
    settings: {
      services: { orders: { owner: "shop", stores: ["orders-db"] }, billing: { owner: "money", stores: ["orders-db"] } },
      receivers: [{ name: "pager", severities: ["page"] }, { name: "board" }],
      rules: { "delivery-stalled": { off: true } },
      ...settings,
    },
    world: {
      clock,
      random: seededRandom(3),
      logger: silentLogger,
      audit: {
        append: (record) => {
          if (auditFails) return Promise.reject(new Error("the audit log is full"));
          audited.push(record);
          return Promise.resolve();
        },
      },
    },
  });
}

const breach = (service = "orders"): Observation => ({
  exposures: [exposureOfTest({ service, exposureMs: 90_000, rpoMs: 60_000, atMs: clock.wallMs() })],
  stores: [],
  vaults: [],
});
const owed = (receiver: string): string[] =>
  outbox.due(receiver, clock.wallMs(), 100).map(({ notification }) => `${notification.rule} ${notification.kind}`);
const silence = (over: Partial<SilenceRequest> = {}): SilenceRequest => ({
  matchers: { service: "orders" },
  endsAtMs: clock.wallMs() + MINUTE_MS,
  who: "user:ada",
  why: "moving the rack",
  ...over,
});

describe("judgement", () => {
  it("tells pages to who wants pages, and tickets to who wants everything", () => {
    const engine = open();
    engine.observe(clock.wallMs(), breach());
    const backup = copyOfTest({ name: "b1", kind: "backup", proof: { atMs: 0, tookMs: 1 } });
    engine.observe(clock.wallMs(), { ...breach(), stores: [storeOfTest({ copies: [backup] })] });
    expect(owed("pager")).toEqual(["exposure-above-objective firing"]);
    expect(owed("board")).toEqual(["exposure-above-objective firing", "proof-too-old firing"]);
  });

  it("gives an alert its service's owner and group; a store's alert is of all the services that use it", () => {
    const engine = open();
    const backup = copyOfTest({ name: "b1", kind: "backup", proof: { atMs: 0, tookMs: 1 } });
    engine.observe(clock.wallMs(), { ...breach(), stores: [storeOfTest({ copies: [backup] })] });
    expect(engine.alerts().map(({ rule, owner, group, severity }) => ({ rule, owner, group, severity }))).toEqual([
      { rule: "exposure-above-objective", owner: "shop", group: "orders", severity: "page" },
      { rule: "proof-too-old", owner: "money,shop", group: "billing,orders", severity: "ticket" },
    ]);
  });

  it("takes severity and durations from the configuration where it says so", () => {
    const engine = open({ rules: { "exposure-above-objective": { severity: "ticket", forMs: 2_000 } } });
    engine.observe(clock.wallMs(), breach());
    expect(engine.alerts()[0]?.state).toBe("pending");
    engine.observe(clock.wallMs() + 2_000, breach());
    expect(engine.alerts()[0]).toMatchObject({ state: "firing", severity: "ticket" });
    expect(owed("pager")).toEqual([]);
  });

  it("ends the alerts of a service that is not configured any more, after five minutes without it", () => {
    const engine = open();
    const nothing: Observation = { exposures: [], stores: [], vaults: [] };
    const atMs = clock.wallMs();
    engine.observe(atMs, breach());
    engine.observe(atMs + 5 * MINUTE_MS - 1, nothing);
    expect(engine.alerts().map(({ rule }) => rule)).toContain("exposure-above-objective");
    const { ended } = engine.observe(atMs + 5 * MINUTE_MS, nothing);
    expect(ended.map(({ rule }) => rule)).toEqual(["exposure-above-objective"]);
    const [over, begun] = engine.transitions(2);
    expect(over).toMatchObject({ kind: "resolved", ended: "gone" });
    // Whoever hears that it is over does not take what was said last for now.
    expect(over?.summary).toBe(`over after 5 m 0 s; it was: ${begun?.summary}`);
  });

  it("names each transition once for all receivers, and never again, also after a restart", () => {
    let engine = open();
    const ids = new Set<string>();
    for (let round = 0; round < 3; round++) {
      for (const observation of [breach(), { ...breach(), exposures: [exposureOfTest({ exposureMs: 0, rpoMs: 60_000 })] }])
        for (let second = 0; second < 11; second++) {
          void clock.advance(1_000);
          engine.observe(clock.wallMs(), observation);
        }
      file.close();
      engine = open();
    }
    for (const { id } of engine.transitions(100)) ids.add(id);
    expect(ids.size).toBe(6);
    expect([...ids].every((id) => id.startsWith("file-"))).toBe(true);
  });

  it("keeps a pending alert's time over a restart", () => {
    let engine = open();
    const blind = (): Observation => ({ exposures: [exposureOfTest({ rpoMs: 60_000, atMs: clock.wallMs() })], stores: [], vaults: [] });
    const atMs = clock.wallMs();
    engine.observe(atMs, blind());
    file.close();
    engine = open();
    engine.observe(atMs + 59_000, blind());
    expect(engine.alerts()[0]?.state).toBe("pending");
    engine.observe(atMs + 60_000, blind());
    expect(engine.alerts().find(({ rule }) => rule === "exposure-unknown-too-long")?.state).toBe("firing");
  });

  it("judges burn rates by what history kept from before the start", () => {
    const engine = open({ rules: { "exposure-above-objective": { off: true } } });
    const nowMs = clock.wallMs();
    const startMs = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS - 60 * MINUTE_MS;
    const buckets = Array.from({ length: 60 }, (_, minute) => ({
      startMs: startMs + minute * MINUTE_MS,
      durationMs: MINUTE_MS,
      goodSeconds: 58,
      badSeconds: 2,
      unknownSeconds: 0,
    }));
    engine.restoreSlices({ service: "orders", scenario: "node-loss" }, startMs, buckets);
    engine.observe(nowMs, { exposures: [exposureOfTest({ exposureMs: 0, rpoMs: 60_000 })], stores: [], vaults: [] });
    expect(engine.alerts().map(({ rule }) => rule)).toContain("burn-rate-1h");
  });

  it("stops after its file failed, and does not go on as if it had written", () => {
    const engine = open();
    file.database.exec("DROP TABLE transition");
    expect(() => engine.observe(clock.wallMs(), breach())).toThrow(expect.objectContaining({ code: "TM-ALERT-STORE" }));
    expect(() => engine.alerts() && engine.observe(clock.wallMs(), breach("billing"))).toThrow(
      expect.objectContaining({ code: "TM-ALERT-STORE" }),
    );
    expect(file.database.prepare("SELECT count(*) AS n FROM alert").get()).toEqual({ n: 0 });
  });

  it("refuses a second process, a file of another version, and a file that is none", () => {
    open();
    expect(() => new AlertFile(join(place, "alerts.sqlite"), "x")).toThrow(expect.objectContaining({ code: "TM-ALERT-STORE" }));
    const other = new DatabaseSync(join(place, "other.sqlite"));
    other.exec("PRAGMA user_version = 9");
    other.close();
    expect(() => new AlertFile(join(place, "other.sqlite"), "x")).toThrow("format version 9");
    expect(() => new AlertFile(place, "x")).toThrow(expect.objectContaining({ code: "TM-ALERT-STORE" }));
  });

  it("begins no more than 10,000 alerts, and counts those that it refused", () => {
    const engine = open({ rules: { "exposure-rising": { off: true } }, receivers: [] });
    const exposures = Array.from({ length: 10_003 }, (_, index) => exposureOfTest({ service: `s${index}`, exposureMs: 2, rpoMs: 1 }));
    engine.observe(clock.wallMs(), { exposures, stores: [], vaults: [] });
    expect(engine.stats()).toEqual({ pending: 0, firing: 10_000, refused: 3 });
  }, 120_000);
});

describe("settings", () => {
  it("refuse a rule that does not exist, a duration below zero and a target that leaves no budget", () => {
    open();
    const settle = (over: Partial<JudgementSettings>) => () => new SettledJudgement({ services: {}, receivers: [], ...over });
    expect(settle({ rules: { "no-such-rule": {} } })).toThrow('there is no rule "no-such-rule"');
    expect(settle({ rules: { "copy-lost": { forMs: -1 } } })).toThrow("a duration of -1 ms");
    expect(settle({ services: { a: { stores: [], target: 1 } } })).toThrow("a share above 0 and below 1");
  });
});

describe("a silence", () => {
  it("is written to the audit log before it counts, and there is none when that fails", async () => {
    const engine = open();
    const made = await engine.silence(silence());
    expect(audited).toEqual([
      {
        who: "user:ada",
        action: "silence-alerts",
        subject: "service=orders",
        reason: "moving the rack",
        facts: { silence: made.id, until: "2023-11-14T22:14:20.000Z" },
      },
    ]);
    auditFails = true;
    await expect(engine.silence(silence())).rejects.toThrow("the audit log is full");
    expect(engine.silences()).toHaveLength(1);
  });

  it("needs something that it is about, an end within 30 days, a person and a reason", async () => {
    const engine = open();
    const nowMs = clock.wallMs();
    for (const over of [
      { matchers: {} },
      { matchers: { colour: "red" } as never },
      { matchers: { service: "" } },
      { endsAtMs: nowMs },
      { endsAtMs: Number.NaN },
      { endsAtMs: nowMs + 31 * 86_400_000 },
      { who: " " },
      { why: "" },
    ])
      await expect(engine.silence(silence(over))).rejects.toMatchObject({ code: "TM-ALERT-SILENCE" });
    expect(audited).toEqual([]);
  });

  it("is in force over a restart, shows on the alert, and can be ended before its time", async () => {
    let engine = open();
    const { id } = await engine.silence(silence());
    file.close();
    engine = open();
    engine.observe(clock.wallMs(), breach());
    expect(engine.alerts()[0]).toMatchObject({ state: "firing", notified: false, silencedBy: id });
    expect(owed("pager")).toEqual([]);
    await engine.endSilence(id, { who: "user:bob", why: "done" });
    engine.observe(clock.wallMs() + 1_000, breach());
    expect(owed("pager")).toEqual(["exposure-above-objective firing"]);
    expect(audited.at(-1)).toMatchObject({ who: "user:bob", action: "end-silence", subject: id });
    await expect(engine.endSilence(id, { who: "user:bob", why: "again" })).rejects.toMatchObject({ code: "TM-ALERT-NO-SILENCE" });
  });

  it("holds back a shared store's alert only when each of its services is silent", () => {
    const of = { id: "1", startsAtMs: 0, endsAtMs: 10, who: "", why: "" };
    const alert = {
      rule: "copy-lost",
      severity: "ticket" as const,
      subject: { service: "billing,orders", store: "orders-db", copy: "pg2" },
    };
    open();
    expect(silences({ ...of, matchers: { service: "orders" } }, alert, 5)).toBe(false);
    expect(silences({ ...of, matchers: { store: "orders-db", copy: "pg2" } }, alert, 5)).toBe(true);
    expect(silences({ ...of, matchers: { store: "orders-db", copy: "pg3" } }, alert, 5)).toBe(false);
    expect(silences({ ...of, matchers: { severity: "ticket" } }, alert, 10)).toBe(false);
  });
});

describe("a copy that was taken away on purpose", () => {
  it("is forgotten with a name and a reason, and its alert is over", async () => {
    const engine = open();
    const primary = copyOfTest({ name: "pg1", kind: "primary" });
    const with_ = (...copies: ReturnType<typeof copyOfTest>[]): Observation => ({
      exposures: [],
      stores: [storeOfTest({ copies: [primary, copyOfTest({ name: "pg3" }), ...copies] })],
      vaults: [],
    });
    const atMs = clock.wallMs();
    engine.observe(atMs, with_(copyOfTest({ name: "pg2" })));
    engine.observe(atMs + 1_000, with_());
    engine.observe(atMs + 61_000, with_());
    expect(engine.alerts().map(({ rule, subject }) => [rule, subject.copy])).toEqual([["copy-lost", "pg2"]]);
    expect(await engine.forgetCopy({ store: "orders-db", copy: "pg2" }, { who: "user:ada", why: "sold" })).toBe(true);
    expect(engine.alerts()).toEqual([]);
    expect(engine.transitions(1)[0]).toMatchObject({ kind: "resolved", ended: "gone" });
    engine.observe(atMs + 200_000, with_());
    expect(engine.alerts()).toEqual([]);
    expect(audited[0]).toMatchObject({ action: "forget-copy", subject: "orders-db/pg2" });
  });

  it("is known by its alert too, where nobody ever knew how far it was", async () => {
    const engine = open();
    const atMs = clock.wallMs();
    const copies = [
      copyOfTest({ name: "pg1", kind: "primary" }),
      copyOfTest({ name: "pg2", recoveryPoint: unknown("it never answered", atMs) }),
    ];
    engine.observe(atMs, { exposures: [], stores: [storeOfTest({ copies })], vaults: [] });
    expect(await engine.forgetCopy({ store: "orders-db", copy: "pg2" }, { who: "user:ada", why: "sold" })).toBe(true);
    expect(await engine.forgetCopy({ store: "orders-db", copy: "pg2" }, { who: "user:ada", why: "sold" })).toBe(false);
  });
});

describe("a server that was not looked at yet", () => {
  it("is no longer missed as a copy once it turns out to be the primary", () => {
    const engine = open();
    const atMs = clock.wallMs();
    const seen = (kind: "standby" | "primary"): Observation => ({
      exposures: [],
      stores: [
        storeOfTest({
          copies: [
            copyOfTest({ name: "pg1", kind, recoveryPoint: unknown("it was not looked at yet", atMs) }),
            copyOfTest({ name: "pg2" }),
          ],
        }),
      ],
      vaults: [],
    });
    const missed = (): unknown[] => engine.alerts().flatMap(({ rule, subject }) => (rule === "copy-lost" ? [subject.copy] : []));
    engine.observe(atMs, seen("standby"));
    expect(missed()).toEqual(["pg1"]);
    engine.observe(atMs + 1_000, seen("primary"));
    expect(missed()).toEqual([]);
  });
});
