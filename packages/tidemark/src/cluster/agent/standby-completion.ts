// The completion of this node: one at a time, ended by a claim of a later epoch, with its times kept for the promotion.
import { rm } from "node:fs/promises";
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { CompleteOrder, CompletionTimes } from "./completion.ts";
import { complete } from "./completion.ts";
import type { PostgresNode } from "./postgres-node.ts";
import { VaultWal } from "./vault-wal.ts";

export class StandbyCompletion {
  readonly #node: PostgresNode;
  #running: { readonly epoch: Epoch; readonly abort: AbortController } | undefined;
  #last: { readonly epoch: Epoch; readonly times: CompletionTimes } | undefined;

  constructor(node: PostgresNode) {
    this.#node = node;
  }

  /** Completes from the vault `from`, at the address that the configuration gives it. Rejects as {@link complete}, and with TM-CLUSTER-UNKNOWN-STORE. */
  async run(order: CompleteOrder & { from: string }, timeline: Timeline | undefined): Promise<void> {
    const { store, token, clock } = this.#node.world;
    const vault = store.vaults.find((one) => one.name === order.from);
    if (vault === undefined)
      throw new TidemarkError("TM-CLUSTER-UNKNOWN-STORE", `"${order.from.slice(0, 80)}" is no vault in the configuration`);
    const wal = new VaultWal({ address: { host: vault.host, port: vault.port }, token, clock });
    const abort = new AbortController();
    this.#running = { epoch: order.epoch, abort };
    try {
      const times = await complete(this.#node, order, { wal, timeline, signal: abort.signal });
      this.#last = { epoch: order.epoch, times };
    } catch (error) {
      if (abort.signal.aborted)
        throw new TidemarkError("TM-CLUSTER-NOT-COMPLETED", "the completion was ended for a later claim", { cause: error });
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  /** A claim of `epoch` came: what goes on for an earlier one is pointless, and would keep the answer waiting. */
  interrupt(epoch: Epoch): void {
    if (this.#running !== undefined && epoch > this.#running.epoch) this.#running.abort.abort();
  }

  abort(): void {
    this.#running?.abort.abort();
  }

  /** Milliseconds of each step of the completion for this epoch; empty when there was none. */
  timesOf(epoch: Epoch): Record<string, number> {
    if (this.#last?.epoch !== epoch) return {};
    return Object.fromEntries(Object.entries(this.#last.times).map(([name, ms]) => [name, Math.round(ms * 10) / 10]));
  }

  /** Removes the fetched WAL. To be called when nothing restores from there. */
  async clear(): Promise<void> {
    await rm(this.#node.completionFolder, { recursive: true, force: true });
  }
}
