import { randomUUID } from "node:crypto";
import type { ClientWorld } from "../client-world.ts";

/** Node.js fires a longer timer at once. Who set it looks at the time again when it fires. */
const MOST_DELAY_MS = 2_147_483_647;

/** The machine's clock and randomness. */
export const systemWorld: ClientWorld = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), MOST_DELAY_MS));
    return { clear: () => clearTimeout(timer) };
  },
  afterThisTurn: (callback) => {
    setImmediate(callback);
  },
  fraction: () => Math.random(),
  uuid: uuidV7,
};

/**
 * A version 7 UUID (RFC 9562 §5.7). Idempotency keys become rows of an index; keys that grow with time touch its last
 * pages only. Made from a version 4 one, whose randomness Node.js draws in advance.
 */
function uuidV7(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
