// kill -9 at every point between a transition and its delivery. The receiver is another process's (this one's), and counts.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redacted } from "@tidemark/kernel/redacted";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { verifyWebhook } from "./receivers/webhook-signature.ts";
import { AlertReceiverServer } from "./testing/alert-receiver-server.ts";
import type { ChildOrders } from "./testing/judgement-child.ts";

const CHILD = fileURLToPath(new URL("testing/judgement-child.ts", import.meta.url));
const KEY = "k".repeat(40);
const MOST_RUNS = 30;

let place: string;
let receiver: AlertReceiverServer;

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "tidemark-judgement-kill-"));
  await writeFile(join(place, "key"), `${KEY}\n`, { mode: 0o600 });
  receiver = await AlertReceiverServer.start();
});
afterEach(async () => {
  await receiver.stop();
  await rm(place, { recursive: true, force: true });
});

interface Run {
  readonly killed: boolean;
  readonly finished: boolean;
  readonly lastDone: number;
  readonly lastReached: string | undefined;
}

async function run(orders: ChildOrders): Promise<Run> {
  const child = spawn(
    process.execPath,
    ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", CHILD, JSON.stringify(orders)],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
  const [, signal] = (await once(child, "close")) as [number | null, string | null];
  const lines = said.split("\n");
  return {
    killed: signal === "SIGKILL",
    finished: lines.includes("finished"),
    lastDone: Number(lines.findLast((line) => line.startsWith("done "))?.slice(5) ?? orders.from - 1),
    lastReached: lines.findLast((line) => line.startsWith("reached "))?.slice(8),
  };
}

const orders = (over: Partial<ChildOrders>): ChildOrders => ({
  file: join(place, "alerts.sqlite"),
  url: `${receiver.url}/hook`,
  keyFile: join(place, "key"),
  baseMs: 1_700_000_000_000,
  from: 0,
  // A restart begins the time anew for which it has to be clear.
  to: 40,
  breach: [2, 5],
  ...over,
});

function expectEachOnce(): void {
  const { notifications } = receiver;
  const ids = new Map(notifications.map((notification) => [notification.id, notification]));
  expect([...ids.values()].map(({ kind, rule }) => `${rule} ${kind}`)).toEqual([
    "exposure-above-objective firing",
    "exposure-above-objective resolved",
  ]);
  const [began, ended] = [...ids.values()];
  expect(ended?.startsAt).toBe(began?.startsAt);
  for (const { headers, body } of receiver.requests)
    expect(verifyWebhook({ body, header: String(headers["tidemark-signature"]), key: new Redacted(KEY), nowMs: Date.now() })).toBe("valid");
}

describe("a process that judges", () => {
  it("loses no notification and doubles none, killed at each point in turn; only a lost answer repeats one, with its identity", async () => {
    const reached: string[] = [];
    for (let killAt = 1; killAt <= MOST_RUNS; killAt++) {
      receiver.requests.length = 0;
      const file = join(place, `alerts-${killAt}.sqlite`);
      const first = await run(orders({ file, killAt }));
      if (!first.killed) {
        expect(first.finished).toBe(true);
        expectEachOnce();
        expect(receiver.notifications).toHaveLength(2);
        expect(new Set(reached)).toEqual(new Set(["before-commit", "after-commit", "before-delivery", "after-delivery", "after-mark"]));
        return;
      }
      reached.push(first.lastReached ?? "");
      const second = await run(orders({ file, from: first.lastDone + 1 }));
      expect(second.finished, `after a kill at ${first.lastReached}`).toBe(true);
      expectEachOnce();
      expect(receiver.notifications, `after a kill at ${first.lastReached}`).toHaveLength(first.lastReached === "after-delivery" ? 3 : 2);
    }
    expect.unreachable("the process never ran to its end");
  }, 120_000);

  it("comes to the same end when it is killed again and again", async () => {
    let from = 0;
    for (let runs = 0; ; runs++) {
      expect(runs).toBeLessThan(MOST_RUNS);
      const one = await run(orders({ from, killAt: 3 }));
      from = one.lastDone + 1;
      if (!one.killed) break;
    }
    expectEachOnce();
  }, 120_000);
});
