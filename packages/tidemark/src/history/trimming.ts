// What of the history goes, and when. Old rows are removed a few series at a time, so that no second waits for it. Where the
// content is larger than allowed less is kept: first of the seconds, then of the minutes, last of the hours.
import type { HistoryOptions } from "./history-options.ts";
import type { HistoryFile } from "./history-file.ts";
import type { Tier } from "./resolution.ts";
import { TIERS, TIER_MS } from "./resolution.ts";

/** Records between two passes, and between two looks at the size: seconds, more or less. */
const PASS_EVERY = 600;
const LOOK_EVERY = 60;
/** A pass takes so many records at most, and so many series a record at least. */
const PASS_RECORDS = 300;
const LEAST_SERIES = 50;

/** Each step keeps three quarters of the time of the step before; so many steps per resolution. */
const SQUEEZE = 0.75;
const SQUEEZE_STEPS = 10;
/** Below this share of the allowed size more is kept again. */
const RELAX_BELOW = 0.7;

/**
 * A clock that jumped by more than this may be wrong: nothing is removed by age until it has gone on for as many seconds. A wrong
 * clock that is set right within the hour removes nothing.
 */
const JUMP_MS = 3_600_000;
const SETTLED_RECORDS = 3_600;

/** Rows of a time that is further ahead than this are of a clock that was wrong. */
const FUTURE_MS = 86_400_000;

const STATEMENT = { seconds: "trimSeconds", minutes: "trimMinutes", hours: "trimHours" } as const;
/** What a row of each resolution covers, milliseconds: a block of seconds is a minute. */
const ROW_MS: Readonly<Record<Tier, number>> = { seconds: 60_000, minutes: TIER_MS.minutes, hours: TIER_MS.hours };

interface Pass {
  readonly nowMs: number;
  readonly cutoffMs: Readonly<Record<Tier, number>>;
  readonly series: readonly number[];
  next: number;
}

export class Trimming {
  readonly #options: HistoryOptions;
  #lastMs: number | undefined;
  #settled = SETTLED_RECORDS;
  #sincePass = 0;
  #sinceLook = 0;
  #squeeze = 0;
  #pass: Pass | undefined;

  /** @param lastMs the newest time that the file knows; undefined: it is new. */
  constructor(options: HistoryOptions, lastMs: number | undefined) {
    this.#options = options;
    this.#lastMs = lastMs;
  }

  /** To be called once a record, outside of a transaction. `before` is called with each series before anything of it goes. */
  step(
    nowMs: number,
    file: HistoryFile,
    around: { series: () => Iterable<number>; before: (series: number) => void; after: (series: number) => void },
  ): void {
    this.#observe(nowMs);
    this.#sincePass++;
    this.#sinceLook++;
    if (this.#pass === undefined && this.#settled >= SETTLED_RECORDS) this.#maybeBegin(nowMs, file, around.series);
    const pass = this.#pass;
    if (pass === undefined) return;
    const slice = Math.max(LEAST_SERIES, Math.ceil(pass.series.length / PASS_RECORDS));
    const series = pass.series.slice(pass.next, pass.next + slice);
    file.transaction(() => {
      for (const one of series) {
        around.before(one);
        for (const tier of TIERS) file.run(STATEMENT[tier], one, row(tier, pass.cutoffMs[tier]), row(tier, pass.nowMs + FUTURE_MS));
      }
    });
    for (const one of series) around.after(one);
    pass.next += series.length;
    if (pass.next >= pass.series.length) this.#pass = undefined;
  }

  #observe(nowMs: number): void {
    const jumped = this.#lastMs !== undefined && Math.abs(nowMs - this.#lastMs) > JUMP_MS;
    this.#settled = jumped ? 0 : this.#settled + 1;
    this.#lastMs = nowMs;
  }

  #maybeBegin(nowMs: number, file: HistoryFile, series: () => Iterable<number>): void {
    let due = this.#sincePass >= PASS_EVERY;
    if (this.#sinceLook >= LOOK_EVERY) {
      this.#sinceLook = 0;
      const used = file.usedBytes();
      if (used > this.#options.mostBytes) {
        this.#squeeze = Math.min(this.#squeeze + 1, SQUEEZE_STEPS * TIERS.length);
        due = true;
      } else if (used < this.#options.mostBytes * RELAX_BELOW) this.#squeeze = Math.max(0, this.#squeeze - 1);
    }
    if (!due) return;
    this.#sincePass = 0;
    const cutoffMs = {
      seconds: nowMs - this.#keptMs("seconds", this.#options.keepSecondsMs),
      minutes: nowMs - this.#keptMs("minutes", this.#options.keepMinutesMs),
      hours: nowMs - this.#keptMs("hours", this.#options.keepHoursMs),
    };
    file.transaction(() => {
      for (const tier of TIERS) file.run("setKept", tier, Math.max(0, (row(tier, cutoffMs[tier]) + 1) * ROW_MS[tier]));
    });
    this.#pass = { nowMs, cutoffMs, series: [...series()], next: 0 };
  }

  #keptMs(tier: Tier, wantedMs: number): number {
    const steps = Math.min(SQUEEZE_STEPS, Math.max(0, this.#squeeze - TIERS.indexOf(tier) * SQUEEZE_STEPS));
    return wantedMs * SQUEEZE ** steps;
  }
}

function row(tier: Tier, ms: number): number {
  return Math.floor(ms / ROW_MS[tier]);
}
