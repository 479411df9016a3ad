// A clone runs in the background, because the agent must answer requests meanwhile. One at a time.
import { sleep } from "@tidemark/kernel/clock";
import type { NodeConfig } from "../../config/config.ts";
import type { PostgresNode } from "./postgres-node.ts";

/** Pause after a failed attempt: a primary that is just starting would be asked without one. Milliseconds. */
const PAUSE_MS = 300;

export class BackgroundClone {
  readonly #node: PostgresNode;
  readonly #onEnd: (error: unknown) => void;
  #current: { abort: AbortController; from: string } | undefined;

  /** @param onEnd called after each attempt, with what went wrong, or undefined. */
  constructor(node: PostgresNode, onEnd: (error: unknown) => void) {
    this.#node = node;
    this.#onEnd = onEnd;
  }

  get isRunning(): boolean {
    return this.#current !== undefined;
  }

  /** Begins one from `primary`, unless one runs; one that copies another node is given up. Answers whether it began. */
  begin(primary: NodeConfig): boolean {
    if (this.#current !== undefined) {
      if (this.#current.from !== primary.name) this.abort();
      return false;
    }
    const current = { abort: new AbortController(), from: primary.name };
    this.#current = current;
    void this.#run(primary, current.abort.signal);
    return true;
  }

  abort(): void {
    this.#current?.abort.abort(new Error("the clone was given up"));
  }

  async #run(primary: NodeConfig, signal: AbortSignal): Promise<void> {
    let fault: unknown;
    try {
      await this.#node.clone(primary, signal);
    } catch (error) {
      fault = error;
      await sleep(this.#node.world.clock, PAUSE_MS, signal).catch(() => undefined);
    }
    this.#current = undefined;
    this.#onEnd(fault);
  }
}
