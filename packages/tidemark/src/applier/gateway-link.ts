import type { FromApplier, ToApplier } from "./applier-link.ts";

/** The channel to the gateway. Messages arrive in order, or the channel closes and the process ends. */
export interface GatewayLink {
  send(message: FromApplier): void;
  /** Calls back with each message; returns the unsubscriber. */
  onMessage(listener: (message: ToApplier) => void): () => void;
}
