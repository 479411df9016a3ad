import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Sequence } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { afterEach, expect, it } from "vitest";
import type { JournalConfig } from "../../config/config.ts";
import { journalConfig, temporaryDirectory } from "../testing/journal-setup.ts";
import { openJournal, openJournalReader } from "./open-journal.ts";
import { verifyJournal } from "./verify-journal.ts";

const PROCESS = fileURLToPath(new URL("../testing/append-process.ts", import.meta.url));
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function folder(): Promise<string> {
  const directory = await temporaryDirectory();
  cleanups.push(directory.remove);
  return join(directory.path, "journal");
}

const small = (directory: string): JournalConfig => journalConfig(directory, { segmentBytes: 65_536, quotaBytes: 1_073_741_824 });

/** Runs the appending process until `until` says so of the text that it has told, then kills it (kill -9). */
async function runAndKill(args: readonly string[], until: (told: number) => boolean): Promise<Map<bigint, string>> {
  const child = spawn(process.execPath, ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", PROCESS, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    if (until(text.length)) child.kill("SIGKILL");
  });
  const [, signal] = (await once(child, "close")) as [number | null, string | null];
  expect(signal).toBe("SIGKILL");
  const acknowledged = new Map<bigint, string>();
  for (const line of text.split("\n").slice(1, -1)) {
    const [sequence = "", payload = ""] = line.split(" ");
    acknowledged.set(BigInt(sequence), payload);
  }
  return acknowledged;
}

async function expectKept(directory: string, acknowledged: ReadonlyMap<bigint, string>): Promise<void> {
  const journal = await openJournal({ config: small(directory), clock: systemClock, random: systemRandom, logger: silentLogger });
  try {
    const { oldest, durable } = journal.extent();
    expect(oldest).toBe(1n);
    let next: bigint = oldest;
    let found = 0;
    while (next <= durable) {
      for (const record of await journal.read(next as Sequence, durable, { records: 1_000, bytes: 1_000_000 })) {
        expect(record.sequence).toBe(next++);
        const payload = acknowledged.get(record.sequence);
        if (payload === undefined) continue;
        expect(Buffer.from(record.payload).toString()).toBe(payload);
        found++;
      }
    }
    expect(found).toBe(acknowledged.size);
  } finally {
    await journal.close();
  }
}

it("has every acknowledged record after kill -9, again and again on the same folder", async () => {
  const directory = await folder();
  const all = new Map<bigint, string>();
  for (let round = 0; round < 5; round++) {
    const bytes = 2_000 + round * 150_000;
    for (const [sequence, payload] of await runAndKill([directory, "8"], (told) => told > bytes)) {
      expect(all.has(sequence)).toBe(false); // A sequence is never given twice.
      all.set(sequence, payload);
    }
    await expectKept(directory, all);
  }
  expect(all.size).toBeGreaterThan(1_000);
  expect(await verifyJournal({ directory })).toMatchObject({ whole: true, open: false });
}, 60_000);

it("has what it was about to acknowledge, and what it had just acknowledged, when it dies", async () => {
  for (const when of ["before", "after"]) {
    const directory = await folder();
    const acknowledged = await runAndKill([directory, "1", when, "40"], () => false);
    await expectKept(directory, acknowledged);
    const report = await verifyJournal({ directory });
    const told = [...acknowledged.keys()].reduce((most, sequence) => (sequence > most ? sequence : most), 0n);
    if (when === "before") expect(BigInt(report.newest)).toBeGreaterThan(told);
    else expect(BigInt(report.newest)).toBe(told);
  }
}, 60_000);

it("locks out a second process while the first lives, and takes over from one that was killed", async () => {
  const directory = await folder();
  const child = spawn(
    process.execPath,
    ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", PROCESS, directory, "1"],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  cleanups.push(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  });
  await once(child.stdout, "data");
  const open = (): ReturnType<typeof openJournal> =>
    openJournal({ config: small(directory), clock: systemClock, random: systemRandom, logger: silentLogger });
  await expect(open()).rejects.toMatchObject({ code: "TM-JOURNAL-LOCKED" });
  expect(await verifyJournal({ directory })).toMatchObject({ whole: true, open: true });
  const reader = await openJournalReader({ directory });
  expect((await reader.read(1n as Sequence, 1n as Sequence, { records: 1, bytes: 1 })).length).toBe(1);
  await reader.close();
  child.stdout.resume();
  child.kill("SIGKILL");
  await once(child, "exit");
  await (await open()).close();
}, 30_000);

it("is verified while a process writes it, over and over, without a false alarm", async () => {
  const directory = await folder();
  let done = false;
  let checks: Promise<number> | undefined;
  const watch = async (): Promise<number> => {
    let count = 0;
    try {
      for (; count < 20; count++) expect((await verifyJournal({ directory })).damage).toEqual([]);
    } finally {
      done = true;
    }
    return count;
  };
  await runAndKill([directory, "8"], (told) => {
    if (told > 1_000) checks ??= watch();
    return done;
  });
  expect(await checks).toBe(20);
}, 60_000);
