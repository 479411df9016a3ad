// One store while it is observed: the newest word of each of its probes, and the facts that follow from them. Facts are made anew
// when somebody asks for them after a look, not at every look: a store with ten targets is merged once a second, not ten times.
import { assert } from "@tidemark/kernel/errors";
import type { PacedProbe, ProbeTurn } from "../probes/probe-runner.ts";
import type { CopyFacts, StoreFacts } from "../probes/probe-result.ts";
import type { ExpectedCopy } from "./expected-copy.ts";
import { mergeStore } from "./merge-store.ts";
import type { TargetView } from "./target-view.ts";
import { viewAfter } from "./target-view.ts";

/** What is to be looked at of a store. */
export interface StoreWatch {
  readonly store: string;
  readonly probes: readonly PacedProbe[];
  readonly expected: readonly ExpectedCopy[];
  /** See {@link StoreFacts.acknowledgedBy}. */
  readonly acknowledgedBy?: StoreFacts["acknowledgedBy"];
  /** Asked for each time the facts are made: the last proofs of recoveries from its copies, by the copy's name. */
  readonly proofs?: () => ReadonlyMap<string, NonNullable<CopyFacts["proof"]>>;
  /** Told of the facts each time they are made, such as to follow the primary. */
  readonly onFacts?: (facts: StoreFacts) => void;
}

/** How a target was looked at, for metrics. */
export interface TargetLook {
  readonly store: string;
  readonly target: string;
  readonly turn: ProbeTurn;
  /** Looks that failed since the observer started. */
  readonly failed: number;
}

/** Facts are made anew after so long also without a look, milliseconds: what is too old is not known any more. */
const MERGE_EVERY_MS = 5_000;

export class WatchedStore {
  readonly watch: StoreWatch;
  readonly #sinceMs: number;
  readonly #views = new Map<string, TargetView>();
  readonly #looks = new Map<string, TargetLook>();
  #facts: StoreFacts;
  #mergedMs: number;
  #isDirty = true;

  /** @param sinceMs wall time of the observer, for "not known since". */
  constructor(watch: StoreWatch, sinceMs: number) {
    this.watch = watch;
    this.#sinceMs = sinceMs;
    for (const { probe } of watch.probes) {
      assert(!this.#views.has(probe.name), `two probes of ${watch.store} are called ${probe.name}`);
      this.#views.set(probe.name, { target: probe.name });
    }
    this.#facts = this.#merge(sinceMs);
    this.#mergedMs = sinceMs;
  }

  take(turn: ProbeTurn): void {
    const { name } = turn.probe;
    const view = this.#views.get(name);
    if (view === undefined) return;
    this.#views.set(name, viewAfter(view, turn.reading));
    const failed = (this.#looks.get(name)?.failed ?? 0) + (turn.reading.ok ? 0 : 1);
    this.#looks.set(name, { store: this.watch.store, target: name, turn, failed });
    this.#isDirty = true;
  }

  /** As of `nowMs`, wall time of the observer, milliseconds. */
  facts(nowMs: number): StoreFacts {
    if (!this.#isDirty && Math.abs(nowMs - this.#mergedMs) < MERGE_EVERY_MS) return this.#facts;
    this.#facts = this.#merge(nowMs);
    this.#mergedMs = nowMs;
    this.#isDirty = false;
    this.watch.onFacts?.(this.#facts);
    return this.#facts;
  }

  /** The newest look at each target that was looked at. */
  looks(): Iterable<TargetLook> {
    return this.#looks.values();
  }

  #merge(nowMs: number): StoreFacts {
    const { store, expected, acknowledgedBy, proofs } = this.watch;
    return mergeStore({
      store,
      nowMs,
      sinceMs: this.#sinceMs,
      views: [...this.#views.values()],
      expected,
      ...(acknowledgedBy === undefined ? {} : { acknowledgedBy }),
      ...(proofs === undefined ? {} : { proofs: proofs() }),
    });
  }
}
