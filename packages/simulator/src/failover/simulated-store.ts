// The lease store of the simulation: linearizable, reached over the network, whose answers may be lost after the fact.
import type { ClusterRecord } from "../../../tidemark/src/cluster/cluster-record.ts";
import type { Network } from "./network.ts";
import { Refusal } from "./network.ts";
import type { Process } from "./scheduler.ts";

export interface Entry {
  readonly record: ClusterRecord | undefined;
  readonly revision: number;
}

export const STORE_NAME = "store";

const TIMEOUT_MS = 300;

export type ChangeOutcome = { readonly kind: "changed"; readonly entry: Entry } | { readonly kind: "conflict" } | { readonly kind: "away" };

export class SimulatedStore {
  readonly #network: Network;
  #entry: Entry;

  constructor(network: Network, first: ClusterRecord) {
    this.#network = network;
    this.#entry = { record: first, revision: 1 };
  }

  /** For checkers alone. */
  get now(): Entry {
    return this.#entry;
  }

  /** Undefined: away. */
  *read(from: string): Process<Entry | undefined> {
    const answer = yield* this.#network.ask({ from, to: STORE_NAME, timeoutMs: TIMEOUT_MS, isUp: () => true }, () =>
      only(() => this.#entry),
    );
    return answer.ok ? answer.value : undefined;
  }

  *compareAndSet(from: string, expected: number, record: ClusterRecord): Process<ChangeOutcome> {
    const answer = yield* this.#network.ask({ from, to: STORE_NAME, timeoutMs: TIMEOUT_MS, isUp: () => true }, () =>
      only(() => {
        if (this.#entry.revision !== expected) throw new Refusal("conflict");
        return this.force(record);
      }),
    );
    if (answer.ok) return { kind: "changed", entry: answer.value };
    return answer.why === "conflict" ? { kind: "conflict" } : { kind: "away" };
  }

  /** Sets without looking: what a mutation does. */
  force(record: ClusterRecord): Entry {
    this.#entry = { record, revision: this.#entry.revision + 1 };
    return this.#entry;
  }
}

/** A process that does one thing at once. */
// oxlint-disable-next-line require-yield -- it takes no time of its own
function* only<T>(work: () => T): Process<T> {
  return work();
}
