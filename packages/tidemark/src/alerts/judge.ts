// Runs every rule over an observation. Keeps what the rules look back on (the newest seconds, trends, the copies that were seen)
// and tells each verdict; what becomes of it is the engine's.
import type { ScenarioExposure } from "../exposure/exposure.ts";
import type { StoreFacts } from "../probes/probe-result.ts";
import type { SliceBucket } from "../slo/slice-counts.ts";
import { SliceSeries } from "../slo/slice-series.ts";
import { sliceQuality } from "../slo/time-slice.ts";
import type { Subject } from "./alert.ts";
import { ExposureTrend } from "./exposure-trend.ts";
import type { SettledJudgement } from "./judgement-settings.ts";
import type { Observation, ReceiverFacts, VaultFacts } from "./observation.ts";
import { RECEIVER_RULES, SCENARIO_RULES, STORE_RULES, VAULT_RULES } from "./rule-table.ts";
import type { Rule, ScenarioRule, SubjectVerdict, Verdict } from "./rules/rule.ts";
import { subjectKey } from "./subject-key.ts";

export interface Judged {
  readonly rule: Rule;
  readonly key: string;
  readonly subject: Subject;
  readonly owner: string | undefined;
  readonly verdict: Verdict;
}

/** What is new to remember durably. */
export interface Noticed {
  copySeen(store: string, name: string, atMs: number): void;
  usualPeak(service: string, scenario: string, peakMs: number): void;
}

export interface JudgeInput {
  readonly nowMs: number;
  readonly observation: Observation;
  readonly receivers: readonly ReceiverFacts[];
  /** Whether the alert of this key fires now. */
  readonly isFiring: (key: string) => boolean;
}

interface ScenarioMemory {
  readonly series: SliceSeries;
  readonly trend: ExposureTrend;
  readonly keys: ReadonlyMap<ScenarioRule, string>;
  readonly subject: Subject;
  writtenPeakMs: number;
}

/** Seconds that a copy's last sight may be older on disk than it is. */
const SIGHT_WRITTEN_EVERY_MS = 3_600_000;

/** A peak that changed by less than this share is not written again. */
const PEAK_CHANGE = 0.2;

/** The most scenarios of services that are remembered: 10 KB each. Beyond it those that came first are kept. */
const MOST_SCENARIOS = 20_000;

export class Judge {
  readonly #settings: SettledJudgement;
  readonly #noticed: Noticed;
  readonly #scenarios = new Map<string, ScenarioMemory>();
  readonly #peaks = new Map<string, number>();
  readonly #seen = new Map<string, Map<string, { atMs: number; writtenMs: number }>>();

  constructor(settings: SettledJudgement, noticed: Noticed) {
    this.#settings = settings;
    this.#noticed = noticed;
  }

  /** What was written before a restart. */
  recallCopy(store: string, name: string, atMs: number): void {
    this.#seenOf(store).set(name, { atMs, writtenMs: atMs });
  }

  recallPeak(service: string, scenario: string, peakMs: number): void {
    this.#peaks.set(`${service}\0${scenario}`, peakMs);
  }

  /** What history knows of the seconds before a restart, in order of time. */
  recallSlices(of: { service: string; scenario: string; nowMs: number }, sinceMs: number, buckets: Iterable<SliceBucket>): void {
    this.#memoryOf(of, of.nowMs)?.series.restore(sinceMs, buckets);
  }

  forgetCopy(store: string, name: string): boolean {
    return this.#seen.get(store)?.delete(name) ?? false;
  }

  *judge(input: JudgeInput): Generator<Judged> {
    for (const exposure of input.observation.exposures) yield* this.#judgeScenario(exposure, input);
    for (const facts of input.observation.stores) yield* this.#judgeStore(facts, input.nowMs);
    for (const vault of input.observation.vaults) yield* this.#judgeVault(vault, input.nowMs);
    for (const facts of input.receivers) {
      const subject = { receiver: facts.receiver };
      for (const rule of RECEIVER_RULES) {
        if (!this.#settings.isOff(rule.name))
          yield { rule, key: subjectKey(rule.name, subject), subject, owner: undefined, verdict: rule.judge(facts) };
      }
    }
  }

  *#judgeScenario(exposure: ScenarioExposure, { nowMs, isFiring }: JudgeInput): Generator<Judged> {
    const { objective } = exposure;
    const quality = sliceQuality(exposure);
    if (objective === undefined || quality === undefined) return;
    const memory = this.#memoryOf(exposure, nowMs);
    if (memory === undefined) return;
    memory.series.record(nowMs, quality);
    if (exposure.exposureMs.known) memory.trend.add(nowMs, exposure.exposureMs.value);
    this.#noticePeak(exposure, memory);
    const target = this.#settings.targetOf(exposure.service);
    const owner = this.#settings.ownerOf(exposure.service);
    for (const rule of SCENARIO_RULES) {
      if (this.#settings.isOff(rule.name)) continue;
      const key = memory.keys.get(rule) ?? "";
      const verdict = rule.judge({
        nowMs,
        exposure,
        objective,
        target,
        trend: memory.trend,
        firing: isFiring(key),
        counts: (windowMs) => memory.series.counts(windowMs, nowMs),
      });
      yield { rule, key, subject: memory.subject, owner, verdict };
    }
  }

  *#judgeStore(facts: StoreFacts, nowMs: number): Generator<Judged> {
    const seen = this.#seenOf(facts.store);
    const users = this.#settings.usersOf(facts.store);
    for (const { name, kind, recoveryPoint } of facts.copies) {
      // A standby that was promoted is no copy that is lost: the others are then copies of it.
      if (kind === "primary") this.#noticePromotion(facts.store, name);
      else if (recoveryPoint.known) this.#noticeCopy({ store: facts.store, name, nowMs });
    }
    const last = new Map([...seen].map(([name, { atMs }]) => [name, atMs]));
    const base = { store: facts.store, ...(users.service === undefined ? {} : { service: users.service }) };
    for (const rule of STORE_RULES) {
      if (this.#settings.isOff(rule.name)) continue;
      yield* told(rule, rule.judge({ nowMs, facts, seen: last, mostProofAgeMs: users.mostProofAgeMs }), { base, owner: users.owner });
    }
  }

  *#judgeVault({ store, vault, status }: VaultFacts, nowMs: number): Generator<Judged> {
    if (status === undefined) return;
    const users = this.#settings.usersOf(store);
    const base = { store, vault, ...(users.service === undefined ? {} : { service: users.service }) };
    for (const rule of VAULT_RULES) {
      if (!this.#settings.isOff(rule.name)) yield* told(rule, rule.judge({ nowMs, status }), { base, owner: users.owner });
    }
  }

  #memoryOf(of: { service: string; scenario: string }, nowMs: number): ScenarioMemory | undefined {
    const name = `${of.service}\0${of.scenario}`;
    const known = this.#scenarios.get(name);
    if (known !== undefined || this.#scenarios.size >= MOST_SCENARIOS) return known;
    const subject = { service: of.service, scenario: of.scenario };
    const peak = this.#peaks.get(name);
    const memory: ScenarioMemory = {
      series: new SliceSeries(nowMs),
      trend: new ExposureTrend(peak),
      keys: new Map(SCENARIO_RULES.map((rule) => [rule, subjectKey(rule.name, subject)])),
      subject,
      writtenPeakMs: peak ?? 0,
    };
    this.#scenarios.set(name, memory);
    return memory;
  }

  #noticePeak(exposure: ScenarioExposure, memory: ScenarioMemory): void {
    const peak = memory.trend.usualPeakMs;
    // Only a peak that the rule could ask for.
    if (peak === undefined || peak <= (exposure.objective?.rpoMs ?? 0) / 2) return;
    if (Math.abs(peak - memory.writtenPeakMs) <= memory.writtenPeakMs * PEAK_CHANGE) return;
    memory.writtenPeakMs = peak;
    this.#noticed.usualPeak(exposure.service, exposure.scenario, peak);
  }

  #noticeCopy({ store, name, nowMs }: { store: string; name: string; nowMs: number }): void {
    const seen = this.#seenOf(store);
    const before = seen.get(name);
    const write = before === undefined || Math.abs(nowMs - before.writtenMs) >= SIGHT_WRITTEN_EVERY_MS;
    seen.set(name, { atMs: nowMs, writtenMs: write ? nowMs : before.writtenMs });
    if (write) this.#noticed.copySeen(store, name, nowMs);
  }

  #noticePromotion(store: string, name: string): void {
    this.#seen.get(store)?.delete(name);
  }

  #seenOf(store: string): Map<string, { atMs: number; writtenMs: number }> {
    const seen = this.#seen.get(store) ?? new Map<string, { atMs: number; writtenMs: number }>();
    this.#seen.set(store, seen);
    return seen;
  }
}

function* told(rule: Rule, verdicts: readonly SubjectVerdict[], of: { base: Subject; owner: string | undefined }): Generator<Judged> {
  for (const { subject, verdict } of verdicts) {
    const whole = { ...of.base, ...subject };
    yield { rule, key: subjectKey(rule.name, whole), subject: whole, owner: of.owner, verdict };
  }
}
