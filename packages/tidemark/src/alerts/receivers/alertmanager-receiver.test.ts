// Deliveries to a real Alertmanager (Debian's prometheus-alertmanager).
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OpenJudgement } from "../open-judgement.ts";
import { openJudgement } from "../open-judgement.ts";
import { AlertReceiverServer } from "../testing/alert-receiver-server.ts";
import { hasAlertmanager, RunningAlertmanager } from "../testing/running-alertmanager.ts";
import { exposureOfTest } from "../testing/sample-observation.ts";
import { alertmanagerReceiver, postableAlert } from "./alertmanager-receiver.ts";

interface Hooked {
  readonly status: "firing" | "resolved";
  readonly alerts: readonly { readonly status: string; readonly labels: Record<string, string>; readonly startsAt: string }[];
}

describe("an alert for Alertmanager", () => {
  it("has its identity in labels that do not change while it fires, an end in the future while it does, and the true one after", () => {
    const clock = new ManualClock(1_700_000_000_000);
    const notification = {
      id: "f-1",
      kind: "firing" as const,
      fingerprint: "0123456789abcdef",
      rule: "copy-lost",
      subject: { service: "orders", store: "orders-db", copy: "pg2" },
      severity: "ticket" as const,
      owner: "shop",
      group: "orders",
      summary: "gone",
      evidence: { why: "x", everSeen: true },
      startsAtMs: 1_699_999_990_000,
    };
    const options = { deployment: "prod", runbooks: "https://runbooks.example", holdsMs: 60_000, clock };
    expect(postableAlert(notification, options)).toEqual({
      labels: {
        alertname: "copy-lost",
        deployment: "prod",
        severity: "ticket",
        service: "orders",
        store: "orders-db",
        copy: "pg2",
        owner: "shop",
      },
      annotations: {
        summary: "gone",
        description: "why: x\neverSeen: true",
        runbook_url: "https://runbooks.example/copy-lost.md",
        notification_id: "f-1",
      },
      startsAt: "2023-11-14T22:13:10.000Z",
      endsAt: "2023-11-14T22:14:20.000Z",
    });
    const ended = postableAlert({ ...notification, kind: "resolved", endsAtMs: 1_699_999_980_000 }, options);
    expect(ended.endsAt).toBe(ended.startsAt);
  });
});

describe("a bearer token for Alertmanager", () => {
  it("is read from its file for each delivery, sent, and printed nowhere when it is refused", async () => {
    const place = await mkdtemp(join(tmpdir(), "tidemark-bearer-"));
    const server = await AlertReceiverServer.start();
    try {
      const bearerFile = join(place, "token");
      const receiver = alertmanagerReceiver({
        name: "alertmanager",
        url: new Redacted(server.url),
        bearerFile,
        deployment: "test",
        runbooks: "https://runbooks.example",
        clock: systemClock,
      });
      const terms = { signal: new AbortController().signal, givenUp: 0 };
      await expect(receiver.deliver([], terms)).rejects.toMatchObject({ code: "TM-ALERT-SECRET" });
      await writeFile(bearerFile, "t0ken-first\n");
      await receiver.deliver([], terms);
      await writeFile(bearerFile, "t0ken-second\n");
      server.answer = (response) => response.writeHead(401).end();
      const error: unknown = await receiver.deliver([], terms).catch((reason: unknown) => reason);
      expect(server.requests.map(({ path, headers }) => [path, headers.authorization])).toEqual([
        ["/api/v2/alerts", "Bearer t0ken-first"],
        ["/api/v2/alerts", "Bearer t0ken-second"],
      ]);
      expect(error).toMatchObject({ code: "TM-ALERT-RECEIVER-REFUSED" });
      expect(inspect(error, { depth: 10 }) + inspect(receiver, { depth: 10 })).not.toContain("t0ken");
    } finally {
      await server.stop();
      await rm(place, { recursive: true, force: true });
    }
  });
});

describe.runIf(hasAlertmanager)("Alertmanager", () => {
  let place: string;
  let hook: AlertReceiverServer;
  let alertmanager: RunningAlertmanager;
  let judgement: OpenJudgement;
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(async () => {
    place = await mkdtemp(join(tmpdir(), "tidemark-alertmanager-"));
    hook = await AlertReceiverServer.start();
    alertmanager = await RunningAlertmanager.make(join(place, "alertmanager"), hook.url);
    await alertmanager.start();
    start();
  });
  afterEach(async () => {
    await end();
    await alertmanager.kill();
    await hook.stop();
    await rm(place, { recursive: true, force: true });
  });

  function start(): void {
    judgement = openJudgement({
      file: join(place, "alerts.sqlite"),
      settings: {
        services: { orders: { owner: "shop", stores: [] } },
        rules: { "exposure-rising": { off: true }, "exposure-above-objective": { keepMs: 0 } },
      },
      receivers: [
        alertmanagerReceiver({
          name: "alertmanager",
          url: new Redacted(`${alertmanager.url}/`),
          deployment: "test",
          runbooks: "https://runbooks.example",
          repeatEveryMs: 150,
          holdsMs: 3_000,
          clock: systemClock,
        }),
      ],
      world: { clock: systemClock, random: systemRandom, logger: silentLogger, audit: { append: () => Promise.resolve() } },
    });
    stop = new AbortController();
    running = judgement.courier.run(stop.signal);
  }
  async function end(): Promise<void> {
    stop.abort();
    await running;
    judgement.close();
  }
  function observe(exposureMs: number): void {
    const atMs = systemClock.wallMs();
    judgement.engine.observe(atMs, { exposures: [exposureOfTest({ exposureMs, rpoMs: 60_000, atMs })], stores: [], vaults: [] });
  }
  const hooked = (status: Hooked["status"]): Hooked[] =>
    hook.requests.map(({ body }) => JSON.parse(body) as Hooked).filter((one) => one.status === status);
  async function untilRepeated(times: number): Promise<void> {
    const before = judgement.courier.stats()[0]?.repeated ?? 0;
    while ((judgement.courier.stats()[0]?.repeated ?? 0) < before + times) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  it("hears of a breach within 2 seconds, holds it while it is repeated, and hears of its end", async () => {
    const observedMs = performance.now();
    observe(90_000);
    await hook.until(() => hooked("firing").length > 0);
    expect(performance.now() - observedMs).toBeLessThan(2_000);
    const first = (await alertmanager.active())[0];
    expect(first?.labels).toEqual({
      alertname: "exposure-above-objective",
      deployment: "test",
      severity: "page",
      service: "orders",
      scenario: "node-loss",
      owner: "shop",
    });
    await untilRepeated(10);
    const later = (await alertmanager.active())[0];
    expect(Date.parse(later?.endsAt ?? "")).toBeGreaterThan(Date.parse(first?.endsAt ?? ""));
    expect(later?.startsAt).toBe(first?.startsAt);
    observe(0);
    await hook.until(() => hooked("resolved").length > 0);
    expect(await alertmanager.active()).toEqual([]);
    expect(hooked("firing")).toHaveLength(1);
  });

  it("hears what happened while it was away, and again of what fires, after it was killed and forgot", async () => {
    observe(90_000);
    await hook.until(() => hooked("firing").length > 0);
    await alertmanager.kill();
    const breach = { service: "billing", exposureMs: 90_000, rpoMs: 60_000 };
    const atMs = systemClock.wallMs();
    const exposures = [exposureOfTest({ exposureMs: 90_000, rpoMs: 60_000, atMs }), exposureOfTest({ ...breach, atMs })];
    judgement.engine.observe(atMs, { exposures, stores: [], vaults: [] });
    while ((judgement.courier.stats()[0]?.failed ?? 0) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await alertmanager.start();
    const held = async (): Promise<string[]> => (await alertmanager.active()).map(({ labels }) => labels["service"] ?? "").toSorted();
    while ((await held()).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await held()).toEqual(["billing", "orders"]);
  });

  it("keeps one alert, with its beginning, over a restart of the process that judges", async () => {
    observe(90_000);
    await hook.until(() => hooked("firing").length > 0);
    const before = (await alertmanager.active())[0];
    await end();
    start();
    observe(90_000);
    await untilRepeated(2);
    const after = await alertmanager.active();
    expect(after.map(({ startsAt }) => startsAt)).toEqual([before?.startsAt]);
    expect(hooked("firing")).toHaveLength(1);
  });
});
