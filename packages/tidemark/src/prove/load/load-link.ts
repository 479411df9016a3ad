/** The messages between the prover and its load process, over the IPC channel. When the channel closes the load ends. */

/** What the load process needs; the first message to it. */
export interface LoadOrder {
  readonly type: "start";
  readonly url: string;
  readonly token: string;
  readonly command: string;
  readonly ledgerPath: string;
  readonly ratePerSecond: number;
  readonly seed: number;
  readonly run: string;
  readonly reuseKeys: boolean;
  /** A write is repeated until so long after its scheduled time. */
  readonly deadlineMs: number;
}

export type ToLoad =
  | LoadOrder
  /** Schedule nothing more, wait for what is in flight, close the ledger, say `done`. */
  | { readonly type: "stop" };

export interface LoadCounts {
  readonly scheduled: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly unanswered: number;
  readonly unsent: number;
  readonly inFlight: number;
}

export type FromLoad =
  | { readonly type: "ready" }
  | { readonly type: "progress"; readonly counts: LoadCounts }
  | { readonly type: "done"; readonly counts: LoadCounts }
  | { readonly type: "failed"; readonly message: string };
