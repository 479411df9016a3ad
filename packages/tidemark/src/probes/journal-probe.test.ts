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
    state: "open",
    durable: "120",
    bytes: 4_096,
    quotaBytes: 1_000_000,
    healingHorizon: new Date(clock.wallMs() - 60_000).toISOString(),
  },
  deadLetters: { open: 0 },
  stores: { orders: { behind: { records: 17 } } },
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
      pointInTime: { fromMs: clock.wallMs() - 60_000, toMs: clock.wallMs() },
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
    const { figures } = await look({ stores: { orders: { behind: { records: null } } } });
    expect(figures["journal_backlog_records"]).toMatchObject({ known: false });
  });

  it("says so when the journal takes nothing", async () => {
    const { copy } = await look({ journal: { ...STATUS.journal, state: "full" } });
    expect(copy.remarks).toContain("The journal is full: it takes no writes.");
  });
});
