import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { ObjectStore } from "../object-stores/object-store.ts";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { InventoryPass, type Inventory } from "./inventory-pass.ts";
import { ProbeFault, type ProbeFaultCode } from "./postgresql/postgresql-fault.ts";
import type { CopyFacts, Figure } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { ProbeTurns, type Found, type Turn } from "./probe-turns.ts";
import { RollingSample } from "./rolling-sample.ts";

export interface InventoryProbeOptions {
  readonly store: string;
  readonly copy: string;
  readonly domain: FailureDomain;
  /** Opened for reading; the probe closes it. A {@link ../object-stores/late-store.ts LateStore} bears one that is away at first. */
  readonly objects: ObjectStore;
  /** What every key of the copy begins with; empty for all. */
  readonly prefix: string;
  /** Objects that one turn lists; the next one goes on. Default {@link MOST_LISTED}. */
  readonly mostListed?: number;
  /** Some periods of this probe, milliseconds. Default {@link FRESH_FOR_MS}. */
  readonly freshForMs?: number;
  readonly clock: Clock;
}

/** Ten pages of S3. */
const MOST_LISTED = 10_000;
/** A listing costs money and time: it is made each minute, and not each second. */
const FRESH_FOR_MS = 300_000;

/** Objects under a prefix of a folder or of S3 that somebody else puts there: dumps, snapshots, files of another tool. */
export class InventoryProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: InventoryProbeOptions;
  readonly #turns: ProbeTurns;
  readonly #sample: RollingSample;
  #pass: InventoryPass | undefined;
  #last: Inventory | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: InventoryProbeOptions) {
    this.name = `inventory ${options.copy}`;
    this.store = options.store;
    this.#options = options;
    this.#turns = new ProbeTurns(options.clock);
    this.#sample = new RollingSample(options.objects, options.prefix);
  }

  probe(signal: AbortSignal): Promise<ProbeReading> {
    return this.#turns.run(signal, async (turn) => {
      try {
        await this.#list(turn);
        await this.#sample.step(turn.signal);
      } catch (error) {
        throw faultOf(error, turn.signal);
      }
      return this.#found(turn);
    });
  }

  async close(): Promise<void> {
    await this.#turns.close();
    this.#closed ??= this.#options.objects.close();
    await this.#closed;
  }

  async #list(turn: Turn): Promise<void> {
    const { objects, prefix, clock, mostListed = MOST_LISTED } = this.#options;
    // A turn that was given up has counted up to `after`, and the next one goes on from there.
    const pass = (this.#pass ??= new InventoryPass(turn.atMs));
    const { after } = pass;
    let listed = 0;
    for await (const object of objects.list(prefix, { signal: turn.signal, ...(after === undefined ? {} : { after }) })) {
      pass.count(object);
      if (++listed >= mostListed) return;
    }
    this.#last = pass.end(clock.wallMs());
    this.#pass = undefined;
  }

  #found({ atMs }: Turn): Found {
    const inventory = this.#last;
    const says = (value: (inventory: Inventory) => number): Figure<number> =>
      inventory === undefined ? unknown("the first listing has not come to its end", atMs) : known(value(inventory), measuredBy(inventory));
    const newest = inventory?.newest;
    const { damaged, compared, size } = this.#sample;
    const sampled = (value: number): Figure<number> =>
      compared === 0 && damaged.length === 0
        ? unknown("no object was read twice yet", atMs)
        : known(value, { atMs, method: "observed", errorMs: 0 });
    return {
      copies: [this.#copy(inventory, atMs)],
      figures: {
        inventory_objects: says(({ objects }) => objects),
        inventory_bytes: says(({ bytes }) => bytes),
        inventory_newest_object_timestamp_seconds:
          newest === undefined
            ? unknown("there is no object with content, as far as is known", atMs)
            : says(() => newest.modifiedAtMs / 1_000),
        inventory_damaged_objects: sampled(damaged.length),
        inventory_sound_objects: sampled(Math.max(0, size - damaged.length)),
      },
    };
  }

  #copy(inventory: Inventory | undefined, atMs: number): CopyFacts {
    const { copy, domain, freshForMs = FRESH_FOR_MS } = this.#options;
    const newest = inventory?.newest;
    const { damaged } = this.#sample;
    const nothing = unknown<number>("an inventory does not say what it lacks", atMs);
    return {
      name: copy,
      kind: "inventory",
      domain,
      outlivesProcess: true,
      freshForMs,
      recoveryPoint:
        inventory === undefined
          ? unknown("the first listing has not come to its end", atMs)
          : newest === undefined
            ? unknown("there is no object with content", atMs)
            : known({ commitMs: newest.modifiedAtMs, complete: false }, measuredBy(inventory)),
      missingBytes: nothing,
      missingTransactions: nothing,
      synchronous: known(false, { atMs, method: "observed", errorMs: 0 }),
      remarks: [
        "Its time is when its newest object was written, by the object store's clock: the data in it is older.",
        "Nobody has restored from it here: unproven.",
        ...((inventory?.empty ?? 0) > 0 ? [`${inventory?.empty ?? 0} of its objects are empty and count for nothing.`] : []),
        ...damaged.map((key) => `An object changed while its store says that it did not: ${printable(key)}.`),
      ],
    };
  }
}

/** What was there when the listing began is in it; what came later may be. */
function measuredBy({ beganMs, endedMs }: Inventory) {
  return { atMs: beganMs, method: "observed", errorMs: Math.max(0, endedMs - beganMs) } as const;
}

const CODES: Readonly<Record<string, ProbeFaultCode>> = {
  "TM-OBJECT-STORE-AWAY": "TM-PROBE-AWAY",
  "TM-OBJECT-NO-STORE": "TM-PROBE-AWAY",
  "TM-OBJECT-STORE-DENIED": "TM-PROBE-DENIED",
};

/** By the code alone: the store's own words may name places and keys. */
function faultOf(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return new ProbeFault("TM-PROBE-SLOW", "it did not answer in time", { cause: error });
  if (!(error instanceof TidemarkError)) return error;
  return new ProbeFault(CODES[error.code] ?? "TM-PROBE-FAILED", `the object store failed (${error.code})`, { cause: error });
}

function printable(key: string): string {
  // oxlint-disable-next-line no-control-regex
  return key.slice(0, 200).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}
