import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Config, StoreConfig } from "../config/config.ts";
import { testConfig } from "../gateway/testing/gateway-fixture.ts";
import { SqliteLeaseStore } from "../cluster/sqlite-lease-store.ts";
import { runControlRole } from "./control-role.ts";

let stateDir: string;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tidemark-control-"));
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

function config(): Config {
  const plain = testConfig({ stateDir });
  const stores = Object.fromEntries(
    Object.entries(plain.stores).map(([name, store]): [string, StoreConfig] => [
      name,
      { ...store, passwordFile: join(stateDir, "password") },
    ]),
  );
  return { ...plain, stores };
}

test("control ends when its lease store has stopped after a fault, so that it is started again and recovers it (FAIL-STOP)", async () => {
  const path = join(stateDir, "control", "lease-store.sqlite");
  await mkdir(join(stateDir, "control"));
  new SqliteLeaseStore(path, systemClock).close();
  const file = new DatabaseSync(path);
  file.exec("INSERT INTO entry (key, value, revision) VALUES ('cluster/orders', 'cut of', 1)");
  file.close();
  const running = runControlRole({
    config: config(),
    logger: silentLogger,
    clock: systemClock,
    random: systemRandom,
    signal: AbortSignal.timeout(10_000),
  });
  await expect(running).rejects.toMatchObject({ code: "TM-CLUSTER-LEASE-STORE-AWAY" });
});

test("control ends without an error when it is asked to", async () => {
  const stop = new AbortController();
  const running = runControlRole({
    config: config(),
    logger: silentLogger,
    clock: systemClock,
    random: systemRandom,
    signal: stop.signal,
    onReady: () => stop.abort(),
  });
  await expect(running).resolves.toBeUndefined();
});
