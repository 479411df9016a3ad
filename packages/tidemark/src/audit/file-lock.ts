import { DatabaseSync } from "node:sqlite";
import { sleep, type Clock } from "@tidemark/kernel/clock";

/** SQLITE_BUSY; extended result codes have it in the low byte. https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

/** Time between two attempts to get a lock. */
const RETRY_MS = 5;

/**
 * A lock between processes of one machine, held by nobody but a living process: it is SQLite's lock on an empty database
 * file, which the kernel releases when its holder dies. A lock file would stay behind after a kill -9.
 */
export class FileLock {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;

  /** Opens (and makes) the lock's file, without taking the lock. */
  constructor(file: string, clock: Clock) {
    this.#database = new DatabaseSync(file, { timeout: 0 });
    this.#clock = clock;
  }

  /** Takes the lock: true, or false when others held it for all of `waitMs`. Not reentrant. */
  async acquire(waitMs: number): Promise<boolean> {
    const deadlineMs = this.#clock.monotonicMs() + waitMs;
    for (;;) {
      try {
        this.#database.exec("BEGIN EXCLUSIVE");
        return true;
      } catch (error) {
        if (((error as { errcode?: number }).errcode ?? 0) % 256 !== SQLITE_BUSY) throw error;
      }
      if (this.#clock.monotonicMs() >= deadlineMs) return false;
      await sleep(this.#clock, RETRY_MS);
    }
  }

  release(): void {
    this.#database.exec("ROLLBACK");
  }

  close(): void {
    this.#database.close();
  }
}
