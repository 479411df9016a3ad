import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { describe, expect, it } from "vitest";
import { addLeaseStoreRoutes } from "../control/lease-store-routes.ts";
import { leaseStoreContract } from "./contract/lease-store-contract.ts";
import { HttpLeaseStore } from "./http-lease-store.ts";
import { roleServer } from "./role-server.ts";
import { SimulatedLeaseStore } from "./simulated/simulated-lease-store.ts";
import { SqliteLeaseStore } from "./sqlite-lease-store.ts";

const token = new Redacted("for tests");

async function served(): Promise<{ store: HttpLeaseStore; close: () => Promise<void>; port: number }> {
  const inner = new SqliteLeaseStore(":memory:", systemClock);
  const server = roleServer({ token, logger: silentLogger, open: new Set() });
  addLeaseStoreRoutes(server, inner);
  await server.listen({ host: "127.0.0.1", port: 0 });
  const { port } = server.server.address() as AddressInfo;
  return {
    store: new HttpLeaseStore({ address: { host: "127.0.0.1", port }, token, clock: systemClock }),
    port,
    close: async () => {
      await server.close();
      inner.close();
    },
  };
}

leaseStoreContract("simulated", async () => {
  const store = new SimulatedLeaseStore(systemClock);
  return { store, [Symbol.asyncDispose]: async () => store.close() };
});

leaseStoreContract("SQLite", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tidemark-lease-"));
  const store = new SqliteLeaseStore(join(folder, "lease.sqlite"), systemClock);
  return {
    store,
    [Symbol.asyncDispose]: async () => {
      store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
});

leaseStoreContract("HTTP", async () => {
  const it = await served();
  return { store: it.store, [Symbol.asyncDispose]: it.close };
});

describe("the SQLite lease store", () => {
  it("keeps what it acknowledged when it is opened again", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tidemark-lease-"));
    const path = join(folder, "lease.sqlite");
    const first = new SqliteLeaseStore(path, systemClock);
    const entry = await first.compareAndSet("k", 0, { epoch: 3 });
    first.close();
    const second = new SqliteLeaseStore(path, systemClock);
    expect(await second.read("k")).toEqual(entry);
    second.close();
    await rm(folder, { recursive: true });
  });

  it("lets one process alone use its file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tidemark-lease-"));
    const path = join(folder, "lease.sqlite");
    const first = new SqliteLeaseStore(path, systemClock);
    expect(() => new SqliteLeaseStore(path, systemClock)).toThrow(/locked/);
    first.close();
    await rm(folder, { recursive: true });
  });

  it("refuses a file of a format version that it does not know, and one that is none", async () => {
    const { DatabaseSync } = await import("node:sqlite");
    const folder = await mkdtemp(join(tmpdir(), "tidemark-lease-"));
    const newer = new DatabaseSync(join(folder, "newer.sqlite"));
    newer.exec("PRAGMA user_version = 9");
    newer.close();
    expect(() => new SqliteLeaseStore(join(folder, "newer.sqlite"), systemClock)).toThrow(/format version 9/);
    await writeFile(
      join(folder, "text.sqlite"),
      "this is no database, it is a text that is long enough to be read as a header of one, and to be none",
    );
    expect(() => new SqliteLeaseStore(join(folder, "text.sqlite"), systemClock)).toThrow();
    await rm(folder, { recursive: true });
  });

  it("stops after a fault instead of going on as if it might have worked (FAIL-STOP)", async () => {
    const store = new SqliteLeaseStore(":memory:", systemClock);
    store.close();
    await expect(store.read("k")).rejects.toMatchObject({ code: "TM-CLUSTER-LEASE-STORE-AWAY" });
    await expect(store.compareAndSet("k", 0, 1)).rejects.toMatchObject({ code: "TM-CLUSTER-LEASE-STORE-AWAY" });
  });
});

describe("the lease store over HTTP", () => {
  it("says away when nobody answers", async () => {
    const it = await served();
    await it.close();
    await expect(it.store.read("k")).rejects.toMatchObject({ code: "TM-CLUSTER-LEASE-STORE-AWAY" });
    await expect(it.store.compareAndSet("k", 0, 1)).rejects.toMatchObject({ code: "TM-CLUSTER-LEASE-STORE-AWAY" });
  });

  it("takes nobody without the token", async () => {
    const it = await served();
    const wrong = new HttpLeaseStore({ address: { host: "127.0.0.1", port: it.port }, token: new Redacted("guessed"), clock: systemClock });
    await expect(wrong.read("k")).rejects.toMatchObject({ code: "TM-CLUSTER-UNAUTHORIZED" });
    await it.close();
  });
});
