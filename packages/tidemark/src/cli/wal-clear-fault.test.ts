import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { freePort } from "@tidemark/postgres/testing/cluster-fixture";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { verifyAuditLog } from "../audit/verify-audit-log.ts";
import { roleServer } from "../cluster/role-server.ts";
import { describeVault } from "../vault/describe-vault.ts";
import { VaultMetrics } from "../vault/vault-metrics.ts";
import { addVaultRoutes } from "../vault/vault-server.ts";
import { newVaultFile, readVaultFile, writeVaultFile, type VaultFile } from "../vault/vault-file.ts";
import { Vault } from "../vault/vault.ts";
import { FixedSource } from "../vault/wal-source.ts";
import { runCommandLine } from "./command-line.ts";
import { makePaint } from "./terminal.ts";

const TOKEN = new Redacted("only-for-tests-of-clearing");
const point = (lsn: string): { timeline: Timeline; lsn: string } => ({ timeline: 1 as Timeline, lsn });
const range = { from: point("0/2000000"), to: point("0/3000000") };

let folder: string;
let vault: Vault;
let server: FastifyInstance;
let port: number;
let file: VaultFile;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-clear-"));
  file = {
    ...newVaultFile("orders", "vault1", systemRandom),
    faults: [
      { code: "TM-VAULT-GAP", what: "WAL is gone", range, sinceMs: 1 },
      { code: "TM-VAULT-CORRUPT", what: "bytes are not WAL", range, evidence: "diverged/x", sinceMs: 1 },
    ],
    gaps: [{ ...range, foundAtMs: 1 }],
    baseBackupWanted: { from: range.to, why: "WAL before it is missing", sinceMs: 1 },
  };
  await writeVaultFile(folder, file);
  const login = { user: "nobody", password: new Redacted("nothing") };
  const source = new FixedSource({ node: "pg1", host: "127.0.0.1", port: 1, login });
  const world = { clock: systemClock, logger: silentLogger, random: systemRandom };
  vault = await Vault.open({ store: "orders", name: "vault1", directory: folder, source, ...world });
  server = roleServer({ token: TOKEN, logger: silentLogger, open: new Set() });
  addVaultRoutes(server, { vault, status: () => describeVault(vault, {}), metrics: new VaultMetrics(() => describeVault(vault, {})) });
  port = await freePort();
  await server.listen({ host: "127.0.0.1", port });
  await writeConfig();
});
afterEach(async () => {
  await server.close();
  await vault.close();
  await rm(folder, { recursive: true, force: true });
});

async function writeConfig(): Promise<void> {
  await writeFile(join(folder, "token"), `${TOKEN.reveal()}\n`, { mode: 0o600 });
  await writeFile(
    join(folder, "tidemark.yaml"),
    `version: 1
name: clear-test
stateDir: state
services:
  orders: { tier: near-zero, stores: [orders], objectives: { process-loss: { rpo: 0, rto: 5s } } }
stores:
  orders:
    kind: postgresql
    database: orders
    user: orders
    nodes: { pg1: { address: 127.0.0.1:1, agent: 127.0.0.1:2 } }
    vaults: { vault1: { listen: 127.0.0.1:${port}, directory: . } }
control: { listen: 127.0.0.1:3, internalTokenFile: token }
`,
  );
}

async function clear(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: [] as string[], err: [] as string[] };
  const terminal = {
    out: (text: string) => void said.out.push(text),
    err: (text: string) => void said.err.push(text),
    paint: makePaint(false),
    columns: 80,
    interactive: false,
  };
  const code = await runCommandLine(["wal", "clear-fault", ...args, "--config", join(folder, "tidemark.yaml")], terminal);
  return { code, out: said.out.join("\n"), err: said.err.join("\n") };
}

async function audited(): Promise<object[]> {
  const entries: object[] = [];
  const state = join(folder, "state", "audit", "audit.jsonl");
  const text = await readFile(state, "utf8").catch(() => "");
  if (text !== "") expect(await verifyAuditLog(state)).toMatchObject({ faults: [] });
  for (const line of text.split("\n").filter((one) => one !== "")) entries.push(JSON.parse(line) as object);
  return entries;
}

describe("wal clear-fault", () => {
  it("clears the recorded faults of the code and nothing else, durably, with who and why in the audit log", async () => {
    const result = await clear("TM-VAULT-CORRUPT", "--reason", "the disk was replaced");
    expect(result).toMatchObject({ code: 0, err: "" });
    expect(result.out).toBe("✓ vault vault1 forgot 1 recorded TM-VAULT-CORRUPT");
    const now = await readVaultFile(folder, { store: "orders", vault: "vault1" });
    expect(now).toEqual({ ...file, faults: [file.faults[0]] });
    expect(await audited()).toMatchObject([
      {
        who: expect.stringMatching(/^user:.+/) as string,
        action: "clear-fault",
        subject: "orders/vault1 TM-VAULT-CORRUPT",
        reason: "the disk was replaced",
      },
    ]);
  });

  it("no longer asks for a base backup once the gap was seen to, and keeps the gap itself", async () => {
    expect(await clear("TM-VAULT-GAP", "--reason", "backed up", "--vault", "vault1")).toMatchObject({ code: 0 });
    const now = await readVaultFile(folder, { store: "orders", vault: "vault1" });
    expect(now?.baseBackupWanted).toBeUndefined();
    expect(now?.gaps).toEqual(file.gaps);
  });

  it("ends with 1 when nothing of the code was recorded, and changes nothing", async () => {
    const result = await clear("TM-VAULT-DIVERGED", "--reason", "why not");
    expect(result.code).toBe(1);
    expect(result.out).toContain("no recorded fault");
    expect(await readVaultFile(folder, { store: "orders", vault: "vault1" })).toEqual(file);
  });

  it.each([
    ["without a reason", ["TM-VAULT-GAP"]],
    ["with an empty reason", ["TM-VAULT-GAP", "--reason", " "]],
    ["with what is no code", ["TM-VAULT-NOTHING", "--reason", "why"]],
    ["for a vault that is not configured", ["TM-VAULT-GAP", "--reason", "why", "--vault", "vault9"]],
  ])("is refused %s, and nothing is audited or cleared", async (_what, args) => {
    expect((await clear(...args)).code).not.toBe(0);
    expect(await audited()).toEqual([]);
    expect(await readVaultFile(folder, { store: "orders", vault: "vault1" })).toEqual(file);
  });

  it("says that the vault does not answer, and so does the audit log", async () => {
    await server.close();
    const result = await clear("TM-VAULT-GAP", "--reason", "backed up");
    expect(result.code).toBe(75);
    expect(result.err).toContain("TM-VAULT-AWAY");
    expect(await audited()).toMatchObject([{ action: "clear-fault" }, { action: "clear-fault-failed" }]);
  });
});
