// What a running standby does besides following: it knows which timeline it is on, keeps its slot on the primary, drops
// slots of its own time as a primary, and says when it cannot catch up any more.
import type { Timeline } from "@tidemark/kernel/brands";
import { hasCode } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import { ReplicationClient } from "@tidemark/postgres/replication-client";
import type { NodeConfig } from "../../config/config.ts";
import type { NodeFacts } from "./node-database.ts";
import type { PostgresNode } from "./postgres-node.ts";

/** Time between two questions over the replication protocol while nothing streams, milliseconds. */
const ASK_EVERY_MS = 250;
/** How long a broken stream is left alone, milliseconds. */
const QUIET_MS = 1_000;
/** A standby that has not streamed for so long although its primary answers is cloned again, milliseconds. */
const STUCK_MS = 30_000;
/** Failed starts in a row after which a standby is cloned again. */
const MOST_FAILED_STARTS = 3;

export class StandbyDuties {
  readonly #node: PostgresNode;
  #timeline: Timeline | undefined;
  #askedMs = -Infinity;
  #position: { timeline: Timeline; lsn: Lsn } | undefined;
  #keptMs = -Infinity;
  #notStreamingSinceMs: number | undefined;
  #failedStarts = 0;
  #streamedMs = -Infinity;

  constructor(node: PostgresNode) {
    this.#node = node;
  }

  /** The timeline that the receiver of this run of the server last streamed; undefined before. */
  get timeline(): Timeline | undefined {
    return this.#timeline;
  }

  /** To be called when the server ended: what was known of its run is void. */
  restarted(): void {
    this.#timeline = undefined;
    this.#streamedMs = -Infinity;
    this.#position = undefined;
    this.#askedMs = -Infinity;
    this.#notStreamingSinceMs = undefined;
  }

  /** Counts a failed start. Answers whether the data should be given up. */
  startFailed(): boolean {
    this.#failedStarts++;
    return this.#failedStarts >= MOST_FAILED_STARTS;
  }

  /** Where replay is; undefined while that is not known or has just been asked. */
  async position(facts: NodeFacts): Promise<{ timeline: Timeline; lsn: Lsn } | undefined> {
    this.#failedStarts = 0;
    if (facts.streaming && facts.timeline > 0) {
      this.#timeline = facts.timeline;
      this.#streamedMs = this.#node.world.clock.monotonicMs();
      return { timeline: facts.timeline, lsn: parseLsn(facts.lsn) };
    }
    const nowMs = this.#node.world.clock.monotonicMs();
    // Right after the stream broke a coordinator is likely to ask for a vote, and should not find us asking about ourselves.
    if (nowMs - this.#streamedMs < QUIET_MS) return undefined;
    if (nowMs - this.#askedMs < ASK_EVERY_MS) return this.#position;
    this.#askedMs = nowMs;
    // A standby that accepts no sessions yet cannot be asked; it is looked at again.
    this.#position = await this.#node.identify().catch(() => undefined);
    return this.#position;
  }

  /** Answers why the standby has to be cloned again, or undefined. */
  async keep(facts: NodeFacts, primary: NodeConfig): Promise<string | undefined> {
    const nowMs = this.#node.world.clock.monotonicMs();
    if (facts.streaming) {
      this.#notStreamingSinceMs = undefined;
      return undefined;
    }
    this.#notStreamingSinceMs ??= nowMs;
    if (nowMs - this.#streamedMs < QUIET_MS) return undefined;
    if (nowMs - this.#keptMs < ASK_EVERY_MS * 2) return undefined;
    this.#keptMs = nowMs;
    try {
      await this.#node.dropSlots(new Set(), undefined);
      await this.#node.ensureSlotOn(primary);
      if (await this.#slotIsLost(primary)) return "the primary no longer keeps the WAL that is missing here (its slot is lost)";
    } catch (error) {
      // The primary does not answer: nothing can be said, and nothing is late.
      if (!hasCode(error, "TM-PG-CONNECTION") && !hasCode(error, "TM-PG-AUTHENTICATION")) throw error;
      this.#notStreamingSinceMs = nowMs;
      return undefined;
    }
    return nowMs - this.#notStreamingSinceMs > STUCK_MS ? `it has not streamed for ${STUCK_MS} ms although the primary answers` : undefined;
  }

  /** A slot that exists and keeps nothing was invalidated (trap 5). */
  async #slotIsLost(primary: NodeConfig): Promise<boolean> {
    const identity = this.#node.file?.identity;
    if (identity === undefined) return false;
    const client = await ReplicationClient.connect(this.#node.loginTo(primary));
    try {
      const slot = await client.readSlot(identity);
      return slot !== undefined && slot.restartLsn === undefined;
    } finally {
      client.close();
    }
  }
}
