import { execFile } from "node:child_process";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openAuditLog, type AuditLog } from "./audit-log.ts";
import { verifyAuditLog } from "./verify-audit-log.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-audit-"));
  file = join(folder, "audit.jsonl");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function written(entries: number): Promise<void> {
  const log = await openAuditLog({ file, clock: systemClock });
  for (let n = 1; n <= entries; n++)
    await log.append({
      who: "user:ann",
      action: "discard-write",
      subject: `orders/${n}`,
      reason: "wrong customer – verified",
      facts: { sequence: n },
    });
  await log.close();
}

describe("the audit log", () => {
  it("keeps who, what, why and when, chained from the first entry to the last", async () => {
    await written(3);
    const verdict = await verifyAuditLog(file);
    expect(verdict).toMatchObject({ whole: true, faults: [], tornBytes: 0, head: { seq: 3 } });
    expect(verdict.entries[1]).toMatchObject({
      v: 1,
      seq: 2,
      who: "user:ann",
      action: "discard-write",
      subject: "orders/2",
      reason: "wrong customer – verified",
      facts: { sequence: 2 },
    });
    expect(verdict.entries[1]?.prev).toBe(verdict.entries[0]?.hash);
  });

  it("finds every single flipped byte", async () => {
    await written(3);
    const bytes = await readFile(file);
    const missed: number[] = [];
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      await writeFile(file, changed);
      if ((await verifyAuditLog(file)).whole) missed.push(at);
    }
    expect(missed).toEqual([]);
  });

  it("finds a removed, a repeated, a swapped and a rehashed line, and names the first", async () => {
    await written(4);
    const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
    const check = async (changed: (string | undefined)[]): Promise<number | undefined> => {
      await writeFile(file, changed.map((line) => `${line}\n`).join(""));
      const verdict = await verifyAuditLog(file);
      expect(verdict.whole).toBe(false);
      return verdict.faults[0]?.line;
    };
    for (let gone = 0; gone < 3; gone++) expect(await check(lines.toSpliced(gone, 1))).toBe(gone + 1);
    expect(await check([lines[0], lines[0], lines[1], lines[2], lines[3]])).toBe(2);
    expect(await check([lines[0], lines[2], lines[1], lines[3]])).toBe(2);
    const forged = JSON.parse(lines[1] ?? "") as Record<string, unknown>;
    expect(await check([lines[0], JSON.stringify({ ...forged, who: "user:eve" }), lines[2], lines[3]])).toBe(2);
  });

  it("finds a log that was cut short, by its head file, and by an anchor when that was changed too", async () => {
    await written(3);
    const { head } = await verifyAuditLog(file);
    const lines = (await readFile(file, "utf8")).split("\n");
    await writeFile(file, `${lines.slice(0, 2).join("\n")}\n`);
    expect((await verifyAuditLog(file)).faults).toEqual([
      { line: 0, what: "the log ends at entry 2, the head file says that it reached 3" },
    ]);
    const second = JSON.parse(lines[1] ?? "") as { hash: string };
    await writeFile(`${file}.head`, `2 ${second.hash}\n`);
    expect((await verifyAuditLog(file)).whole).toBe(true);
    expect((await verifyAuditLog(file, { anchor: head })).whole).toBe(false);
  });

  it("cuts a torn tail before it goes on, and keeps it as evidence", async () => {
    await written(2);
    await appendFile(file, '{"action":"promo');
    expect(await verifyAuditLog(file)).toMatchObject({ whole: true, tornBytes: 16 });
    await written(1);
    const verdict = await verifyAuditLog(file);
    expect(verdict).toMatchObject({ whole: true, tornBytes: 0, head: { seq: 4 } });
    expect(verdict.entries[2]).toMatchObject({
      who: "audit-log",
      action: "cut-torn-tail",
      facts: { bytes: 16, base64: Buffer.from('{"action":"promo').toString("base64") },
    });
  });

  it("refuses to chain to a damaged end, and to begin anew where a log is gone", async () => {
    await written(2);
    const bytes = await readFile(file);
    bytes[bytes.length - 20] = 0x41;
    await writeFile(file, bytes);
    await expect(written(1)).rejects.toMatchObject({ code: "TM-PROOF-AUDIT-DAMAGED" });
    await rm(file);
    await expect(written(1)).rejects.toMatchObject({ code: "TM-PROOF-AUDIT-DAMAGED" });
  });

  it("refuses an entry that is too large and one that JSON cannot hold, and goes on after it", async () => {
    const log = await openAuditLog({ file, clock: systemClock });
    const record = { who: "control", action: "promote", subject: "orders/pg2", reason: "primary lost" };
    await expect(log.append({ ...record, reason: "x".repeat(70_000) })).rejects.toMatchObject({ code: "TM-PROOF-AUDIT-TOO-LARGE" });
    await expect(log.append({ ...record, facts: { rto: Number.NaN } })).rejects.toMatchObject({ code: "TM-PROOF-CANONICAL" });
    expect((await log.append(record)).seq).toBe(1);
    await log.close();
  });

  it("stops after a failed write, because whether the entry stands is not known (FAIL-STOP)", async () => {
    const log: AuditLog = await openAuditLog({ file: join(folder, "audit.jsonl"), clock: systemClock });
    await log.append({ who: "control", action: "promote", subject: "orders/pg2", reason: "primary lost" });
    // The head cannot be replaced by a file where a folder stands.
    await rm(`${file}.head`);
    const { mkdir } = await import("node:fs/promises");
    await mkdir(join(`${file}.head`, "in-the-way"), { recursive: true });
    await expect(log.append({ who: "control", action: "promote", subject: "orders/pg1", reason: "primary lost" })).rejects.toMatchObject({
      code: "TM-PROOF-AUDIT-STOPPED",
    });
    await rm(`${file}.head`, { recursive: true });
    await expect(log.append({ who: "control", action: "promote", subject: "orders/pg1", reason: "primary lost" })).rejects.toMatchObject({
      code: "TM-PROOF-AUDIT-STOPPED",
    });
    await log.close();
  });

  it("is absent, not damaged, before the first entry; a log that was taken away is noticed by its head file or an anchor", async () => {
    await expect(verifyAuditLog(file)).rejects.toMatchObject({ code: "TM-PROOF-AUDIT-IO" });
    expect(await verifyAuditLog(file, { mayBeAbsent: true })).toMatchObject({ absent: true, whole: true, entries: [] });
    const head = { seq: 1, hash: "0".repeat(64) };
    expect(await verifyAuditLog(file, { mayBeAbsent: true, anchor: head })).toMatchObject({ absent: true, whole: false });
    await written(1);
    await rm(file);
    expect(await verifyAuditLog(file, { mayBeAbsent: true })).toMatchObject({ absent: true, whole: false });
  });

  it("keeps one whole chain when several processes append at once, also when one is killed", async () => {
    const script = `
      const { openAuditLog } = await import(${JSON.stringify(new URL("./audit-log.ts", import.meta.url).href)});
      const { systemClock } = await import("@tidemark/kernel/platform/system-clock");
      const log = await openAuditLog({ file: process.argv[1], clock: systemClock });
      const n = Number(process.argv[2]);
      for (let i = 0; i < n; i++) await log.append({ who: "p" + process.pid, action: "test", subject: String(i), reason: "together" });
      await log.close();`;
    const run = promisify(execFile);
    const start = (entries: number): ReturnType<typeof run> =>
      run(
        process.execPath,
        [
          "--conditions=@tidemark/source",
          "--disable-warning=ExperimentalWarning",
          "--input-type=module",
          "-e",
          script,
          file,
          String(entries),
        ],
        { cwd: import.meta.dirname },
      );
    const victim = start(100_000);
    const killed = expect(victim).rejects.toMatchObject({ signal: "SIGKILL" });
    const others = [start(15), start(15)];
    await others[0];
    (victim as unknown as { child: { kill(signal: string): void } }).child.kill("SIGKILL");
    await Promise.all([killed, ...others]);
    await written(1);
    const verdict = await verifyAuditLog(file);
    expect(verdict).toMatchObject({ whole: true, faults: [] });
    // The victim got as far as it got; each of the others has all of its own in there.
    const byProcess = Map.groupBy(verdict.entries, (entry) => entry.who);
    const lengths = others.map((other) => byProcess.get(`p${(other as unknown as { child: { pid: number } }).child.pid}`)?.length);
    expect(lengths).toEqual([15, 15]);
  });
});
