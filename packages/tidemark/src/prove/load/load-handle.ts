import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { FromLoad, LoadCounts, LoadOrder, ToLoad } from "./load-link.ts";

const NO_COUNTS: LoadCounts = { scheduled: 0, acknowledged: 0, refused: 0, unanswered: 0, unsent: 0, inFlight: 0 };
/** How long the load process may take to come up. */
const READY_MS = 15_000;

/** The prover's side of the load process. */
export class LoadHandle {
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;
  readonly #done: Promise<LoadCounts>;
  readonly #ready: Promise<void>;
  #counts = NO_COUNTS;

  constructor(env: NodeJS.ProcessEnv) {
    const entry = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "load-process.ts" : "load-process.js", import.meta.url));
    this.#child = fork(entry, [], { env, stdio: ["ignore", "inherit", "inherit", "ipc"] });
    let ready = (): void => undefined;
    let done = (_: LoadCounts): void => undefined;
    let failed = (_: Error): void => undefined;
    this.#ready = new Promise((resolve) => (ready = resolve));
    this.#done = new Promise((resolve) => (done = resolve));
    this.#ended = new Promise((_, reject) => (failed = reject));
    this.#ended.catch(() => undefined); // Whoever waits races against it.
    this.#child.on("message", (message: FromLoad) => {
      if (message.type === "ready") ready();
      else if (message.type === "failed") failed(new TidemarkError("TM-PROVE-LOAD", `the load process stopped: ${message.message}`));
      else this.#counts = message.counts;
      if (message.type === "done") done(message.counts);
    });
    this.#child.on("error", (cause) => failed(new TidemarkError("TM-PROVE-LOAD", "start the load process", { cause })));
    this.#child.on("exit", (code, signal) =>
      failed(new TidemarkError("TM-PROVE-LOAD", `the load process ended with ${signal ?? `code ${code}`}`)),
    );
  }

  get counts(): LoadCounts {
    return this.#counts;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Rejects when the load process ends before it was asked to; never resolves. */
  get ended(): Promise<never> {
    return this.#ended;
  }

  async start(order: Omit<LoadOrder, "type">): Promise<void> {
    const late = new Promise<never>((_, reject) => {
      setTimeout(
        () => reject(new TidemarkError("TM-PROVE-LOAD", `the load process was not ready within ${READY_MS} ms`)),
        READY_MS,
      ).unref();
    });
    late.catch(() => undefined);
    await Promise.race([this.#ready, this.#ended, late]);
    this.#send({ type: "start", ...order });
  }

  /** Ends the load; resolves with the final counts when the ledger is closed. */
  async stop(): Promise<LoadCounts> {
    this.#send({ type: "stop" });
    return Promise.race([this.#done, this.#ended]);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #send(message: ToLoad): void {
    if (this.#child.connected) this.#child.send(message);
  }
}
