// Judgement as a service: opens its file, takes up what stood there, judges each second and delivers. After a fault of the file nothing of that
// second counts; it is opened anew (FAIL-STOP), and meanwhile nothing is judged, which is said and not passed over.
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Service } from "@tidemark/kernel/service";
import type { JudgementEngine } from "../alerts/judgement-engine.ts";
import type { Observation } from "../alerts/observation.ts";
import { openJudgement, type OpenJudgement } from "../alerts/open-judgement.ts";
import type { History } from "../history/history.ts";
import { keptSlices } from "../slo/slice-history.ts";

/** Burn rates look back so far, milliseconds. */
const LOOK_BACK_MS = 3 * 86_400_000;
/** A bucket a minute: judgement takes no wider ones. */
const LOOK_BACK_POINTS = LOOK_BACK_MS / 60_000 + 1;

export interface JudgementServiceOptions extends Omit<Parameters<typeof openJudgement>[0], "world"> {
  readonly world: Parameters<typeof openJudgement>[0]["world"];
  readonly history: Pick<History, "range">;
  /** Services and scenarios with an objective. */
  readonly subjects: readonly { readonly service: string; readonly scenario: string }[];
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

export class JudgementService implements Service {
  readonly name = "judgement";
  readonly #options: JudgementServiceOptions;
  #open: { readonly parts: OpenJudgement; readonly fail: (error: unknown) => void } | undefined;

  constructor(options: JudgementServiceOptions) {
    this.#options = options;
  }

  /** As it is now. Throws TM-ALERT-STORE while it is not open. */
  get engine(): JudgementEngine {
    if (this.#open === undefined)
      throw new TidemarkError("TM-ALERT-STORE", "judgement is not open: its file could not be opened or written");
    return this.#open.parts.engine;
  }

  /** The lines to receivers; none while it is not open. */
  get deliveries(): ReturnType<OpenJudgement["courier"]["stats"]> {
    return this.#open?.parts.courier.stats() ?? [];
  }

  /** Judges what was seen at `atMs`. Never throws: after a fault `run` rejects with it. Nothing is judged while it is not open. */
  observe(atMs: number, observation: Observation): void {
    const open = this.#open;
    if (open === undefined) return;
    try {
      open.parts.engine.observe(atMs, observation);
    } catch (error) {
      open.fail(error);
    }
  }

  /** Judges and delivers until `signal` aborts. May be run again after it rejected: with TM-ALERT-STORE, or with a bug. */
  async run(signal: AbortSignal): Promise<void> {
    const parts = openJudgement(this.#options);
    const failed = new AbortController();
    try {
      this.#recall(parts.engine);
      this.#open = { parts, fail: (error) => failed.abort(error) };
      const stop = AbortSignal.any([signal, failed.signal]);
      // With nobody to tell, the courier has nothing to do.
      await Promise.all([parts.courier.run(stop), aborted(stop)]);
      if (!signal.aborted) failed.signal.throwIfAborted();
    } finally {
      this.#open = undefined;
      parts.close();
    }
  }

  /** Without the history the time before counts as not looked at: burn rates then begin anew, and say no more than they know. */
  #recall(engine: JudgementEngine): void {
    const { history, subjects, world } = this.#options;
    const nowMs = world.clock.wallMs();
    for (const subject of subjects) {
      try {
        const { sinceMs, buckets } = keptSlices(history, subject, { fromMs: nowMs - LOOK_BACK_MS, toMs: nowMs, points: LOOK_BACK_POINTS });
        if (sinceMs !== undefined) engine.restoreSlices(subject, sinceMs, buckets);
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error;
        world.logger.warn({ err: error }, "burn rates begin anew: the history of the time before could not be read");
        return;
      }
    }
  }
}
