// The receiver's thread as the main thread sees it: start it, tell it whom to follow, and see it halted.
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { ErrorCode } from "@tidemark/kernel/errors";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Clock, Timer } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { VaultFile } from "../vault-file.ts";
import type { FromReceiver, ReceiverHost, ReceiverStart, ReceiverTarget, ToReceiver } from "./receiver-port.ts";
import type { WalPoint } from "./stream-plan.ts";
import type { SharedFrontier } from "./shared-frontier.ts";

/** Whether this runs from the TypeScript sources; the built package has JavaScript beside it. */
const FROM_SOURCE = import.meta.url.endsWith(".ts");
const ENTRY = fileURLToPath(new URL(`receiver-worker.${FROM_SOURCE ? "ts" : "js"}`, import.meta.url));
const EXEC_ARGV = [...(FROM_SOURCE ? ["--conditions=@tidemark/source"] : []), "--disable-warning=ExperimentalWarning"];

/** A thread that has not halted in time is ended; only a disk that does not answer keeps it from halting by itself. */
const HALT_LIMIT_MS = 5_000;

export interface ReceiverThreadOptions {
  readonly directory: string;
  readonly frontier: SharedFrontier;
  readonly host: ReceiverHost;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ReceiverThread {
  readonly #options: ReceiverThreadOptions;
  readonly #worker: Worker;
  readonly #halting = new Map<number, () => void>();
  readonly #failed: Promise<never>;
  #opened: ((start: ReceiverStart) => void) | undefined;
  #halts = 0;
  #ending = false;
  #fail: (error: Error) => void = () => undefined;

  constructor(options: ReceiverThreadOptions) {
    this.#options = options;
    const data = { directory: options.directory, frontier: options.frontier.buffer };
    this.#worker = new Worker(ENTRY, { workerData: data, execArgv: EXEC_ARGV, name: "receiver" });
    this.#failed = new Promise((_resolve, reject) => (this.#fail = reject));
    // Awaited by run(); before that a failure must not count as unhandled.
    this.#failed.catch(() => undefined);
    this.#worker.on("message", (message: FromReceiver) => this.#hear(message));
    this.#worker.on("error", (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on("exit", (code) => {
      for (const halted of this.#halting.values()) halted();
      if (!this.#ending) this.#fail(new Error(`the receiver's thread ended with code ${code}`));
    });
  }

  /** Resolves when the WAL that is here has been scanned. Rejects as {@link failed}. */
  open(file: VaultFile): Promise<ReceiverStart> {
    const opened = new Promise<ReceiverStart>((resolve) => (this.#opened = resolve));
    this.#tell({ type: "open", file });
    return Promise.race([opened, this.#failed]);
  }

  /** Receives from `target` from now on, instead of from whom it did. */
  follow(target: ReceiverTarget): void {
    this.#tell({ type: "follow", target });
  }

  /** What the main thread changed in vault.json. */
  take(file: VaultFile): void {
    this.#tell({ type: "file", file });
  }

  /**
   * Resolves when nothing is received, flushed or acknowledged any more (R3). A thread that does not answer in time is ended,
   * and this rejects: it cannot be followed with again.
   */
  halt(): Promise<void> {
    const id = ++this.#halts;
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      this.#halting.set(id, () => {
        this.#halting.delete(id);
        timer?.clear();
        resolve();
      });
      timer = this.#options.clock.setTimer(HALT_LIMIT_MS, () => {
        this.#halting.delete(id);
        const error = new Error(`the receiver did not halt within ${HALT_LIMIT_MS} ms`);
        void this.#worker.terminate().then(() => {
          this.#fail(error);
          reject(error);
        });
      });
      this.#tell({ type: "halt", id });
    });
  }

  /** Rejects when the receiver cannot go on: with TM-VAULT-FAIL-STOP after a failed write or flush. */
  get failed(): Promise<never> {
    return this.#failed;
  }

  /** Ends the thread; in order where it answers. */
  async stop(): Promise<void> {
    this.#ending = true;
    await this.halt().catch(() => undefined);
    await this.#worker.terminate();
  }

  #tell(message: ToReceiver): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none; windows have
    this.#worker.postMessage(message);
  }

  #hear(message: FromReceiver): void {
    const { host, logger } = this.#options;
    switch (message.type) {
      case "opened":
        this.#opened?.(message.start);
        break;
      case "halted":
        this.#halting.get(message.id)?.();
        break;
      case "save":
        void this.#save(message.id, message.change);
        break;
      case "archived":
        void this.#recall(message.id, message.place);
        break;
      case "report":
        host.report(message.report);
        break;
      case "warn":
        host.warn(message.warnings);
        break;
      case "sealed":
        host.sealed(message.segment);
        break;
      case "full":
        host.full(message.full);
        break;
      case "log":
        logger[message.level](message.facts, message.message);
        break;
      case "failed":
        this.#fail(message.code === "" ? new Error(message.message) : new TidemarkError(message.code as ErrorCode, message.message));
        break;
    }
  }

  async #recall(id: number, place: WalPoint): Promise<void> {
    const answer = await this.#options.host.archived(place).catch((error: Error) => ({ kind: "unknown" as const, why: error.message }));
    this.#tell({ type: "archived", id, answer });
  }

  async #save(id: number, change: Extract<FromReceiver, { type: "save" }>["change"]): Promise<void> {
    try {
      this.#tell({ type: "saved", id, file: await this.#options.host.save(change) });
    } catch (error) {
      this.#tell({ type: "saved", id, error: (error as Error).message });
      // What cannot be remembered must not be done: the process starts again from what is durable.
      this.#fail(error as Error);
    }
  }
}
