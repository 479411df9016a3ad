import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { JournalProbe } from "./journal-probe.ts";
import { HttpStandIn, json } from "./testing/http-stand-in.ts";
import { bearsItsTarget, SECRET } from "./testing/http-target-rules.ts";

const clock = new ManualClock(1_800_000_000_000);
const at = new Date(clock.wallMs() - 20).toISOString();

const STATUS = {
  role: "gateway",
  at,
  accepting: true,
  journal: {
    id: "0195-a",
    state: "open",
    oldest: "1",
    durable: "120",
    bytes: 4_096,
    quotaBytes: 1_000_000,
  },
  deadLetters: { open: 0 },
  stores: { orders: { applier: { state: "applying" }, behind: { records: 17 }, trimSafe: "103", trimSafeTimeline: 1 } },
};

const make = (url: string, allWrites = true): JournalProbe =>
  new JournalProbe({
    store: "orders",
    gateway: "gw1",
    domain: { machine: "m1" },
    allWrites,
    target: { url: `${url}/v1/status`, authorization: new Redacted(`Bearer ${SECRET}`) },
    clock,
  });

describe("the probe of a journal", () => {
  bearsItsTarget({ make: (url) => make(url), good: STATUS });

  let target: HttpStandIn;
  beforeEach(async () => {
    target = await HttpStandIn.start(json(STATUS));
  });
  afterEach(() => target.stop());

  const look = async (status: object = {}, allWrites = true) => {
    target.answer = json({ ...STATUS, ...status });
    const reading = await make(target.url, allWrites).probe(new AbortController().signal);
    if (!reading.ok || reading.copies[0] === undefined) throw new Error("away");
    return { copy: reading.copies[0], figures: reading.figures };
  };

  it("tells the journal as a copy that lacks nothing, and the backlog of its applier", async () => {
    const { copy, figures } = await look();
    expect(copy).toMatchObject({
      name: "gw1/journal",
      kind: "journal",
      holds: "wal",
      recoveryPoint: { known: true, value: { complete: true, commitMs: clock.wallMs() } },
      missingTransactions: { known: true, value: 0 },
      synchronous: { known: true, value: true },
      pointInTime: { fromMs: clock.wallMs(), toMs: clock.wallMs() },
    });
    expect(figures["journal_backlog_records"]).toMatchObject({ known: true, value: 17 });
    expect(copy.recoveryPoint).toMatchObject({ errorMs: expect.toSatisfy((ms: number) => ms >= 20) as number });
  });

  it("knows nothing of a store that is also written past the gateway, or that the gateway does not know", async () => {
    for (const { copy } of [await look({}, false), await look({ stores: {} })]) {
      for (const figure of [copy.recoveryPoint, copy.missingBytes, copy.missingTransactions, copy.synchronous])
        expect(figure.known).toBe(false);
    }
  });

  it("knows no backlog before the positions were told", async () => {
    const { figures } = await look({ stores: { orders: { ...STATUS.stores.orders, behind: { records: null } } } });
    expect(figures["journal_backlog_records"]).toMatchObject({ known: false });
  });

  it("does not know that nothing is missing while it is not certain that the journal can be read and applied", async () => {
    const applier = (state: object | null): object => ({ stores: { orders: { ...STATUS.stores.orders, applier: state } } });
    for (const [status, why] of [
      [{ journal: { ...STATUS.journal, state: "stopped" } }, "the journal has stopped after a fault"],
      [applier({ state: "stopped" }), "its applier is stopped"],
      [applier({ state: "healing" }), "its applier is healing"],
      [applier({ state: "starting" }), "its applier is starting"],
      [applier(null), "its applier is away"],
    ] as const) {
      const { copy } = await look(status);
      for (const figure of [copy.recoveryPoint, copy.missingBytes, copy.missingTransactions, copy.synchronous])
        expect(figure).toMatchObject({ known: false, why: expect.stringContaining(why) as string });
    }
    for (const state of ["paused", "waiting"]) expect((await look(applier({ state }))).copy.recoveryPoint.known).toBe(true);
    expect((await look({ journal: { ...STATUS.journal, state: "full" } })).copy.recoveryPoint.known).toBe(true);
  });

  it("can be put on what has the writes that it has forgotten: from when they were heard to be safe on, and nowhere before that", async () => {
    const probe = make(target.url);
    const since = async (oldest: string, safe: object): Promise<number | undefined> => {
      const stores = { orders: { ...STATUS.stores.orders, ...safe } };
      target.answer = json({ ...STATUS, journal: { ...STATUS.journal, oldest }, stores });
      const reading = await probe.probe(new AbortController().signal);
      return reading.ok ? reading.copies[0]?.pointInTime?.fromMs : undefined;
    };
    expect(await since("104", { trimSafeTimeline: null, trimSafe: "0" })).toBeUndefined();
    const firstMs = clock.wallMs();
    expect(await since("104", {})).toBe(firstMs);
    await clock.advance(60_000);
    const laterMs = clock.wallMs();
    expect(await since("104", { trimSafe: "120" })).toBe(firstMs);
    await clock.advance(1_000);
    expect(await since("110", { trimSafe: "120" })).toBe(laterMs);
    expect(await since("110", { trimSafe: "120", trimSafeTimeline: 2 })).toBe(clock.wallMs());
    await probe.close();
  });

  it("says that only the configuration knows that nothing is written past the gateway", async () => {
    expect((await look()).copy.remarks.join(" ")).toContain("only what the configuration says");
    expect((await look({}, false)).copy.remarks.join(" ")).not.toContain("configuration");
  });

  it("says so when the journal takes nothing", async () => {
    const { copy } = await look({ journal: { ...STATUS.journal, state: "full" } });
    expect(copy.remarks).toContain("The journal is full: it takes no writes.");
  });
});
