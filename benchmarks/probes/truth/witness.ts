// Writes commits at a known rate, and writes down what happened: receipts of the writer, and the standby's flush position as the standby itself
// says it, past every broken link.
import type { Client } from "pg";
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import type { ProbedPair } from "../probed-pair.ts";
import type { AcknowledgedCommit, FlushSample } from "./true-exposure.ts";

/** Between two commits, milliseconds. */
const COMMIT_EVERY_MS = 20;
/** Between two looks at the standby, milliseconds: the truth is known within it. */
const LOOK_EVERY_MS = 10;
/** What a commit writes, characters. */
const SMALL = 100;
const LARGE = 6_000;

export class Witness {
  readonly commits: AcknowledgedCommit[] = [];
  readonly samples: FlushSample[] = [];
  readonly #writer: Client;
  readonly #reader: Client;
  #running = true;
  #loops: Promise<unknown> = Promise.resolve();
  #characters = SMALL;

  private constructor(writer: Client, reader: Client) {
    this.#writer = writer;
    this.#reader = reader;
  }

  /** Writes and looks from now on. */
  static async begin(pair: ProbedPair): Promise<Witness> {
    const witness = new Witness(await pair.connect("primary"), await pair.connect("standby"));
    witness.#loops = Promise.all([witness.#write(), witness.#look()]);
    // Whoever stops it is told.
    witness.#loops.catch(() => (witness.#running = false));
    return witness;
  }

  /** Whether commits write much, so that a slow link cannot keep up. */
  writeMuch(much: boolean): void {
    this.#characters = much ? LARGE : SMALL;
  }

  /** Rejects with what went wrong meanwhile. */
  async stop(): Promise<void> {
    this.#running = false;
    try {
      await this.#loops;
    } finally {
      await this.#writer.end();
      await this.#reader.end();
    }
  }

  async #write(): Promise<void> {
    while (this.#running) {
      const beganMs = performance.now();
      // Another text each time, or the server would compress it to nothing.
      const what = Buffer.from(Array.from({ length: this.#characters }, () => 97 + Math.floor(Math.random() * 26))).toString("latin1");
      await this.#writer.query("INSERT INTO orders (what) VALUES ($1)", [what]);
      const atMs = Date.now();
      const { rows } = await this.#writer.query<{ lsn: string }>("SELECT pg_current_wal_flush_lsn()::text AS lsn");
      this.commits.push({ atMs, lsn: lsnOf(rows[0]) });
      await rest(COMMIT_EVERY_MS - (performance.now() - beganMs));
    }
  }

  async #look(): Promise<void> {
    while (this.#running) {
      const beganMs = Date.now();
      const { rows } = await this.#reader.query<{ lsn: string }>("SELECT pg_last_wal_receive_lsn()::text AS lsn");
      this.samples.push({ atMs: beganMs, lsn: lsnOf(rows[0]) });
      await rest(LOOK_EVERY_MS);
    }
  }
}

function lsnOf(row: { lsn: string | null } | undefined): Lsn {
  if (row === undefined || row.lsn === null) throw new Error("the server says no position");
  return parseLsn(row.lsn);
}

function rest(forMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(1, forMs)));
}
