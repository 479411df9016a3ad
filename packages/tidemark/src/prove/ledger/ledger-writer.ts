import { closeSync, fdatasync, fsyncSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { assert } from "@tidemark/kernel/errors";
import { LEDGER_VERSION, type Answer, type Intent } from "./ledger-entry.ts";

/**
 * Appends to the ledger. Intents go to the file before the first attempt is sent; answers are written and fsynced in
 * groups: one fdatasync covers all that waited for it. A failed write or sync is final, for the ledger is then worth
 * nothing (FAIL-STOP).
 */
export class LedgerWriter {
  readonly #fd: number;
  #waiting: (() => void)[] = [];
  #failed: ((error: Error) => void)[] = [];
  #syncing = false;
  #closed = false;
  #failure: Error | undefined;

  /** Creates the file, which must not exist. */
  constructor(path: string) {
    this.#fd = openSync(path, "ax", 0o600);
    writeSync(this.#fd, `${JSON.stringify({ ledger: LEDGER_VERSION })}\n`);
    fsyncSync(this.#fd);
    const folder = openSync(dirname(path), "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }

  /** Writes the intents to the file without waiting for the disk. */
  intend(intents: readonly Intent[]): void {
    this.#write(intents.map((intent) => `${JSON.stringify({ intent })}\n`).join(""));
  }

  /** Resolves once the answer is on the disk. */
  record(answer: Answer): Promise<void> {
    this.#write(`${JSON.stringify({ answer })}\n`);
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      this.#failed.push(reject);
      this.#sync();
    });
  }

  /** Waits for what is being written and closes the file. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#syncing)
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve);
        this.#failed.push(reject);
      });
    this.#closed = true;
    fsyncSync(this.#fd);
    closeSync(this.#fd);
  }

  #write(lines: string): void {
    assert(!this.#closed, "the ledger is closed");
    if (this.#failure !== undefined) throw this.#failure;
    if (lines !== "") writeSync(this.#fd, lines);
  }

  #sync(): void {
    if (this.#syncing) return;
    this.#syncing = true;
    const [waiting, failed] = [this.#waiting, this.#failed];
    this.#waiting = [];
    this.#failed = [];
    fdatasync(this.#fd, (error) => {
      this.#syncing = false;
      if (error !== null) {
        this.#failure = error;
        for (const reject of [...failed, ...this.#failed]) reject(error);
        return;
      }
      for (const resolve of waiting) resolve();
      if (this.#waiting.length > 0) this.#sync();
    });
  }
}
