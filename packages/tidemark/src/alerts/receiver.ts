import type { Severity, Notification } from "./alert.ts";

/** Somebody who is told of alerts. */
export interface Receiver {
  readonly name: string;
  /** The most notifications in one delivery. */
  readonly mostAtOnce: number;
  /** Whether one delivery may only hold notifications of one group. */
  readonly oneGroup: boolean;
  /**
   * Delivers, in order. Resolves when the receiver has taken all of them; it may get the same again when its answer was lost, with
   * the same ids. Rejects with TM-ALERT-RECEIVER-AWAY when it can take nothing now, with TM-ALERT-RECEIVER-REFUSED when it does
   * not take these, with TM-ALERT-SECRET when a file that it needs is not right.
   * @param givenUp how many older notifications were given up before these, because they were too many or too old.
   */
  deliver(notifications: readonly Notification[], terms: { signal: AbortSignal; givenUp: number }): Promise<void>;
  /** A receiver that forgets what it is not told again; absent for others. */
  readonly repeat?: {
    readonly everyMs: number;
    /** Tells of everything that fires now. Errors as for `deliver`. */
    post(firing: readonly Notification[], terms: { signal: AbortSignal }): Promise<void>;
  };
  readonly severities?: readonly Severity[];
}
