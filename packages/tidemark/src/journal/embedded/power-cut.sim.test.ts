import type { Sequence } from "@tidemark/kernel/brands";
import { hasCode } from "@tidemark/kernel/errors";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom, type Random } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { describe, expect, it } from "vitest";
import type { JournalConfig } from "../../config/config.ts";
import type { Journal, JournalEntry, JournalRecord } from "../journal.ts";
import { PowerCutFiles, type PlannedFault } from "../simulated/power-cut-files.ts";
import { journalConfig } from "../testing/journal-setup.ts";
import { openJournal } from "./open-journal.ts";

const DIRECTORY = "/journal";
const SEGMENT_BYTES = 8_192;
const WIDE = { records: 1_000, bytes: 1_000_000 };

/** What writers know: by sequence, what they were told to be safe. Never read by the journal. */
class Ledger {
  readonly acknowledged = new Map<bigint, string>();
  trimSafe = 0n;
  journal: string | undefined;
}

function open(files: PowerCutFiles, random: Random, changes: Partial<JournalConfig> = {}): Promise<Journal> {
  const config = journalConfig(DIRECTORY, {
    segmentBytes: SEGMENT_BYTES,
    quotaBytes: SEGMENT_BYTES * 12,
    healing: { windowMs: 1, atQuota: "shorten" },
    ...changes,
  });
  return openJournal({ config, files, random, clock: new ManualClock(), logger: silentLogger, defer: queueMicrotask });
}

/** Writers that append until `appends` are through or something fails; several at once. */
async function work(journal: Journal, ledger: Ledger, random: Random, appends: number): Promise<void> {
  ledger.journal = journal.id;
  let left = appends;
  const writer = async (): Promise<void> => {
    while (left-- > 0) {
      const entries = Array.from({ length: 1 + Math.floor(random.fraction() * 4) }, (): JournalEntry => ({
        kind: "write",
        key: `k${Math.floor(random.fraction() * 9)}`,
        acceptedAtMs: 1_600_000_000_000,
        payload: random.bytes(Math.floor(random.fraction() * 700)),
      }));
      const appended = await journal.append(entries);
      for (const [i, { sequence }] of appended.entries())
        ledger.acknowledged.set(sequence, Buffer.from(entries[i]?.payload ?? []).toString("hex"));
      if (random.fraction() < 0.2) {
        const upTo = appended[0]?.sequence ?? (0n as Sequence);
        if (upTo > ledger.trimSafe) ledger.trimSafe = upTo;
        journal.markTrimSafe(upTo);
      }
    }
  };
  const ended = await Promise.allSettled([writer(), writer(), writer()]);
  for (const end of ended) if (end.status === "rejected" && !expected(end.reason)) throw end.reason as Error;
}

const expected = (error: unknown): boolean =>
  hasCode(error, "TM-JOURNAL-UNKNOWN") || hasCode(error, "TM-JOURNAL-STOPPED") || hasCode(error, "TM-JOURNAL-FULL");

/** The checker: everything acknowledged and not trimmed is there as it was, without a gap. */
async function check(journal: Journal, ledger: Ledger): Promise<JournalRecord[]> {
  if (ledger.journal !== undefined) expect(journal.id).toBe(ledger.journal);
  const { oldest, durable } = journal.extent();
  expect(oldest).toBeLessThanOrEqual(ledger.trimSafe + 1n);
  const records: JournalRecord[] = [];
  for (let from = oldest; from <= durable;) {
    const some = await journal.read(from, durable, WIDE).catch((error: unknown) => {
      if (hasCode(error, "TM-JOURNAL-TRIMMED") && journal.extent().oldest > oldest) return [];
      throw error;
    });
    if (some.length === 0) return check(journal, ledger); // Trimmed meanwhile.
    records.push(...some);
    from = (from + BigInt(some.length)) as Sequence;
  }
  for (const [i, record] of records.entries()) expect(record.sequence).toBe(oldest + BigInt(i));
  for (const [sequence, payload] of ledger.acknowledged) {
    if (sequence < oldest) continue;
    const record = records[Number(sequence - oldest)];
    if (record === undefined) throw new Error(`record ${sequence} was acknowledged and is lost; durable is ${durable}`);
    expect(Buffer.from(record.payload).toString("hex")).toBe(payload);
  }
  return records;
}

/** One life with a fault at its n-th call, then recovery, twice. Returns whether the fault came. */
async function live(
  seed: number,
  fault: PlannedFault,
  options: { appends: number; after: "power" | "process"; changes?: Partial<JournalConfig> },
): Promise<boolean> {
  const random = seededRandom(seed);
  const files = new PowerCutFiles({ random });
  const ledger = new Ledger();
  files.plan(fault);
  let opened: Journal | undefined;
  try {
    opened = await open(files, random, options.changes);
    await work(opened, ledger, random, options.appends);
    await opened.close();
  } catch (error) {
    if (opened !== undefined) throw error;
  }
  const came = files.calls >= fault.call;
  if (options.after === "power") files.powerOn();
  else files.killProcess();
  const first = await open(files, random);
  const records = await check(first, ledger);
  // What recovery shows is acknowledged again by that: it must survive a power cut that comes at once.
  for (const record of records) ledger.acknowledged.set(record.sequence, Buffer.from(record.payload).toString("hex"));
  files.powerOn();
  const second = await open(files, random);
  ledger.journal = second.id;
  await check(second, ledger);
  await work(second, ledger, random, 6);
  await check(second, ledger);
  await second.close();
  files.powerOn();
  const third = await open(files, random);
  await check(third, ledger);
  await third.close();
  return came;
}

/** A cut in the middle of the work, another at the n-th call of the recovery. Returns whether that one came. */
async function interruptRecovery(seed: number, call: number): Promise<boolean> {
  const random = seededRandom(seed);
  const files = new PowerCutFiles({ random });
  const ledger = new Ledger();
  const journal = await open(files, random);
  files.plan({ call: 20 + (seed % 50), kind: "power-cut" });
  await work(journal, ledger, random, 40);
  files.powerOn();
  files.plan({ call, kind: "power-cut" });
  const before = files.calls;
  try {
    const again = await open(files, random);
    await check(again, ledger);
  } catch (error) {
    if (!files.isOff) throw error;
  }
  const came = files.calls - before >= call;
  files.powerOn();
  const last = await open(files, random);
  await check(last, ledger);
  await work(last, ledger, random, 5);
  await check(last, ledger);
  return came;
}

/** SQLite's way: the n-th call fails, n = 1, 2, 3 … until the work gets through. */
async function everyCall(
  seed: number,
  fault: (call: number) => PlannedFault,
  options: { appends: number; after: "power" | "process" },
): Promise<number> {
  for (let call = 1; ; call++) {
    try {
      if (!(await live(seed, fault(call), options))) return call - 1;
    } catch (error) {
      throw new Error(`seed ${seed}, call ${call}, after ${options.after}: ${String(error)}`, { cause: error });
    }
  }
}

const SEEDS = Array.from({ length: Number(process.env["TIDEMARK_SEEDS"] ?? 4) }, (_, i) => 1_000 + i);

describe("the journal when the power goes", () => {
  it("keeps everything that was acknowledged, at whatever call the power goes (ACK-DURABLE)", async () => {
    for (const seed of SEEDS)
      expect(await everyCall(seed, (call) => ({ call, kind: "power-cut" }), { appends: 24, after: "power" })).toBeGreaterThan(40);
  });

  it("keeps everything when the process is killed at any call and the power goes after the restart", async () => {
    for (const seed of SEEDS) await everyCall(seed, (call) => ({ call, kind: "power-cut" }), { appends: 24, after: "process" });
  }, 60_000);

  it("keeps everything when the power goes again at any call of the recovery", async () => {
    for (const seed of SEEDS) {
      for (let call = 1, came = true; came; call++) came = await interruptRecovery(seed, call);
    }
  }, 60_000);

  it("keeps everything when any call fails with EIO, and the process restarts without a power cut", async () => {
    for (const seed of SEEDS) await everyCall(seed, (call) => ({ call, kind: "error", code: "EIO" }), { appends: 24, after: "process" });
  }, 60_000);

  it("keeps everything when any call fails with EIO, and the machine restarts", async () => {
    for (const seed of SEEDS) await everyCall(seed, (call) => ({ call, kind: "error", code: "EIO" }), { appends: 24, after: "power" });
  }, 60_000);

  it("keeps everything when the disk is full at any call", async () => {
    for (const seed of SEEDS) await everyCall(seed, (call) => ({ call, kind: "error", code: "ENOSPC" }), { appends: 24, after: "power" });
  }, 60_000);
});
