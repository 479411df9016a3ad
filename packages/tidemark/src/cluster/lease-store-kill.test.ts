// The one key that decides who reigns: what a compare-and-set answered stands, wherever its process is killed.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasCode } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HttpLeaseStore } from "./http-lease-store.ts";
import type { LeaseStore } from "./lease-store.ts";
import type { LeaseStoreStep } from "./testing/lease-store-process.ts";

const ENTRY = fileURLToPath(new URL("testing/lease-store-process.ts", import.meta.url));
const TOKEN = "for tests";
const KEY = "cluster/orders";

let folder: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-lease-kill-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) await killed(child);
  await rm(folder, { recursive: true, force: true });
});

async function start(killAt?: { step: LeaseStoreStep; change: number }): Promise<{ store: LeaseStore; child: ChildProcess }> {
  const orders = killAt === undefined ? [] : [killAt.step, String(killAt.change)];
  const child = fork(ENTRY, [join(folder, "lease.sqlite"), TOKEN, ...orders], {
    execArgv: ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"],
  });
  children.push(child);
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  const address = { host: "127.0.0.1", port };
  return { store: new HttpLeaseStore({ address, token: new Redacted(TOKEN), clock: systemClock, timeoutMs: 30_000 }), child };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

describe("the embedded lease store, killed", () => {
  it.each([
    ["right before a change", "before"],
    ["right after a change", "after"],
    ["right after its answer", "answered"],
  ] as const)("%s: what it answered stands, and one caller alone can go on from there (R1)", async (_, step) => {
    const first = await start({ step, change: 3 });
    await first.store.compareAndSet(KEY, 0, { epoch: 1, primary: "pg1" });
    await first.store.compareAndSet(KEY, 1, { epoch: 1, primary: "pg1", claim: "c1" });
    const change = { epoch: 2, primary: "pg2" };
    const answer = await first.store.compareAndSet(KEY, 2, change).catch((error: unknown) => error);
    await killed(first.child);
    if (step === "answered") expect(answer).toEqual({ key: KEY, revision: 3, value: change });
    else expect(hasCode(answer, "TM-CLUSTER-LEASE-STORE-AWAY")).toBe(true);
    const { store } = await start();
    const found = await store.read(KEY);
    // Not answered is not "not done": whoever asked reads again, and never repeats the change blindly.
    expect(found?.revision).toBe(step === "before" ? 2 : 3);
    if (step !== "before") expect(found?.value).toEqual(change);
    const both = await Promise.allSettled(["c1", "c2"].map((claim) => store.compareAndSet(KEY, found?.revision ?? 0, { epoch: 3, claim })));
    expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    await expect(store.compareAndSet(KEY, 2, change)).rejects.toMatchObject({ code: "TM-CLUSTER-CONFLICT" });
  });

  it("at any moment under load has every change that it answered, and gives no revision twice", async () => {
    const answered = new Map<number, string>();
    let running = await start();
    for (let round = 0; round < 3; round++) {
      const { store, child } = running;
      let changes = 0;
      const writers = Array.from({ length: 4 }, async (_, writer) => {
        try {
          for (let n = 0; ; n++) {
            const revision = (await store.read(KEY))?.revision ?? 0;
            const value = `${round}/${writer}/${n}`;
            const entry = await store.compareAndSet(KEY, revision, value).catch((error: unknown) => {
              if (hasCode(error, "TM-CLUSTER-CONFLICT")) return undefined;
              throw error;
            });
            if (entry === undefined) continue;
            expect(answered.has(entry.revision)).toBe(false);
            answered.set(entry.revision, value);
            if (++changes === 10 + round * 10) void killed(child);
          }
        } catch (error) {
          if (!hasCode(error, "TM-CLUSTER-LEASE-STORE-AWAY")) throw error;
        }
      });
      await Promise.all(writers);
      await killed(child);
      running = await start();
      const found = await running.store.read(KEY);
      const newest = Math.max(...answered.keys());
      // One change more may stand: the one that was in hand.
      expect(found?.revision).toBeGreaterThanOrEqual(newest);
      if (found?.revision === newest) expect(found.value).toBe(answered.get(newest));
    }
    expect(answered.size).toBeGreaterThan(40);
  }, 120_000);
});
