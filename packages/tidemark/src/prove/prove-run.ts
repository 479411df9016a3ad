import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { FAULTS } from "./faults/fault-catalogue.ts";
import type { Fault, Injected } from "./faults/fault.ts";
import type { FaultName } from "./faults/fault-name.ts";
import type { LedgerEntry } from "./ledger/ledger-entry.ts";
import { readLedger } from "./ledger/ledger-reader.ts";
import { LoadHandle } from "./load/load-handle.ts";
import type { ProgressListener } from "./phases.ts";
import { gather, type Evidence } from "./stack/evidence.ts";
import { Stack } from "./stack/stack.ts";
import { COMMAND } from "./stack/prove-config.ts";
import { waitUntilApplied } from "./settle.ts";
import { buildReport } from "./report/build-report.ts";
import type { ProofReport } from "./report/report.ts";

export interface ProveOptions {
  readonly fault: FaultName;
  readonly ratePerSecond: number;
  /** How long the load lasts at least; it goes on until what was broken works again. */
  readonly seconds: number;
  readonly seed: number;
  /** Short and unique: goes into order numbers and keys. */
  readonly run: string;
  /** Folder for ledger and report; made here. */
  readonly output: string;
  /** Leaves the stack running. */
  readonly keep: boolean;
}

export interface ProveResult {
  readonly report: ProofReport;
  /** The text of the stack's configuration. */
  readonly configuration: string;
  /** Where the stack still runs, with `keep`. */
  readonly kept?: { readonly configFile: string; readonly stateDir: string };
}

/** Folder beside the ledger for what the stack said, of a proof that did not show what it should. */
export const LOGS = "logs";

/** Share of `seconds` before the fault. */
const BEFORE_SHARE = 0.4;
/** The load goes on for so long after what was broken works again. */
const AFTER_MS = 3_000;
/** How long what was broken may take to work again before the run goes on without it. */
const OVER_MS = 60_000;
const POLL_MS = 25;
/** A write without an answer is repeated for so long. */
const DEADLINE_MS = 30_000;

/**
 * Runs one proof: a fresh stack, a load, a fault, and the count. Everything it starts is ended when it returns or
 * rejects, but for a stack that is kept. Rejects with TM-PROVE-* when it could not be run.
 */
export async function prove(options: ProveOptions, progress: ProgressListener, signal: AbortSignal): Promise<ProveResult> {
  const fault = FAULTS[options.fault];
  mkdirSync(options.output, { recursive: true });
  const stack = await Stack.make(options.run, fault.variant);
  let load: LoadHandle | undefined;
  let keep = false;
  let proven = false;
  try {
    progress.phase("starting the stack", 8_000);
    await orAbort(stack.up(), signal);
    load = new LoadHandle(process.env);
    const evidence = await runLoad({ options, fault, stack, load, progress, signal });
    const configuration = readFileSync(stack.configFile, "utf8");
    const report = buildReport(options, fault, evidence);
    keep = options.keep;
    proven = report.exitCode === 0 || report.exitCode === 3;
    return { report, configuration, ...(keep ? { kept: { configFile: stack.configFile, stateDir: stack.stateDir } } : {}) };
  } finally {
    load?.kill();
    // What cannot be told from the counts may be told from the logs, which would be gone with the stack.
    if (!proven && !signal.aborted) stack.saveLogs(join(options.output, LOGS));
    if (keep) stack.release();
    else await tearDown(stack, progress, signal.aborted);
  }
}

interface Run {
  readonly options: ProveOptions;
  readonly fault: Fault;
  readonly stack: Stack;
  readonly load: LoadHandle;
  readonly progress: ProgressListener;
  readonly signal: AbortSignal;
}

async function runLoad(run: Run): Promise<Evidence> {
  const { options, fault, stack, load, progress, signal } = run;
  const ledgerPath = join(options.output, "ledger.ndjson");
  const [routeBefore, startMs] = [await stack.route(), Date.now()];
  await orAbort(
    load.start({
      url: stack.api.gatewayUrl,
      token: stack.token,
      command: COMMAND,
      ledgerPath,
      ratePerSecond: options.ratePerSecond,
      seed: options.seed,
      run: options.run,
      reuseKeys: fault.reuseKeys,
      deadlineMs: DEADLINE_MS,
    }),
    signal,
  );
  const stopWatch = watchCounts(load, progress);
  try {
    const beforeMs = Math.max(2_000, (fault.prepare?.leadMs ?? 0) + 1_000, options.seconds * 1_000 * BEFORE_SHARE);
    progress.phase("load before the fault", beforeMs);
    await pauseUntil(run, startMs + beforeMs - (fault.prepare?.leadMs ?? 0));
    await fault.prepare?.run(stack);
    await pauseUntil(run, startMs + beforeMs);
    progress.phase("through the fault");
    const injected = await orAbort(Promise.race([fault.inject(stack), load.ended]), signal);
    progress.note(injected.done.join(" "));
    const redundancy = watchRedundancy(run, injected);
    const overAtMs = await waitUntilOver(run, injected);
    const endMs = Math.max(startMs + options.seconds * 1_000, Date.now() + AFTER_MS);
    progress.phase("load after the fault", endMs - Date.now());
    await orAbort(Promise.race([delay(endMs - Date.now()), load.ended]), signal);
    const loadEndMs = Date.now();
    progress.phase("waiting until all is applied", 2_000);
    await orAbort(load.stop(), signal);
    const ledger = readLedger(ledgerPath);
    const settled = await orAbort(waitUntilApplied(stack, ledger, injected), signal);
    const redundantAtMs = await orAbort(redundancy, signal);
    progress.phase("counting", 1_000);
    return await orAbort(
      gather(stack, {
        ledger,
        injected,
        routeBefore,
        startMs: firstScheduled(ledger, startMs),
        loadEndMs,
        overAtMs,
        settled,
        redundantAtMs,
      }),
      signal,
    );
  } finally {
    stopWatch();
  }
}

/** Waits for a moment before the fault; the stack and the load have to live until then. */
async function pauseUntil(run: Run, atMs: number): Promise<void> {
  await orAbort(Promise.race([delay(atMs - Date.now()), run.load.ended, run.stack.ended]), run.signal);
}

/** When what was broken worked again, to {@link POLL_MS}; undefined when it did not in time. */
async function waitUntilOver(run: Run, injected: Injected): Promise<number | undefined> {
  const { load, signal } = run;
  const afterwards = injected.afterwards?.() ?? Promise.resolve();
  afterwards.catch(() => undefined); // Awaited below; it may reject before.
  const deadlineMs = Date.now() + OVER_MS;
  while (Date.now() < deadlineMs) {
    const over = await orAbort(Promise.race([injected.isOver().catch(stillBroken), load.ended]), signal);
    if (over) {
      await afterwards;
      return Date.now();
    }
    await Promise.race([afterwards, delay(POLL_MS)]);
    await delay(POLL_MS);
  }
  return undefined;
}

/** While something is broken, questions about it fail: that is the answer. Bugs are none. */
function stillBroken(error: unknown): boolean {
  if (error instanceof TidemarkError || (error instanceof Error && "code" in error)) return false;
  throw error;
}

/** When commits wait for as many copies as before again, where a copy was taken away; waited for at most {@link REDUNDANT_MS}. */
async function watchRedundancy(run: Run, injected: Injected): Promise<number | undefined> {
  const { fault, stack, signal } = run;
  if (!fault.movesPrimary || stack.required === 0) return undefined;
  const deadlineMs = injected.endedAtMs + REDUNDANT_MS;
  let fewer = false;
  while (Date.now() < deadlineMs && !signal.aborted) {
    const route = await stack.route().catch(() => undefined);
    if (route !== undefined && route.state === "open") {
      const isWhole = route.guarantee === "synchronous" && route.demanded.length >= stack.required;
      if (!isWhole) fewer = true;
      else if (fewer) return Date.now();
    }
    await delay(POLL_MS * 4);
  }
  return undefined;
}

const REDUNDANT_MS = 20_000;

function watchCounts(load: LoadHandle, progress: ProgressListener): () => void {
  const timer = setInterval(() => progress.counts(load.counts.acknowledged, load.counts.scheduled), 200);
  return () => clearInterval(timer);
}

function firstScheduled(ledger: readonly LedgerEntry[], otherwise: number): number {
  return ledger[0]?.intent.scheduledAtMs ?? otherwise;
}

async function tearDown(stack: Stack, progress: ProgressListener, inHurry: boolean): Promise<void> {
  progress.phase("stopping the stack", 2_000);
  try {
    if (inHurry) await stack.kill();
    else await stack.stop();
  } finally {
    stack.remove();
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

/** `promise`, or the signal's reason as soon as it aborts. */
function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => undefined);
    return Promise.reject(signal.reason as Error);
  }
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Writes report.json; gives its text, which the proof's hash is of. */
export function writeReport(output: string, report: ProofReport): string {
  const text = `${JSON.stringify(report, null, 2)}\n`;
  writeFileSync(join(output, "report.json"), text);
  return text;
}
