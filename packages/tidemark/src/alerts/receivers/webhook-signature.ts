// How a webhook's receiver knows that a delivery is from here, whole, and not an old one sent again: docs/webhooks.md.
import { createHmac, timingSafeEqual } from "node:crypto";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";

/** The header: `t=<milliseconds since 1970>,v1=<64 hexadecimal digits>`, with one `v1` for each key that is in use. */
export const SIGNATURE_HEADER = "tidemark-signature";

/** A delivery that is older, or newer by a wrong clock, is not to be taken. */
export const REPLAY_WINDOW_MS = 5 * 60_000;

const SHORTEST_KEY = 32;

/** While a key is changed there are two. */
const MOST_KEYS = 2;

/** HMAC-SHA-256 of `<t>.<body>` with each key. Throws TM-ALERT-SECRET for a key that could be guessed, or more than two. */
export function signWebhook(body: string, atMs: number, keys: readonly Redacted<string>[]): string {
  if (keys.length === 0 || keys.length > MOST_KEYS)
    throw new TidemarkError(
      "TM-ALERT-SECRET",
      `${keys.length} webhook keys, one is needed and ${MOST_KEYS} are allowed while it is changed`,
    );
  const signatures = keys.map((key) => {
    if (key.reveal().length < SHORTEST_KEY)
      throw new TidemarkError("TM-ALERT-SECRET", `a webhook key of fewer than ${SHORTEST_KEY} characters`);
    return `v1=${digest(body, Math.round(atMs), key).toString("hex")}`;
  });
  return `t=${Math.round(atMs)},${signatures.join(",")}`;
}

/**
 * What a receiver has to check, as a model for receivers in other languages. `body` is the request's, byte for byte as it came.
 * @returns `valid`; `stale` when it is signed and outside of the replay window; `forged` for everything else.
 */
export function verifyWebhook(delivery: {
  readonly body: string;
  readonly header: string;
  readonly key: Redacted<string>;
  readonly nowMs: number;
}): "valid" | "stale" | "forged" {
  const match = /^t=(\d{1,15})((?:,v1=[0-9a-f]{64}){1,2})$/.exec(delivery.header);
  if (match === null) return "forged";
  const atMs = Number(match[1]);
  const expected = digest(delivery.body, atMs, delivery.key);
  const signed = (match[2] ?? "")
    .split(",v1=")
    .slice(1)
    .some((signature) => timingSafeEqual(Buffer.from(signature, "hex"), expected));
  if (!signed) return "forged";
  return Math.abs(delivery.nowMs - atMs) <= REPLAY_WINDOW_MS ? "valid" : "stale";
}

function digest(body: string, atMs: number, key: Redacted<string>): Buffer {
  return createHmac("sha256", key.reveal()).update(`${atMs}.${body}`).digest();
}
