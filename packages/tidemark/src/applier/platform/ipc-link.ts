import type { FromApplier, ToApplier } from "../applier-link.ts";
import type { GatewayLink } from "../gateway-link.ts";

/** The IPC channel of a forked process. `onClosed` is called when the gateway is gone. */
export class IpcLink implements GatewayLink {
  readonly #process: NodeJS.Process;
  readonly #listeners = new Set<(message: ToApplier) => void>();

  constructor(process: NodeJS.Process, onClosed: () => void) {
    this.#process = process;
    process.on("message", (message) => {
      for (const listener of this.#listeners) listener(message as ToApplier);
    });
    process.on("disconnect", onClosed);
  }

  send(message: FromApplier): void {
    // A channel that closes while this is sent says so by `disconnect`.
    if (this.#process.connected) this.#process.send?.(message, undefined, undefined, () => undefined);
  }

  onMessage(listener: (message: ToApplier) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
