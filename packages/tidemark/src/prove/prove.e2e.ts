import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SignedProof } from "../proofs/proof-body.ts";
import type { ProofReport } from "./report/report.ts";
import { listProcesses, readProcFile } from "./stack/process-facts.ts";

const main = fileURLToPath(new URL("../main.ts", import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidemark-prove-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Starts `tidemark` with the temporary folder of its own, so that what it leaves behind is seen. */
function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", main, ...args], {
    cwd: folder,
    env: { ...process.env, TMPDIR: folder, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  return { child, ended: once(child, "close").then(([code]) => ({ code: code as number | null, out, err })) };
}

/** Resolves when the prover says that it is at `phase`. */
async function reached(child: ChildProcess, ended: Promise<Ended>, phase: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on("data", (chunk: Buffer) => {
      if (chunk.toString().includes(phase)) resolve();
    });
    ended.then(({ err }) => reject(new Error(`ended before "${phase}": ${err}`)), reject);
  });
}

/** Processes that name the temporary folder: whatever of a stack is left. */
function left(): string[] {
  return listProcesses().flatMap(({ pid, state }) => {
    const line = readProcFile(pid, "cmdline")?.replaceAll("\0", " ");
    return state !== "Z" && line?.includes(folder) === true ? [line] : [];
  });
}

async function prove(...args: string[]): Promise<Ended & { report: ProofReport }> {
  const ended = await start([
    "prove",
    "--rate",
    "200",
    "--seconds",
    "6",
    "--seed",
    "1",
    "--json",
    "--output",
    join(folder, "proof"),
    ...args,
  ]).ended;
  expect(ended.out, ended.err).not.toBe("");
  return { ...ended, report: JSON.parse(ended.out) as ProofReport };
}

describe("tidemark prove", () => {
  it("kills a primary under load, finds every acknowledged write once, and leaves nothing behind", async () => {
    const { code, report } = await prove("--fault", "kill-primary");
    expect(report.verdict).toMatchObject({ outcome: "proven", named: {} });
    expect(code).toBe(0);
    expect(report.verdict.counts.found).toBeGreaterThan(800);
    expect(report.verdict.counts.rejected).toBeGreaterThan(0);
    expect(report.stack.epochAfter).toBeGreaterThan(report.stack.epochBefore);
    expect(report.stack.primaryAfter).not.toBe(report.stack.primaryBefore);
    expect(report.putBack).toMatchObject({ orders: 0, commits: 0 });
    expect(report.vault).toMatchObject({ caughtUp: true, gaps: [], faults: [] });
    expect(report.rto.ms).toBeLessThan(report.rto.targetMs);
    expect(left()).toEqual([]);
    expect(readdirSync(join(folder, "proof")).toSorted()).toEqual([
      "ledger.ndjson",
      "proof.json",
      "report.html",
      "report.json",
      "tidemark.yaml",
    ]);
    const verified = await start(["proof", "verify", join(folder, "proof", "proof.json")]).ended;
    expect(verified.code, verified.err).toBe(0);
  });

  it("completes a lagging standby from the vault: PostgreSQL loses nothing, the journal has nothing to put back", async () => {
    const { code, report } = await prove("--fault", "lagging-standby");
    expect(report.verdict, JSON.stringify(report.verdict.named)).toMatchObject({ outcome: "proven", named: {} });
    expect(code).toBe(0);
    expect(report.putBack).toMatchObject({ orders: 0, commits: 0 });
    expect(report.copies?.fromVault.orders).toBeGreaterThan(100);
    expect(report.copies?.committed).toBe((report.copies?.onStandby ?? 0) + (report.copies?.fromVault.orders ?? 0));
    expect(report.completion).toMatchObject({ from: "vault1" });
    expect(report.completion?.bytes).toBeGreaterThan(10_000);
    const proof = JSON.parse(readFileSync(join(folder, "proof", "proof.json"), "utf8")) as SignedProof;
    expect(proof.body.counts).toMatchObject({ fromVault: report.copies?.fromVault.orders, putBack: 0, forgotten: 0 });
  });

  it("goes on without a vault that was killed, and waits for it again without a gap in its WAL", async () => {
    const { code, report } = await prove("--fault", "kill-vault");
    expect(report.verdict, JSON.stringify(report.verdict.named)).toMatchObject({ outcome: "proven", named: {} });
    expect(code).toBe(0);
    expect(report.stack.epochAfter).toBe(report.stack.epochBefore);
    expect(report.vault).toMatchObject({ state: "streaming", caughtUp: true, gaps: [], faults: [] });
    expect(report.marks.healedMs).toBeDefined();
  });

  it("takes a vault that hangs out of the synchronous set, and says how long commits waited", async () => {
    const { code, report } = await prove("--fault", "hang-vault");
    expect(report.verdict, JSON.stringify(report.verdict.named)).toMatchObject({ outcome: "proven", named: {} });
    expect(code).toBe(0);
    expect(report.commitPause?.ms).toBeGreaterThan(1_000);
    // Less than until its connection times out: it is its silence that is noticed.
    expect(report.commitPause?.ms).toBeLessThan(6_000);
    expect(report.vault).toMatchObject({ state: "streaming", caughtUp: true, gaps: [] });
  });

  it("says how many commits PostgreSQL lost to a lagging standby without a vault, and that the journal put them back", async () => {
    const { code, report } = await prove("--fault", "lagging-standby-no-vault");
    expect(report.verdict).toMatchObject({ outcome: "proven", named: {} });
    expect(code).toBe(0);
    expect(report.putBack?.orders).toBeGreaterThan(100);
    expect(report.putBack?.commits).toBeGreaterThan(0);
  });

  it("states the loss of a journal in numbers and ends with 3", async () => {
    const { code, report } = await prove("--fault", "lose-journal");
    expect(report.verdict.outcome).toBe("loss-stated");
    expect(code).toBe(3);
    expect(report.verdict.counts.lost).toBeGreaterThan(0);
    expect(report.doomed?.orders).toBeGreaterThanOrEqual(report.verdict.counts.lost);
  });

  it("ends everything that it started when it is interrupted, whatever it is at", async () => {
    for (const phase of ["starting the stack", "load before the fault", "through the fault"]) {
      const { child, ended } = start([
        "prove",
        "--rate",
        "100",
        "--seconds",
        "6",
        "--json",
        "--output",
        join(folder, phase.replaceAll(" ", "-")),
      ]);
      await reached(child, ended, phase);
      child.kill("SIGINT");
      expect((await ended).code).toBe(130);
      expect(left()).toEqual([]);
    }
    expect(readdirSync(folder).filter((name) => !name.startsWith("."))).toEqual([]);
  });

  it("leaves no process behind when it is killed itself: the stack ends with it", async () => {
    const { child, ended } = start(["prove", "--rate", "100", "--seconds", "6", "--json", "--output", join(folder, "proof")]);
    await reached(child, ended, "load before the fault");
    child.kill("SIGKILL");
    await ended;
    await expect.poll(left, { timeout: 60_000 }).toEqual([]);
  });

  it("keeps what the stack said when it did not start, and says where", async () => {
    const run = start(["prove", "--output", join(folder, "proof")], { TIDEMARK_PG_BIN: join(folder, "nowhere") });
    const { code, err } = await run.ended;
    expect(code).toBe(75);
    expect(err).toContain("what the stack said lies in proof/logs");
    expect(err).toContain("TM-PROVE-STACK");
    expect(readdirSync(join(folder, "proof", "logs"))).toEqual(
      expect.arrayContaining(["up.log", "supervisor.log", "agent-pg1.log", "vault-vault1.log"]),
    );
    expect(left()).toEqual([]);
  });

  it("refuses what it cannot mean with the exit code for usage, before it starts anything", async () => {
    for (const args of [
      ["--fault", "kill-everyone"],
      ["--rate", "0"],
      ["--seconds", "x"],
      ["--all", "--fault", "none"],
      ["--all", "--keep"],
    ]) {
      const { code, err } = await start(["prove", ...args]).ended;
      expect([args, code]).toEqual([args, 64]);
      expect(err).toMatch(/^error: /m);
    }
    expect(left()).toEqual([]);
  });
});
