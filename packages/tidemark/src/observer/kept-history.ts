// The history as control has it: opened when it can be, and again later when it cannot. Measuring and judging go on without it.
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { History, HistoryReading, HistoryState } from "../history/history.ts";
import type { SeriesName } from "../history/series-book.ts";

/** Between two attempts to open it, milliseconds. */
const RETRY_MS = 30_000;

export interface KeptHistoryOptions {
  /** Throws a TidemarkError when it cannot be opened. */
  readonly open: () => History;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class KeptHistory implements Pick<History, "range" | "list" | "state" | "series"> {
  readonly #options: KeptHistoryOptions;
  #history: History | undefined;
  #fault: TidemarkError | undefined;
  #nextMs = 0;

  constructor(options: KeptHistoryOptions) {
    this.#options = options;
    this.#open();
  }

  series(name: SeriesName): number | undefined {
    return this.#history?.series(name);
  }

  /** Opens it first, where an attempt is due. What cannot be written is a gap. */
  record(atMs: number, readings: () => Iterable<HistoryReading>): void {
    if (this.#history === undefined) this.#open();
    this.#history?.record(atMs, readings());
  }

  /** Throws as {@link History.range}, and TM-HISTORY-AWAY or TM-HISTORY-VERSION while it is not open. */
  range(...question: Parameters<History["range"]>): ReturnType<History["range"]> {
    if (this.#history === undefined) throw this.#fault ?? new TidemarkError("TM-HISTORY-AWAY", "the history is not open");
    return this.#history.range(...question);
  }

  list(...question: Parameters<History["list"]>): SeriesName[] {
    return this.#history?.list(...question) ?? [];
  }

  state(): HistoryState {
    if (this.#history !== undefined) return this.#history.state();
    const fault = this.#fault === undefined ? {} : { fault: this.#fault };
    return { writing: false, ...fault, droppedSamples: 0, refusedSeries: 0, series: 0 };
  }

  close(): void {
    this.#history?.close();
    this.#history = undefined;
    this.#nextMs = Number.POSITIVE_INFINITY;
  }

  #open(): void {
    const { open, clock, logger } = this.#options;
    if (clock.monotonicMs() < this.#nextMs) return;
    this.#nextMs = clock.monotonicMs() + RETRY_MS;
    try {
      this.#history = open();
      this.#fault = undefined;
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      if (this.#fault?.code !== error.code)
        logger.error({ err: error, code: error.code }, "the history could not be opened: figures are not kept");
      this.#fault = error;
    }
  }
}
