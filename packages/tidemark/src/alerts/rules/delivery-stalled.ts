// A receiver of alerts takes nothing: whoever relies on it hears nothing. The other receivers are told.
import { formatDuration } from "@tidemark/kernel/duration";
import type { ReceiverRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

const STALLED_MS = 2 * 60_000;

export const deliveryStalled: ReceiverRule = {
  name: "delivery-stalled",
  scope: "receiver",
  severity: "page",
  forMs: 0,
  keepMs: 10_000,
  judge({ receiver, waiting, oldestMs, lastError }) {
    if (waiting === 0 || oldestMs < STALLED_MS) return CLEAR;
    return {
      kind: "holds",
      summary: `${waiting} alerts could not be delivered to ${receiver}, the oldest for ${formatDuration(oldestMs)}`,
      evidence: { waiting, oldestMs, ...(lastError === undefined ? {} : { lastError }) },
    };
  },
};
