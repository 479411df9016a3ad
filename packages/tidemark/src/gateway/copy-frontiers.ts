// How far the copies of a store are, for the lives of writes: asked while a committed write waits to be seen on one, and not
// otherwise. The primary says what its receivers have flushed (the applier asks, on its connection), control says which of them is a
// vault and what is archived. Nobody's answer is waited for by a write.
import type { Clock, Timer } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { FromApplier } from "../applier/applier-link.ts";
import type { StoreReport } from "../control/cluster-status.ts";
import type { WriteLifeSampler } from "../metrics/write-life-sampler.ts";
import type { FrontierStage } from "../metrics/write-life.ts";

/** First wait before the primary is asked (again) what is flushed, doubled each time without a new commit, and the most. */
const FIRST_LOOK_MS = 2;
const MOST_LOOK_MS = 1_000;
/** Time between two questions to control, and how long it may take to answer. */
const CONTROL_EVERY_MS = 500;
const CONTROL_WITHIN_MS = 2_000;

type Copies = Extract<FromApplier, { type: "copies" }>;

/** Asks control: `cluster/internal-client.ts` in a gateway that runs. */
export interface ControlQuestion {
  request(request: { readonly path: string; readonly timeoutMs: number }): Promise<{ readonly status: number; readonly body: unknown }>;
}

interface FrontierWorld {
  readonly store: string;
  readonly sampler: WriteLifeSampler;
  /** Has the applier say `copies`; nothing happens where none runs. */
  readonly look: () => void;
  readonly control: ControlQuestion | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Watches one store's copies. */
export class CopyFrontiers {
  readonly #world: FrontierWorld;
  /** By the name under which a receiver stands in pg_stat_replication. */
  readonly #kinds = new Map<string, FrontierStage>();
  #lookMs = FIRST_LOOK_MS;
  #lookTimer: Timer | undefined;
  #controlTimer: Timer | undefined;
  #closed = false;

  constructor(world: FrontierWorld) {
    this.#world = world;
  }

  /** A write that is followed was committed: it wants to be seen soon. */
  committed(): void {
    this.#lookMs = FIRST_LOOK_MS;
    this.#lookTimer?.clear();
    this.#lookTimer = undefined;
    this.#lookSoon();
    if (this.#controlTimer === undefined) this.#askControlAfter(this.#kinds.size === 0 ? 0 : CONTROL_EVERY_MS);
  }

  /** What the applier heard from the primary. */
  heard({ timeline, copies }: Copies): void {
    const { store, sampler, clock } = this.#world;
    const atMs = clock.monotonicMs();
    for (const { name, flushed } of copies) {
      const stage = this.#kinds.get(name);
      if (stage !== undefined) sampler.frontier(store, stage, { atMs, lsn: flushed, timeline });
    }
    this.#lookSoon();
  }

  close(): void {
    this.#closed = true;
    this.#lookTimer?.clear();
    this.#controlTimer?.clear();
  }

  #lookSoon(): void {
    if (this.#closed || this.#lookTimer !== undefined) return;
    const awaited = this.#world.sampler.awaited(this.#world.store);
    if (!awaited.has("wal-received") && !awaited.has("standby-flushed")) return;
    this.#lookTimer = this.#world.clock.setTimer(
      this.#lookMs,
      () => {
        this.#lookTimer = undefined;
        this.#lookMs = Math.min(2 * this.#lookMs, MOST_LOOK_MS);
        this.#world.look();
        // An applier without a connection answers nothing.
        this.#lookSoon();
      },
      { keepAlive: false },
    );
  }

  #askControlAfter(waitMs: number): void {
    const { control, clock } = this.#world;
    if (this.#closed || control === undefined) return;
    this.#controlTimer = clock.setTimer(waitMs, () => void this.#askControl(control), { keepAlive: false });
  }

  async #askControl(control: ControlQuestion): Promise<void> {
    const { store, sampler, logger } = this.#world;
    try {
      const { status, body } = await control.request({ path: `/v1/stores/${store}`, timeoutMs: CONTROL_WITHIN_MS });
      if (status === 200) this.#take(body as StoreReport);
    } catch (error) {
      // Without control a life lacks what it would have said, and says so by lacking it.
      if (!(error instanceof TidemarkError)) logger.warn({ err: error, store }, "control's answer about the copies was not understood");
    }
    this.#controlTimer = undefined;
    // Also where only a receiver is awaited: it may be one that control has not named yet, such as a standby that was just made.
    if (sampler.awaited(store).size > 0) this.#askControlAfter(CONTROL_EVERY_MS);
  }

  #take(report: StoreReport): void {
    const { store, sampler, clock } = this.#world;
    const atMs = clock.monotonicMs();
    this.#kinds.clear();
    for (const { status } of report.nodes) if (status?.identity !== undefined) this.#kinds.set(status.identity, "standby-flushed");
    for (const { status } of report.vaults) {
      if (status?.identity !== undefined) this.#kinds.set(status.identity, "wal-received");
      for (const { recoveryPoint } of status?.vault?.archive?.stores ?? [])
        if (recoveryPoint !== undefined)
          sampler.frontier(store, "archived", { atMs, lsn: recoveryPoint.lsn, timeline: recoveryPoint.timeline });
    }
    this.#lookSoon();
  }
}
