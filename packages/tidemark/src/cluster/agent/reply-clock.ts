import type { MemberStatus } from "../agent-status.ts";

/** The most members that are remembered; those that were heard longest ago fall out. */
const MOST_MEMBERS = 64;

/**
 * When each receiver of WAL was last heard, by our own clock. A reply carries the time of the receiver's machine, which says
 * nothing here but that a reply came when it is another one than before.
 */
export class ReplyClock {
  readonly #replies = new Map<string, { readonly reply: string; readonly atMs: number }>();

  /** Monotonic time at which the newest reply of the connection was first seen. */
  heardMs({ identity, pid, replyTime }: MemberStatus, nowMs: number): number {
    // Another connection is another receiver, whatever it is called.
    const reply = `${pid} ${replyTime ?? ""}`;
    const known = this.#replies.get(identity);
    if (known?.reply === reply) return known.atMs;
    this.#replies.delete(identity);
    this.#replies.set(identity, { reply, atMs: nowMs });
    for (const oldest of this.#replies.keys()) {
      if (this.#replies.size <= MOST_MEMBERS) break;
      this.#replies.delete(oldest);
    }
    return nowMs;
  }
}
