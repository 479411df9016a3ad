// Commits through whoever is primary, and remembers which were acknowledged: returned without an error and without a WARNING.
import { setTimeout as delay } from "node:timers/promises";
import { readFile } from "node:fs/promises";
import postgres from "postgres";
import type { ClusterStack } from "./cluster-stack.ts";

export class CommitLoad {
  readonly acknowledged = new Set<number>();
  /** When the last commit returned, and each gap between two, of at least 100 ms. */
  readonly gapsMs: { readonly fromMs: number; readonly ms: number }[] = [];
  readonly #stack: ClusterStack;
  #next = 1;
  #stop = false;
  #lastMs = Date.now();
  readonly #workers: Promise<void>[];

  constructor(stack: ClusterStack, workers = 4) {
    this.#stack = stack;
    this.#workers = Array.from({ length: workers }, () => this.#work());
  }

  /** When the last commit returned, milliseconds of this process's wall time; before the first one, when the load began. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Resolves when `count` more commits were acknowledged than now. */
  async more(count: number, limitMs = 30_000): Promise<void> {
    const wanted = this.acknowledged.size + count;
    await this.#stack.until(
      `${count} more commits`,
      async () => this.acknowledged.size,
      (size) => size >= wanted,
      limitMs,
    );
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await Promise.all(this.#workers);
  }

  /** Acknowledged rows that are not on `node`. */
  async missingOn(node: string): Promise<number[]> {
    const sql = await this.#stack.connect(node);
    // Before the rows are read: what is acknowledged meanwhile is not in this snapshot.
    const acknowledged = [...this.acknowledged];
    try {
      const rows = await sql<{ id: string }[]>`SELECT id::text FROM orders`;
      const there = new Set(rows.map((row) => Number(row.id)));
      return acknowledged.filter((id) => !there.has(id));
    } finally {
      await sql.end({ timeout: 0 });
    }
  }

  async #work(): Promise<void> {
    const password = (await readFile(this.#stack.store.passwordFile, "utf8")).trim();
    while (!this.#stop) {
      const route = await this.#stack.route().catch(() => undefined);
      const node = this.#stack.store.nodes.find((one) => one.name === route?.node);
      if (route?.state !== "open" || node === undefined) {
        await delay(5);
        continue;
      }
      let warned = false;
      const sql = postgres({
        host: node.host,
        port: node.port,
        user: this.#stack.store.user,
        password,
        database: this.#stack.store.database,
        max: 1,
        fetch_types: false,
        connect_timeout: 1,
        backoff: false,
        onnotice: () => (warned = true),
      });
      try {
        while (!this.#stop) {
          const id = this.#next++;
          warned = false;
          await this.#within(sql`INSERT INTO orders (id, note) VALUES (${id}, 'load')`, 1_500);
          if (!warned) this.#acknowledge(id);
        }
      } catch {
        // Unknown: not counted, and never sent again under that number.
        await delay(5);
      } finally {
        void sql.end({ timeout: 0 }).catch(() => undefined);
      }
    }
  }

  #acknowledge(id: number): void {
    const nowMs = Date.now();
    this.acknowledged.add(id);
    if (nowMs - this.#lastMs >= 100) this.gapsMs.push({ fromMs: this.#lastMs, ms: nowMs - this.#lastMs });
    this.#lastMs = nowMs;
  }

  async #within(work: Promise<unknown>, ms: number): Promise<void> {
    const abort = new AbortController();
    try {
      await Promise.race([
        work,
        delay(ms, undefined, { signal: abort.signal }).then(() => {
          throw new Error("no answer");
        }),
      ]);
    } finally {
      abort.abort();
      work.catch(() => undefined);
    }
  }
}
