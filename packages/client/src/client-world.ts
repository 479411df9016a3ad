/** A timer that was set; clearing it twice, or after it fired, does nothing. */
export interface ClientTimer {
  clear(): void;
}

/** Time and chance, as the client takes them from the outside. */
export interface ClientWorld {
  /** Milliseconds since an arbitrary start, never going backwards. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch. */
  wallMs(): number;
  setTimer(delayMs: number, callback: () => void): ClientTimer;
  /** Calls back when the present turn of the event loop is over: what is written until then goes into one request. */
  afterThisTurn(callback: () => void): void;
  /** A number in [0, 1). */
  fraction(): number;
  /** A new UUID that sorts by time. */
  uuid(): string;
}
