// Control and a gateway with gateway.tls, which it asks for its part of the status, for the journal's figures and for the lives of writes.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@tidemark/kernel/logger";
import { freePorts } from "@tidemark/kernel/platform/free-ports";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HAS_OPENSSL, chainedCertificate, ownCertificate, type CertificateFiles } from "../cluster/testing/certificates.ts";
import type { Config, StoreConfig } from "../config/config.ts";
import { runGatewayRole } from "../gateway/gateway-role.ts";
import { testConfig } from "../gateway/testing/gateway-fixture.ts";
import { readSecret } from "../platform/secret-files.ts";
import { runControlRole } from "./control-role.ts";

/** Of the journal's figures the one that has a metric. Nothing was written. */
const BACKLOG = /^tidemark_consumer_lag_messages\{[^}]*consumer="applier"[^}]*\} (\S+)$/m;
const LOOKED_AT = /^tidemark_probe_up\{[^}]*journal gateway[^}]*\} (\d)$/m;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-control-tls-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Control {
  readonly get: (path: string) => Promise<{ readonly status: number; readonly text: string }>;
  /** The page of metrics after the gateway was looked at. */
  readonly metrics: () => Promise<string>;
}

/** `work` with a gateway that serves `served`, and control that was given `configured`; then both end. */
async function withRoles(served: CertificateFiles, configured: CertificateFiles, work: (control: Control) => Promise<void>): Promise<void> {
  const [gatewayPort = 0, controlPort = 0] = await freePorts(2);
  const config = (tls: CertificateFiles): Config => {
    const { stores, commands, control, ...plain } = testConfig({ stateDir: folder, gateway: { port: gatewayPort, tls } });
    return {
      ...plain,
      stores: { orders: stores["orders"] as StoreConfig },
      observed: { orders: { canary: "positions", copies: [] } },
      commands: Object.fromEntries(Object.entries(commands).filter(([, { store }]) => store === "orders")),
      control: { ...control, port: controlPort },
    };
  };
  const stop = new AbortController();
  const world = { logger: silentLogger, clock: systemClock, random: systemRandom, signal: stop.signal };
  const running: Promise<void>[] = [];
  const start = (run: (onReady: () => void) => Promise<void>): Promise<void> =>
    new Promise((resolve, reject) => {
      const role = run(resolve);
      running.push(role);
      role.catch(reject);
    });
  try {
    await start((onReady) => runGatewayRole({ ...world, config: config(served), onReady }));
    await start((onReady) => runControlRole({ ...world, config: config(configured), onReady }));
    const token = (await readSecret(join(folder, "internal.token")))?.reveal() ?? "";
    const get: Control["get"] = async (path) => {
      const response = await fetch(`http://127.0.0.1:${controlPort}${path}`, { headers: { authorization: `Bearer ${token}` } });
      return { status: response.status, text: await response.text() };
    };
    const metrics = async (): Promise<string> => {
      let page = "";
      await expect.poll(async () => (page = (await get("/metrics")).text), { timeout: 20_000, interval: 50 }).toMatch(LOOKED_AT);
      return page;
    };
    await work({ get, metrics });
  } finally {
    stop.abort();
    await Promise.allSettled(running);
  }
}

describe.runIf(HAS_OPENSSL)("control and a gateway that serves HTTPS", () => {
  it("knows what that says where it serves the configured certificate", async () => {
    const own = ownCertificate(folder, "own");
    await withRoles(own, own, async ({ get, metrics }) => {
      expect(JSON.parse((await get("/v1/status")).text)).toMatchObject({ gateway: { role: "gateway", accepting: true } });
      const lives = await get("/v1/write-lives");
      expect(lives.status).toBe(200);
      expect(JSON.parse(lives.text)).toMatchObject({ sample: [], slowest: [], unfollowed: 0 });
      const page = await metrics();
      expect(LOOKED_AT.exec(page)?.[1]).toBe("1");
      expect(BACKLOG.exec(page)?.[1]).toBe("0");
    });
  });

  it("knows nothing of it, and why, where it serves another one, also of the same authority", async () => {
    const [own, other] = [await chainedCertificate(folder, "own"), await chainedCertificate(folder, "other")];
    await withRoles(other, own, async ({ get, metrics }) => {
      const why = expect.stringContaining("it serves another certificate than gateway.tls names") as string;
      const { gateway } = JSON.parse((await get("/v1/status")).text) as { gateway: unknown };
      expect(gateway).toEqual({ unknown: true, why });
      const lives = await get("/v1/write-lives");
      expect(lives.status).toBe(503);
      expect(JSON.parse(lives.text)).toMatchObject({ code: "TM-CLUSTER-GATEWAY-AWAY", detail: why });
      const page = await metrics();
      expect(LOOKED_AT.exec(page)?.[1]).toBe("0");
      expect(page).not.toMatch(BACKLOG);
    });
  });
});
