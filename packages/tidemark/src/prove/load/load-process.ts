/**
 * The load of a proof, a process of its own: it shares nothing with the stack but the HTTP API, and its ledger is
 * written by nobody else. Started by the prover with an IPC channel; ends when told, or when the channel closes.
 */
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { LedgerWriter } from "../ledger/ledger-writer.ts";
import { HttpWriteTransport } from "./http-write-transport.ts";
import type { FromLoad, LoadOrder, ToLoad } from "./load-link.ts";
import { OpenLoop } from "./open-loop.ts";
import { OrderPlan } from "./order-plan.ts";
import { WriteSender } from "./write-sender.ts";

/** Writes without an answer at most: a minute at 1,000 a second. */
const MOST_IN_FLIGHT = 60_000;
const ATTEMPT_MS = 5_000;
const PROGRESS_MS = 200;

let stop: (() => Promise<void>) | undefined;

function say(message: FromLoad): void {
  if (process.connected) process.send?.(message);
}

function fail(error: unknown): void {
  say({ type: "failed", message: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
  // The channel flushes what was said before it closes.
  setImmediate(() => process.exit(1));
}

function start(order: LoadOrder): void {
  const ledger = new LedgerWriter(order.ledgerPath);
  const transport = new HttpWriteTransport({ url: order.url, token: order.token, command: order.command });
  const sender = new WriteSender(
    { clock: systemClock, random: systemRandom, transport },
    { attemptMs: ATTEMPT_MS, deadlineMs: order.deadlineMs },
  );
  const plan = new OrderPlan({ seed: order.seed, run: order.run, reuseKeys: order.reuseKeys });
  const loop = new OpenLoop(
    { clock: systemClock, plan, ledger, send: (intent) => sender.send(intent), failed: fail },
    { ratePerSecond: order.ratePerSecond, mostInFlight: MOST_IN_FLIGHT },
  );
  const progress = setInterval(() => say({ type: "progress", counts: loop.counts }), PROGRESS_MS);
  loop.start();
  stop = async () => {
    await loop.stop();
    clearInterval(progress);
    await ledger.close();
    transport.close();
    say({ type: "done", counts: loop.counts });
    process.disconnect();
  };
}

process.on("message", (message: ToLoad) => {
  try {
    if (message.type === "start") start(message);
    else stop?.().catch(fail);
  } catch (error) {
    fail(error);
  }
});
process.on("disconnect", () => process.exit(process.exitCode ?? 0));
// Ctrl-C in a terminal reaches the whole group; the prover decides when this process ends.
process.on("SIGINT", () => undefined);
say({ type: "ready" });
