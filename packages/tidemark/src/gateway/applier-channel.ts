import type { FromApplier, ToApplier } from "../applier/applier-link.ts";

/** A running applier, seen from the gateway. Messages arrive in order or the process is gone. */
export interface ApplierChannel {
  readonly pid: number;
  /** Sends a message; one to a process that is gone is dropped, for `onExit` tells. */
  send(message: ToApplier): void;
  /** Ends it without asking. */
  kill(): void;
}

/** Starts an applier process. `onExit` is called once, also when it could not be started, with what is known. */
export type ForkApplier = (handlers: {
  onMessage: (message: FromApplier) => void;
  onExit: (how: { code: number | null; signal: string | null }) => void;
}) => ApplierChannel;
