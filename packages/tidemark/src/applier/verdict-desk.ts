import type { Partition, Sequence } from "@tidemark/kernel/brands";
import type { VerdictPayload } from "../gateway/write-payload.ts";
import type { GatewayLink } from "./gateway-link.ts";
import type { VerdictIndex } from "./verdict-index.ts";

/**
 * Asks the gateway to journal verdicts (R13). A request outlives the connection on whose errors it was based: nothing
 * is applied on the next one before all open requests are answered, because the verdict may become durable meanwhile.
 */
export class VerdictDesk {
  readonly #store: string;
  readonly #link: GatewayLink;
  readonly #verdicts: VerdictIndex;
  readonly #open = new Map<number, { readonly payload: VerdictPayload; readonly resolve: (sequence: Sequence) => void }>();
  #idleWaiters: (() => void)[] = [];
  #next = 1;

  constructor(world: { store: string; link: GatewayLink; verdicts: VerdictIndex }) {
    this.#store = world.store;
    this.#link = world.link;
    this.#verdicts = world.verdicts;
    world.link.onMessage((message) => {
      if (message.type === "verdict-recorded") this.#recorded(message.request, BigInt(message.sequence) as Sequence);
    });
  }

  /** Resolves with the verdict's own sequence when it is durable. It stands in the index from then on. */
  request(partition: Partition, payload: VerdictPayload): Promise<Sequence> {
    const request = this.#next++;
    return new Promise((resolve) => {
      this.#open.set(request, { payload, resolve });
      this.#link.send({ type: "verdict", request, store: this.#store, partition, payload });
    });
  }

  /** Resolves when no request is open. */
  async idle(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  get openRequests(): number {
    return this.#open.size;
  }

  #recorded(request: number, sequence: Sequence): void {
    const open = this.#open.get(request);
    if (open === undefined) return;
    this.#open.delete(request);
    this.#verdicts.add(open.payload);
    open.resolve(sequence);
    if (this.#open.size > 0) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const wake of waiters) wake();
  }
}
