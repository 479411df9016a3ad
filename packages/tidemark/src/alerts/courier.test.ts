import { TidemarkError } from "@tidemark/kernel/errors";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Notification } from "./alert.ts";
import { AlertFile } from "./alert-file.ts";
import { Courier } from "./courier.ts";
import { Outbox } from "./outbox.ts";
import type { Receiver } from "./receiver.ts";

const HOUR_MS = 3_600_000;

let clock: ManualClock;
let file: AlertFile;
let outbox: Outbox;
let stop: AbortController;
let running: Promise<void> | undefined;

beforeEach(() => {
  clock = new ManualClock(1_700_000_000_000);
  file = new AlertFile(":memory:", "file");
  outbox = new Outbox(file);
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await running?.catch(() => undefined);
  file.close();
});

/** A receiver that does as it is told and keeps what it took. */
class Fake implements Receiver {
  readonly name: string;
  readonly mostAtOnce = 10;
  readonly oneGroup: boolean;
  readonly taken: string[] = [];
  readonly batches: number[] = [];
  readonly repeated: string[][] = [];
  readonly givenUp: number[] = [];
  attempts = 0;
  fault: (batch: readonly Notification[]) => "AWAY" | "REFUSED" | Error | undefined = () => undefined;
  readonly repeat: NonNullable<Receiver["repeat"]>;

  constructor(name: string, options: { oneGroup?: boolean; repeatEveryMs?: number } = {}) {
    this.name = name;
    this.oneGroup = options.oneGroup ?? false;
    this.repeat = {
      everyMs: options.repeatEveryMs ?? 1_000 * HOUR_MS,
      post: async (firing) => {
        this.#fail(firing);
        this.repeated.push(firing.map(({ id }) => id));
      },
    };
  }

  async deliver(notifications: readonly Notification[], terms: { givenUp: number }): Promise<void> {
    this.attempts++;
    this.#fail(notifications);
    this.batches.push(notifications.length);
    this.givenUp.push(terms.givenUp);
    this.taken.push(...notifications.map(({ rule, kind }) => `${rule} ${kind}`));
  }

  #fail(notifications: readonly Notification[]): void {
    const fault = this.fault(notifications);
    if (fault instanceof Error) throw fault;
    if (fault !== undefined) throw new TidemarkError(`TM-ALERT-RECEIVER-${fault}`, "as told");
  }
}

function queue(rule: string, kind: Notification["kind"], options: { receivers: readonly Fake[]; group?: string; from?: Outbox }): number {
  const body = {
    kind,
    fingerprint: rule,
    rule,
    subject: {},
    severity: "page" as const,
    group: options.group ?? "orders",
    summary: "",
    evidence: {},
    startsAtMs: 1,
  };
  const from = options.from ?? outbox;
  return file.transaction(() => {
    const transition = file.addTransition(body, clock.wallMs());
    let givenUp = 0;
    for (const { name } of options.receivers)
      givenUp += from.queue({ receiver: name, transition, fingerprint: rule, nowMs: clock.wallMs() });
    return givenUp;
  });
}

function run(receivers: readonly Fake[], told: () => readonly Notification[] = () => []): Courier {
  const courier = new Courier({ outbox, receivers, told, world: { clock, random: seededRandom(7), logger: silentLogger } });
  running = courier.run(stop.signal);
  return courier;
}

describe("the courier", () => {
  it("keeps what Alertmanager could not take for an hour, in order, and brings all of it within 15 seconds of its return", async () => {
    const away = new Fake("alertmanager");
    const there = new Fake("hook");
    away.fault = () => "AWAY";
    const courier = run([away, there]);
    for (let minute = 0; minute < 60; minute++) {
      queue(`rule-${minute % 20}`, minute < 20 ? "firing" : minute < 40 ? "resolved" : "firing", { receivers: [away, there] });
      outbox.announce();
      await clock.advance(60_000);
    }
    expect(there.taken).toHaveLength(60);
    expect(away.taken).toEqual([]);
    expect(courier.stats()[0]).toMatchObject({ waiting: 60, givenUp: 0 });
    // Bounded: not an attempt per second.
    expect(away.attempts).toBeLessThan(700);
    away.fault = () => undefined;
    await clock.advance(15_000);
    expect(away.taken.toSorted()).toEqual(there.taken.toSorted());
    for (let rule = 0; rule < 20; rule++)
      expect(away.taken.filter((one) => one.startsWith(`rule-${rule} `))).toEqual([
        `rule-${rule} firing`,
        `rule-${rule} resolved`,
        `rule-${rule} firing`,
      ]);
    expect(courier.stats()[0]).toMatchObject({ waiting: 0, delivered: 60 });
  });

  it("lets one notification that is refused hold up its own alert only", async () => {
    const receiver = new Fake("hook");
    receiver.fault = (batch) => (batch.some(({ rule, kind }) => rule === "poison" && kind === "firing") ? "REFUSED" : undefined);
    queue("poison", "firing", { receivers: [receiver] });
    queue("one", "firing", { receivers: [receiver] });
    queue("poison", "resolved", { receivers: [receiver] });
    queue("two", "firing", { receivers: [receiver] });
    run([receiver]);
    await clock.advance(5_000);
    expect(receiver.taken).toEqual(["one firing", "two firing"]);
    receiver.fault = () => undefined;
    await clock.advance(5 * 60_000);
    expect(receiver.taken).toEqual(["one firing", "two firing", "poison firing", "poison resolved"]);
  });

  it("puts one group in a delivery where the receiver wants that", async () => {
    const receiver = new Fake("hook", { oneGroup: true });
    for (const [rule, group] of [
      ["a", "orders"],
      ["b", "billing"],
      ["c", "orders"],
    ] as const)
      queue(rule, "firing", { receivers: [receiver], group });
    run([receiver]);
    await clock.advance(10);
    expect(receiver.batches).toEqual([2, 1]);
    expect(receiver.taken).toEqual(["a firing", "c firing", "b firing"]);
  });

  it("brings what is queued while it rests at once", async () => {
    const receiver = new Fake("hook");
    run([receiver]);
    await clock.advance(3_000);
    queue("late", "firing", { receivers: [receiver] });
    outbox.announce();
    await clock.advance(0);
    expect(receiver.taken).toEqual(["late firing"]);
  });

  it("tells again what fires, and nothing whose news is still on its way", async () => {
    const receiver = new Fake("alertmanager", { repeatEveryMs: 60_000 });
    const firing = (rule: string): Notification => ({
      id: `id-${rule}`,
      kind: "firing",
      fingerprint: rule,
      rule,
      subject: {},
      severity: "page",
      group: "orders",
      summary: "",
      evidence: {},
      startsAtMs: 1,
    });
    receiver.fault = (batch) => (batch[0]?.rule === "ended" ? "REFUSED" : undefined);
    queue("ended", "resolved", { receivers: [receiver] });
    run([receiver], () => [firing("stays"), firing("ended")]);
    await clock.advance(59_000);
    expect(receiver.repeated).toEqual([["id-stays"]]);
    await clock.advance(60_000);
    expect(receiver.repeated).toEqual([["id-stays"], ["id-stays"]]);
  });

  it("gives up the oldest beyond its limit, counts them, and tells the receiver how many", async () => {
    const small = new Outbox(file, { mostWaiting: 3 });
    const receiver = new Fake("hook");
    const givenUp = ["a", "b", "c", "d", "e"].map((rule) => queue(rule, "firing", { receivers: [receiver], from: small }));
    expect(givenUp).toEqual([0, 0, 0, 1, 1]);
    run([receiver]);
    await clock.advance(10);
    expect(receiver.taken).toEqual(["c firing", "d firing", "e firing"]);
    expect(receiver.givenUp).toEqual([2]);
    expect(outbox.facts("hook", clock.wallMs()).givenUp).toBe(0);
  });

  it("gives up what is a week old when something new comes", () => {
    const receiver = new Fake("hook");
    queue("old", "firing", { receivers: [receiver] });
    clock.jumpWall(7 * 24 * HOUR_MS + 1);
    expect(queue("new", "firing", { receivers: [receiver] })).toBe(1);
  });

  it("does not wait for a time that is far away because the clock was set back", async () => {
    const receiver = new Fake("hook");
    receiver.fault = () => "REFUSED";
    queue("a", "firing", { receivers: [receiver] });
    run([receiver]);
    await clock.advance(1_000);
    clock.jumpWall(-24 * HOUR_MS);
    receiver.fault = () => undefined;
    await clock.advance(30_000);
    expect(receiver.taken).toEqual(["a firing"]);
  });

  it("ends with a bug of a receiver instead of going on", async () => {
    const receiver = new Fake("hook");
    const bug = new Error("a bug");
    receiver.fault = () => bug;
    queue("a", "firing", { receivers: [receiver] });
    run([receiver, new Fake("other")]);
    await expect(running).rejects.toBe(bug);
  });

  it("drops what is owed to a receiver that is no longer configured", () => {
    queue("a", "firing", { receivers: [new Fake("kept"), new Fake("gone")] });
    expect(outbox.keepOnly(["kept"])).toBe(1);
    expect(outbox.facts("kept", clock.wallMs()).waiting).toBe(1);
    expect(outbox.keepOnly([])).toBe(1);
  });
});
