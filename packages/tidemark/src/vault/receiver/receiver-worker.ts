// The receiver's thread: a heap of its own, so that a pause of the main one does not trip wal_sender_timeout. It does what it
// is told, one thing after the other, and ends the process's work by `failed` when it cannot go on (FAIL-STOP).
import { parentPort, workerData } from "node:worker_threads";
import { TidemarkError, assert } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { VaultFile } from "../vault-file.ts";
import { Receiver } from "./receiver-loop.ts";
import type { ArchivedWal, FromReceiver, ReceiverHost, ReceiverTarget, ToReceiver } from "./receiver-port.ts";
import { SharedFrontier } from "./shared-frontier.ts";

assert(parentPort !== null, "the receiver's worker runs in a thread");
const port = parentPort;
const { directory, frontier } = workerData as { directory: string; frontier: SharedArrayBuffer };

const send = (message: FromReceiver): void => port.postMessage(message);
const log =
  (level: "debug" | "info" | "warn" | "error") =>
  (facts: object, message: string): void =>
    send({ type: "log", level, facts: plain(facts), message });
const logger: Logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error"), child: () => logger };

const waiting = new Map<number, { resolve(file: VaultFile): void; reject(error: Error): void }>();
let saves = 0;
const recalling = new Map<number, (answer: ArchivedWal) => void>();
let recalls = 0;
const host: ReceiverHost = {
  save: (change) =>
    new Promise((resolve, reject) => {
      const id = ++saves;
      waiting.set(id, { resolve, reject });
      send({ type: "save", id, change });
    }),
  report: (report) => send({ type: "report", report }),
  warn: (warnings) => send({ type: "warn", warnings }),
  sealed: (segment) => send(segment === undefined ? { type: "sealed" } : { type: "sealed", segment }),
  full: (full) => send({ type: "full", full }),
  archived: (place) =>
    new Promise((resolve) => {
      const id = ++recalls;
      recalling.set(id, resolve);
      send({ type: "archived", id, place });
    }),
};

let receiver: Receiver | undefined;
let halt = new AbortController();
/** What is being done; the next thing begins after it. */
let work: Promise<void> = Promise.resolve();

function failed(error: unknown): void {
  const known = error instanceof TidemarkError ? error : undefined;
  const words = error instanceof Error ? error : new Error(String(error));
  send({ type: "failed", code: known?.code ?? "", message: known === undefined ? (words.stack ?? words.message) : words.message });
}

function begin(next: () => Promise<void>): void {
  const before = work;
  work = (async () => {
    await before;
    await next();
  })().catch(failed);
}

function follow(target: ReceiverTarget): void {
  halt.abort();
  const own = new AbortController();
  halt = own;
  begin(async () => {
    // Halted before its turn came.
    if (!own.signal.aborted) await receiver?.follow(target, own.signal);
  });
}

port.on("message", (message: ToReceiver) => {
  switch (message.type) {
    case "open":
      receiver = new Receiver({ directory, frontier: new SharedFrontier(frontier), host, clock: systemClock, logger }, message.file);
      begin(async () => {
        const start = await receiver?.open();
        send({ type: "opened", start: start ?? {} });
      });
      break;
    case "follow":
      follow(message.target);
      break;
    case "halt":
      halt.abort();
      begin(async () => send({ type: "halted", id: message.id }));
      break;
    case "saved": {
      const asked = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.file !== undefined) asked?.resolve(message.file);
      else asked?.reject(new Error(message.error ?? "vault.json could not be written"));
      break;
    }
    case "archived":
      recalling.get(message.id)?.(message.answer);
      recalling.delete(message.id);
      break;
    case "file":
      receiver?.take(message.file);
      break;
    case "stop":
      halt.abort();
      void work.finally(() => port.close());
      break;
  }
});

/** Errors and positions do not pass between threads as they are. */
function plain(facts: object): object {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [
      name,
      value instanceof Error ? wordsOf(value) : typeof value === "bigint" ? String(value) : value,
    ]),
  );
}

function wordsOf(error: Error): string {
  const code = error instanceof TidemarkError ? `${error.code}: ` : "";
  const cause = error.cause instanceof Error ? ` (${wordsOf(error.cause)})` : "";
  return `${code}${error.message}${cause}`;
}
