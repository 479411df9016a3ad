// Looks at the local PostgreSQL: on a standing connection at every tick, and now and then for a new session, because a
// postmaster that is held gives none while old sessions go on.
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import type { NodeFacts } from "./node-database.ts";
import type { PostgresNode } from "./postgres-node.ts";

/** Time between two attempts at a new session, milliseconds. */
const KNOCK_MS = 1_000;

/** A PostgreSQL that starts and does not answer is suspected after so long: another node may be faster than its recovery. Milliseconds. */
const START_LIMIT_MS = 15_000;

export interface ProbeResult {
  readonly facts: NodeFacts;
  /** Monotonic. */
  readonly atMs: number;
}

export class NodeProbe {
  readonly #node: PostgresNode;
  readonly #clock: Clock;
  readonly #limits: { probeMs: number; suspectAfterMs: number };
  readonly #onLook: () => void;
  #last: ProbeResult | undefined;
  #silentSinceMs: number | undefined;
  #noSession = false;
  #pid: number | undefined;

  constructor(node: PostgresNode, limits: { probeMs: number; suspectAfterMs: number }, onLook: () => void) {
    this.#node = node;
    this.#clock = node.world.clock;
    this.#limits = limits;
    this.#onLook = onLook;
  }

  /** What the running server last said of itself; undefined since it started anew. */
  get last(): ProbeResult | undefined {
    return this.#node.server.pid !== undefined && this.#node.server.pid === this.#pid ? this.#last : undefined;
  }

  /** @param starting whether PostgreSQL is being started: recovery has a time of its own, and refuses sessions meanwhile. */
  isUnresponsive(starting: boolean): boolean {
    if (this.#node.server.pid === undefined) return false;
    const limitMs = starting ? Math.max(this.#limits.suspectAfterMs, START_LIMIT_MS) : this.#limits.suspectAfterMs;
    const silentMs = this.#silentSinceMs === undefined ? 0 : this.#clock.monotonicMs() - this.#silentSinceMs;
    return silentMs >= limitMs || (this.#noSession && !starting);
  }

  /** Looks now. False when nothing runs, or it did not answer. */
  async look(): Promise<boolean> {
    const pid = this.#node.server.pid;
    if (pid === undefined) {
      this.#silentSinceMs = undefined;
      this.#noSession = false;
      return false;
    }
    const askedMs = this.#clock.monotonicMs();
    try {
      const facts = await this.#node.database.facts(this.#limits.suspectAfterMs);
      if (this.#node.server.pid !== pid) return false;
      this.#pid = pid;
      this.#last = { facts, atMs: askedMs };
      this.#silentSinceMs = undefined;
      return true;
    } catch {
      // Refused (starting, stopping) or silent: either way it did not answer since it was asked.
      if (this.#node.server.pid === pid) this.#silentSinceMs ??= askedMs;
      return false;
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#lookOn(signal), this.#knockOn(signal)]);
  }

  async #lookOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      this.#onLook();
      await sleep(this.#clock, this.#limits.probeMs, signal).catch(() => undefined);
    }
  }

  async #knockOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#clock, KNOCK_MS, signal).catch(() => undefined);
      const pid = this.#node.server.pid;
      // Only where the standing connection is answered: otherwise that one says it already.
      if (signal.aborted || pid === undefined || this.last === undefined || this.#silentSinceMs !== undefined) continue;
      const noSession = await this.#node.database.knock(this.#limits.suspectAfterMs).then(
        () => false,
        () => true,
      );
      if (this.#node.server.pid !== pid || noSession === this.#noSession) continue;
      this.#noSession = noSession;
      this.#onLook();
    }
  }
}
