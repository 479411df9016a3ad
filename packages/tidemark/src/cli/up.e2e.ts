// `up`, `status`, `logs` and `down` as processes, with the real roles and a real PostgreSQL.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, cp, lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseLsn } from "@tidemark/kernel/lsn";
import { freePorts } from "@tidemark/kernel/platform/free-ports";
import { readRunFile, type RunFile } from "../platform/run-file.ts";
import { isAlive } from "../platform/process-identity.ts";
import type { DoctorReport } from "../doctor/doctor-report.ts";
import type { VaultStatus } from "../vault/vault-status.ts";
import type { StatusReport } from "./status-report.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));
const NODE = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", MAIN];

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-up-"));
  // PostgreSQL's user must be able to pass through, unless a test wants otherwise.
  await chmod(folder, 0o755);
  await makeConfig(folder);
});
afterEach(async () => {
  await tidemark("down", "--timeout", "60s");
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function tidemark(...args: string[]): Promise<Ended> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [...NODE, ...args], {
      cwd: folder,
      env: { ...process.env, NO_COLOR: "1" },
    });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

/** The example on ports that are free now. */
async function makeConfig(into: string): Promise<void> {
  const ports = await freePorts(7);
  const example = await readFile(join(EXAMPLES, "orders.yaml"), "utf8");
  const taken = [...ports];
  await writeFile(
    join(into, "tidemark.yaml"),
    example.replaceAll(/127\.0\.0\.1:74\d\d/g, () => `127.0.0.1:${taken.shift()}`).replace("quota: 1GiB", "quota: 64MiB"),
  );
  await cp(join(EXAMPLES, "orders.sql"), join(into, "orders.sql"));
}

async function running(): Promise<RunFile> {
  const run = await readRunFile(join(folder, ".tidemark"));
  expect(run).toBeDefined();
  return run as RunFile;
}

async function write(run: RunFile, customer: string): Promise<Response> {
  const token = (await readFile(join(folder, ".tidemark", "secrets", "app.token"), "utf8")).trim();
  return fetch(`${run.gatewayUrl}/v1/writes`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", prefer: "wait=20" },
    body: JSON.stringify({ command: "place-order", args: { customer, amount_cents: 100 }, idempotencyKey: `order-of-${customer}` }),
  });
}

async function restarted(name: string, before: number): Promise<RunFile> {
  for (;;) {
    const run = await running();
    const role = run.roles.find((one) => one.name === name);
    if (role !== undefined && role.state === "ready" && role.pid !== before) return run;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

interface VaultInStatus {
  readonly member: boolean;
  readonly status?: { readonly vault?: Partial<VaultStatus> };
}

/** What status says of the vault, once it is so. */
async function vaultThat(is: (vault: VaultInStatus) => boolean): Promise<VaultInStatus> {
  for (;;) {
    const report = JSON.parse((await tidemark("status", "--json")).out) as {
      control: { value?: { stores?: { orders?: { vaults?: VaultInStatus[] } } } };
    };
    const [vault] = report.control.value?.stores?.orders?.vaults ?? [];
    if (vault !== undefined && is(vault)) return vault;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function flushed(vault: VaultInStatus): string {
  return vault.status?.vault?.recoveryPoint?.flushedLsn ?? "0/0";
}

describe("tidemark up", () => {
  it("runs in the background, serves, brings back what dies, is refused a second time, and goes down whole", async () => {
    const up = await tidemark("up", "--detach");
    expect(up, up.err).toMatchObject({ code: 0, out: expect.stringContaining("everything is up") as string });
    const first = await running();
    expect((await write(first, "ann")).status).toBeLessThan(300);
    expect((await tidemark("status")).code).toBe(0);

    const gateway = first.roles.find((role) => role.name === "gateway")?.pid ?? 0;
    process.kill(gateway, "SIGKILL");
    const second = await restarted("gateway", gateway);
    expect(second.roles.find((role) => role.name === "gateway")).toMatchObject({ restarts: 1 });
    expect((await write(second, "bob")).status).toBeLessThan(300);

    const again = await tidemark("up");
    expect(again).toMatchObject({ code: 69, err: expect.stringMatching(new RegExp(`pid\\s+${first.supervisor.pid}`)) as string });
    expect((await tidemark("logs", "gateway", "-n", "5")).out).toContain("accepts writes");

    const report = JSON.parse((await tidemark("status", "--json")).out) as StatusReport;
    expect(report).toMatchObject({ supervisor: { state: "running" }, control: { known: true }, gateway: { known: true } });

    const doctor = await tidemark("doctor", "--json");
    const { exposureFrom, servers, findings, unknown } = JSON.parse(doctor.out) as DoctorReport;
    expect(servers.map(({ name, role }) => [name, role])).toEqual([
      ["pg1", "primary"],
      ["pg2", "standby"],
    ]);
    expect({ exposureFrom, unknown }).toEqual({ exposureFrom: "control", unknown: [] });
    // One machine is what the example has; its objective asks for no more.
    expect(findings.map(({ name, severity }) => `${name} ${severity}`)).toContain("copies-one-domain warning");
    expect(findings.filter(({ severity }) => severity === "critical")).toEqual([]);
    expect(doctor.code).toBe(0);

    expect((await tidemark("down")).code).toBe(0);
    expect(second.roles.filter((role) => role.pid !== 0 && isAlive(role))).toEqual([]);
    expect((await tidemark("down")).code).toBe(69);
    expect((await tidemark("status")).code).toBe(69);
  });

  it("runs the vault as a copy that commits wait for, brings it back, and shows what it has", async () => {
    const up = await tidemark("up", "--detach");
    expect(up, up.err).toMatchObject({ code: 0 });
    const first = await running();
    expect((await write(first, "ann")).status).toBeLessThan(300);
    const before = await vaultThat((vault) => vault.member && vault.status?.vault?.recoveryPoint?.commit !== undefined);
    const pid = first.roles.find((role) => role.name === "vault-vault1")?.pid ?? 0;
    process.kill(pid, "SIGKILL");
    await restarted("vault-vault1", pid);
    expect((await write(first, "bob")).status).toBeLessThan(300);
    const after = await vaultThat(
      (vault) => vault.member && parseLsn(flushed(vault)) > parseLsn(flushed(before)) && vault.status?.vault?.state === "streaming",
    );
    expect(after.status?.vault).toMatchObject({ gaps: [], identity: before.status?.vault?.identity });
    const status = await tidemark("status");
    expect(status.code, status.err).toBe(0);
    expect(status.out).toMatch(/vault1 +streaming +1 .*commits wait for it/);
    expect(status.out).toMatch(/in main +WAL to /);
    expect((await tidemark("logs", "vault-vault1", "-n", "1")).code).toBe(0);
  });

  it("comes up again after its supervisor was killed, with what was written", async () => {
    expect((await tidemark("up", "--detach")).code).toBe(0);
    const first = await running();
    expect((await write(first, "ann")).status).toBeLessThan(300);
    process.kill(first.supervisor.pid, "SIGKILL");
    const up = await tidemark("up", "--detach");
    expect(up, up.err).toMatchObject({ code: 0 });
    const second = await running();
    expect(second.supervisor.pid).not.toBe(first.supervisor.pid);
    const repeated = await write(second, "ann");
    expect(repeated.status).toBeLessThan(300);
    expect((await tidemark("audit", "verify")).code === 0 || (await tidemark("audit", "verify")).err.includes("ENOENT")).toBe(true);
  });

  it("stops in order on Ctrl-C, the vault with all WAL, and ends with 0", async () => {
    const child = spawn(process.execPath, [...NODE, "up"], {
      cwd: folder,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NO_COLOR: "1" },
    });
    let out = "";
    const isUp = new Promise<void>((resolve) => {
      child.stdout.on("data", (chunk: Buffer) => {
        out += chunk.toString();
        if (out.includes("everything is up")) resolve();
      });
    });
    await isUp;
    child.kill("SIGINT");
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(0);
    const stops = [...out.matchAll(/ (\S+) +stopped$/gm)].map((match) => match[1]);
    expect(stops[0]).toBe("gateway");
    expect(stops.slice(-2)).toEqual(["vault-vault1", "control"]);
    expect(stops).toHaveLength(5);
    // The vault received until PostgreSQL had ended: it has the shutdown checkpoint too, byte for byte.
    const wal = join(folder, ".tidemark", "vaults", "orders-vault1", "wal");
    const partial = (await readdir(wal)).find((name) => name.endsWith(".partial")) ?? "";
    const written = await readFile(join(folder, ".tidemark", "data", "pg1", "pg_wal", partial.replace(".partial", "")));
    expect((await readFile(join(wal, partial))).equals(written)).toBe(true);
  });

  it("leaves nothing running when a role cannot start at all, and says why", async () => {
    const config = await readFile(join(folder, "tidemark.yaml"), "utf8");
    await writeFile(join(folder, "token"), "known to all");
    await chmod(join(folder, "token"), 0o644);
    await writeFile(join(folder, "tidemark.yaml"), config.replace("control:\n", "control:\n  internalTokenFile: token\n"));
    const up = await tidemark("up", "--detach");
    expect(up).toMatchObject({ code: 70, err: expect.stringMatching(/every\s+user\s+of\s+this\s+machine\s+can\s+read\s+it/) as string });
    expect(await readRunFile(join(folder, ".tidemark"))).toBeUndefined();
  });

  it("says which port is in use and by which role it is needed, and starts nothing", async () => {
    const config = await readFile(join(folder, "tidemark.yaml"), "utf8");
    const port = Number(/control:\n {2}listen: 127\.0\.0\.1:(\d+)/.exec(config)?.[1]);
    const postgres = Number(/pg2: \{ address: 127\.0\.0\.1:(\d+)/.exec(config)?.[1]);
    const vault = Number(/vault1:\n +listen: 127\.0\.0\.1:(\d+)/.exec(config)?.[1]);
    const others = [port, postgres, vault].map((one) => createServer().listen(one, "127.0.0.1"));
    await Promise.all(others.map((other) => once(other, "listening")));
    try {
      const up = await tidemark("up", "--detach");
      expect(up.code).toBe(75);
      expect(up.err.replaceAll(/\s+/g, " ")).toContain(
        `something else listens on 127.0.0.1:${port} (control), 127.0.0.1:${vault} (vault-vault1), 127.0.0.1:${postgres} (PostgreSQL pg2)`,
      );
      expect(up.err).toContain("TM-PLATFORM-PORT-IN-USE");
      expect(await readRunFile(join(folder, ".tidemark"))).toBeUndefined();
    } finally {
      await Promise.all(others.map((other) => once(other.close(), "close")));
    }
  });

  it.runIf(process.getuid?.() === 0)(
    "runs below a home that is closed to PostgreSQL's user: data lies where that user can reach it",
    async () => {
      const home = join(folder, "home");
      await mkdir(home, { mode: 0o700 });
      await chown(home, 0, 0);
      for (const name of ["tidemark.yaml", "orders.sql"]) await cp(join(folder, name), join(home, name));
      const inHome = (...args: string[]): Promise<Ended> => tidemark(...args, "--config", join(home, "tidemark.yaml"));
      try {
        const up = await inHome("up", "--detach");
        expect(up, up.err).toMatchObject({ code: 0 });
        expect((await lstat(join(home, ".tidemark", "data"))).isSymbolicLink()).toBe(true);
        expect((await inHome("status")).code).toBe(0);
      } finally {
        expect((await inHome("down")).code).toBe(0);
        const { realpath } = await import("node:fs/promises");
        await rm(await realpath(join(home, ".tidemark", "data")), { recursive: true, force: true });
      }
    },
  );

  it("says what it is waiting for when the roles are ready and a store does not serve", async () => {
    expect((await tidemark("up", "--detach")).code).toBe(0);
    expect((await tidemark("down")).code).toBe(0);
    await rm(join(folder, ".tidemark", "control"), { recursive: true });
    const { code, out, err } = await tidemark("up", "--detach", "--timeout", "15s");
    expect(code).toBe(75);
    const words = "waiting for store orders: pg1 is waiting (the lease store is empty and this node has data)";
    expect(out.replaceAll(/\s+/g, " ")).toContain(words);
    expect(err.replaceAll(/\s+/g, " ")).toContain(words);
  });
});
