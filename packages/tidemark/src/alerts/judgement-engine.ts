// Judgement: from an observation each second to alerts, and from an alert's transitions to what receivers are owed. Decides first
// (rules, lifecycles), then writes all changes of one observation in one transaction, then tells the courier. Called from one
// place, one observation at a time; an observation costs no I/O while nothing changes.
import type { Clock } from "@tidemark/kernel/clock";
import { formatDuration } from "@tidemark/kernel/duration";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import { uuidV7 } from "@tidemark/kernel/random";
import type { AuditRecord } from "../audit/audit-entry.ts";
import type { SliceBucket } from "../slo/slice-counts.ts";
import type { Alert, EndReason, Notification } from "./alert.ts";
import type { AlertFile, KeptAlert } from "./alert-file.ts";
import type { Lifecycle } from "./alert-lifecycle.ts";
import { INACTIVE, stepLifecycle } from "./alert-lifecycle.ts";
import type { Judged } from "./judge.ts";
import { Judge } from "./judge.ts";
import type { JudgementSettings } from "./judgement-settings.ts";
import { SettledJudgement } from "./judgement-settings.ts";
import type { Observation } from "./observation.ts";
import type { Outbox } from "./outbox.ts";
import type { Silence, SilenceRequest } from "./silence.ts";
import { checkSilence, MOST_SILENCES, silences } from "./silence.ts";
import { fingerprintOf } from "./subject-key.ts";

/** The most alerts that are pending or firing; beyond it nothing new begins, which is logged and counted in stats(). */
const MOST_ALERTS = 10_000;

/** A subject that is in no observation for so long is no longer configured; its alert ends. */
const GONE_AFTER_MS = 5 * 60_000;

export interface JudgementWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where silences are written down: the audit log. */
  readonly audit: { append(record: AuditRecord): Promise<unknown> };
  /** Called at the points at which a crash would tell the most; tests end the process there. */
  readonly checkpoint?: (name: "before-commit" | "after-commit") => void;
}

/** What an observation changed. */
export interface Judgement {
  readonly began: readonly Alert[];
  readonly ended: readonly Alert[];
}

interface Active {
  alert: KeptAlert;
  life: Lifecycle;
  touchedAtMs: number;
}

interface Change {
  readonly active: Active;
  readonly kind: "pending" | "firing" | "dropped" | "ended" | "told";
  readonly ended?: EndReason;
}

export class JudgementEngine {
  readonly #file: AlertFile;
  readonly #outbox: Outbox;
  readonly #settings: SettledJudgement;
  readonly #world: JudgementWorld;
  readonly #judge: Judge;
  readonly #active = new Map<string, Active>();
  #silences: Silence[];
  #writes: (() => void)[] = [];
  #refused = 0;

  /** Takes up what the file has. Throws TM-ALERT-SETTING and TM-ALERT-STORE. */
  constructor(parts: { file: AlertFile; outbox: Outbox; settings: JudgementSettings; world: JudgementWorld }) {
    this.#file = parts.file;
    this.#outbox = parts.outbox;
    this.#settings = new SettledJudgement(parts.settings);
    this.#world = parts.world;
    this.#judge = new Judge(this.#settings, {
      copySeen: (store, name, atMs) => this.#writes.push(() => this.#file.putCopy(store, name, atMs)),
      usualPeak: (service, scenario, peakMs) => this.#writes.push(() => this.#file.putUsualPeak(service, scenario, peakMs)),
    });
    const nowMs = parts.world.clock.wallMs();
    for (const alert of this.#file.alerts())
      this.#active.set(alert.key, { alert, life: { phase: alert.state, sinceMs: alert.sinceMs }, touchedAtMs: nowMs });
    for (const { store, name, seenAtMs } of this.#file.copies()) this.#judge.recallCopy(store, name, seenAtMs);
    for (const { service, scenario, peakMs } of this.#file.usualPeaks()) this.#judge.recallPeak(service, scenario, peakMs);
    this.#silences = this.#file.silences();
    const dropped = this.#outbox.keepOnly(this.#settings.receivers.map(({ name }) => name));
    if (dropped > 0) this.#world.logger.warn({ dropped }, "receivers that were owed alerts are no longer configured");
  }

  /**
   * What history knows of the time before this process, for burn rates: buckets of a minute or finer of the last three days, in
   * order of time, and since when the objective has been in force. Once per service and scenario, before the first observation.
   */
  restoreSlices(of: { service: string; scenario: string }, sinceMs: number, buckets: Iterable<SliceBucket>): void {
    this.#judge.recallSlices({ ...of, nowMs: this.#world.clock.wallMs() }, sinceMs, buckets);
  }

  /**
   * Judges what was seen at `atMs` (wall time, milliseconds). When it returns, every transition and what it owes to receivers is
   * durable. Throws TM-ALERT-STORE when the file cannot be written: nothing of this observation counts then, and judgement has
   * to be opened anew.
   */
  observe(atMs: number, observation: Observation): Judgement {
    const changes: Change[] = [];
    const receivers = this.#settings.receivers.map(({ name }) => this.#outbox.facts(name, atMs));
    const input = { nowMs: atMs, observation, receivers, isFiring: (key: string) => this.#active.get(key)?.life.phase === "firing" };
    for (const judged of this.#judge.judge(input)) {
      const change = this.#step(judged, atMs);
      if (change !== undefined) changes.push(change);
    }
    this.#endWhatIsGone(atMs, observation, changes);
    this.#tellWhatWasSilent(atMs, changes);
    this.#apply(changes, atMs);
    const of = (kind: Change["kind"]): Alert[] => changes.filter((change) => change.kind === kind).map(({ active }) => active.alert);
    return { began: of("firing"), ended: of("ended") };
  }

  /** Pending and firing alerts, and whether a silence is in force for each. */
  alerts(nowMs: number = this.#world.clock.wallMs()): (Alert & { readonly silencedBy?: string })[] {
    return [...this.#active.values()].map(({ alert }) => {
      const { key: _key, firingTransition: _transition, ...plain } = alert;
      const silence = this.#silenceOf(alert, nowMs);
      return silence === undefined ? plain : { ...plain, silencedBy: silence.id };
    });
  }

  /** What fires and was told, as the notification with which it was told, with its newest figures: for receivers that want it repeated. */
  told(): Notification[] {
    return [...this.#active.values()].flatMap(({ alert }) =>
      alert.state !== "firing" || !alert.notified || alert.firingTransition === undefined
        ? []
        : [{ ...notificationOf(alert, "firing"), id: this.#file.notificationId(alert.firingTransition) }],
    );
  }

  /** The newest transitions, newest first; at most 10,000 are kept. */
  transitions(most: number): Notification[] {
    return this.#file.transitions(most);
  }

  /** Those that have not ended. */
  silences(): readonly Silence[] {
    const nowMs = this.#world.clock.wallMs();
    return this.#silences.filter(({ endsAtMs }) => endsAtMs > nowMs);
  }

  /**
   * Puts a silence in force, after it was written to the audit log. Alerts that receivers were told of before stay told: their end
   * is told as well. Rejects with TM-ALERT-SILENCE, or with what the audit log rejects with: then there is no silence.
   */
  async silence(request: SilenceRequest): Promise<Silence> {
    const nowMs = this.#world.clock.wallMs();
    checkSilence(request, nowMs);
    if (this.silences().length >= MOST_SILENCES)
      throw new TidemarkError("TM-ALERT-SILENCE", `a silence beyond the ${MOST_SILENCES} that are in force`);
    const { matchers, endsAtMs, who, why } = request;
    const silence: Silence = {
      id: uuidV7(nowMs, this.#world.random),
      matchers,
      startsAtMs: nowMs,
      endsAtMs,
      who: who.trim(),
      why: why.trim(),
    };
    await this.#world.audit.append({
      who: silence.who,
      action: "silence-alerts",
      subject: Object.entries(matchers)
        .map(([name, value]) => `${name}=${value}`)
        .join(" "),
      reason: silence.why,
      facts: { silence: silence.id, until: new Date(endsAtMs).toISOString() },
    });
    this.#file.transaction(() => {
      this.#file.removeSilencesBefore(nowMs);
      this.#file.putSilence(silence);
    });
    this.#silences = [...this.silences(), silence];
    return silence;
  }

  /** Ends a silence before its time. What fires and was held back is told at the next observation. Rejects with TM-ALERT-NO-SILENCE. */
  async endSilence(id: string, by: { who: string; why: string }): Promise<void> {
    const silence = this.silences().find((candidate) => candidate.id === id);
    if (silence === undefined) throw new TidemarkError("TM-ALERT-NO-SILENCE", `no silence ${id.slice(0, 64)} is in force`);
    await this.#world.audit.append({ who: by.who, action: "end-silence", subject: id, reason: by.why, facts: {} });
    const ended = { ...silence, endsAtMs: this.#world.clock.wallMs() };
    this.#file.transaction(() => this.#file.putSilence(ended));
    this.#silences = this.#silences.map((one) => (one.id === id ? ended : one));
  }

  /** A copy was taken away on purpose: its alert ends, and it is not missed any more. Answers whether it was known: seen, or the subject of an alert. */
  async forgetCopy(of: { store: string; copy: string }, by: { who: string; why: string }): Promise<boolean> {
    await this.#world.audit.append({ who: by.who, action: "forget-copy", subject: `${of.store}/${of.copy}`, reason: by.why, facts: {} });
    const known = this.#judge.forgetCopy(of.store, of.copy);
    const nowMs = this.#world.clock.wallMs();
    this.#writes.push(() => this.#file.removeCopy(of.store, of.copy));
    const changes = [...this.#active.values()]
      .filter(({ alert }) => alert.rule === "copy-lost" && alert.subject.store === of.store && alert.subject.copy === of.copy)
      .map((active) => this.#end(active, "gone"));
    this.#apply(changes, nowMs);
    return known || changes.length > 0;
  }

  /** For metrics. */
  stats(): { readonly pending: number; readonly firing: number; readonly refused: number } {
    let firing = 0;
    for (const { life } of this.#active.values()) if (life.phase === "firing") firing++;
    return { pending: this.#active.size - firing, firing, refused: this.#refused };
  }

  #step(judged: Judged, nowMs: number): Change | undefined {
    const { rule, key, verdict } = judged;
    const active = this.#active.get(key);
    if (active !== undefined) active.touchedAtMs = nowMs;
    else if (verdict.kind !== "holds") return undefined;
    const durations = this.#settings.durationsOf(rule, verdict.kind === "holds" ? verdict.forMs : undefined);
    const before = active?.life ?? INACTIVE;
    const life = stepLifecycle(before, verdict.kind, { nowMs, durations });
    if (verdict.kind === "holds") {
      if (active === undefined) return this.#begin(judged, life, nowMs);
      const { summary, evidence } = verdict;
      active.alert = { ...active.alert, summary, evidence };
    }
    if (active === undefined || life === before) return undefined;
    active.life = life;
    if (life.phase === "inactive") return this.#end(active, "clear");
    if (before.phase === "pending" && life.phase === "firing") {
      active.alert = { ...active.alert, state: "firing", startsAtMs: nowMs };
      return { active, kind: "firing" };
    }
    return undefined;
  }

  #begin({ rule, key, subject, owner, verdict }: Judged, life: Lifecycle, nowMs: number): Change | undefined {
    if (verdict.kind !== "holds") return undefined;
    if (this.#active.size >= MOST_ALERTS) {
      if (this.#refused === 0) this.#world.logger.error({ rule: rule.name, most: MOST_ALERTS }, "too many alerts: new ones do not begin");
      this.#refused++;
      return undefined;
    }
    const firing = life.phase === "firing";
    const alert: KeptAlert = {
      fingerprint: fingerprintOf(key),
      key,
      rule: rule.name,
      subject,
      state: firing ? "firing" : "pending",
      severity: this.#settings.severityOf(rule),
      ...(owner === undefined ? {} : { owner }),
      group: subject.service ?? subject.store ?? subject.vault ?? subject.receiver ?? rule.name,
      sinceMs: life.sinceMs,
      ...(firing ? { startsAtMs: nowMs } : {}),
      summary: verdict.summary,
      evidence: verdict.evidence,
      notified: false,
    };
    const active: Active = { alert, life, touchedAtMs: nowMs };
    this.#active.set(key, active);
    return { active, kind: firing ? "firing" : "pending" };
  }

  #end(active: Active, ended: EndReason): Change {
    this.#active.delete(active.alert.key);
    return active.alert.state === "firing" ? { active, kind: "ended", ended } : { active, kind: "dropped" };
  }

  #endWhatIsGone(nowMs: number, observation: Observation, changes: Change[]): void {
    const silentVaults = new Set(observation.vaults.filter(({ status }) => status === undefined).map(({ vault }) => vault));
    for (const active of this.#active.values()) {
      if (this.#settings.isOff(active.alert.rule)) changes.push(this.#end(active, "off"));
      else if (active.alert.subject.vault !== undefined && silentVaults.has(active.alert.subject.vault)) active.touchedAtMs = nowMs;
      else if (active.touchedAtMs > nowMs) active.touchedAtMs = nowMs;
      else if (nowMs - active.touchedAtMs >= GONE_AFTER_MS) changes.push(this.#end(active, "gone"));
    }
  }

  /** Alerts that still fire when the silence that held them back is over. */
  #tellWhatWasSilent(nowMs: number, changes: Change[]): void {
    for (const active of this.#active.values()) {
      const { state, notified, firingTransition } = active.alert;
      // One that is about to end is left to end untold.
      if (active.life.clearSinceMs !== undefined) continue;
      if (state === "firing" && !notified && firingTransition !== undefined && this.#silenceOf(active.alert, nowMs) === undefined)
        changes.push({ active, kind: "told" });
    }
  }

  #apply(changes: readonly Change[], nowMs: number): void {
    const writes = this.#writes;
    if (changes.length === 0 && writes.length === 0) return;
    this.#writes = [];
    let queued = 0;
    this.#file.transaction(() => {
      for (const write of writes) write();
      for (const change of changes) queued += this.#write(change, nowMs);
      if (changes.length > 0) this.#world.checkpoint?.("before-commit");
    });
    if (changes.length > 0) this.#world.checkpoint?.("after-commit");
    if (queued > 0) this.#outbox.announce();
    for (const { active, kind } of changes) {
      const { rule, subject, summary } = active.alert;
      if (kind === "firing" || kind === "ended")
        this.#world.logger.warn({ rule, ...subject, summary }, kind === "firing" ? "alert" : "alert ended");
    }
  }

  /** Writes one change with what it owes. Answers how many deliveries were queued. */
  #write({ active, kind, ended }: Change, nowMs: number): number {
    if (kind === "dropped") {
      this.#file.removeAlert(active.alert.fingerprint);
      return 0;
    }
    if (kind === "pending") {
      this.#file.putAlert(active.alert);
      return 0;
    }
    if (kind === "told") {
      active.alert = { ...active.alert, notified: true };
      this.#file.putAlert(active.alert);
      return this.#queue(active.alert, active.alert.firingTransition ?? 0, nowMs);
    }
    if (kind === "ended") {
      const { alert } = active;
      const transition = this.#file.addTransition(
        { ...notificationOf(alert, "resolved"), summary: overSummary(alert, nowMs), endsAtMs: nowMs, ended: ended ?? "clear" },
        nowMs,
      );
      this.#file.removeAlert(alert.fingerprint);
      // Whoever was never told of it needs not hear that it is over.
      return alert.notified ? this.#queue(alert, transition, nowMs) : 0;
    }
    const firingTransition = this.#file.addTransition(notificationOf(active.alert, "firing"), nowMs);
    const notified = this.#silenceOf(active.alert, nowMs) === undefined;
    active.alert = { ...active.alert, firingTransition, notified };
    this.#file.putAlert(active.alert);
    return notified ? this.#queue(active.alert, firingTransition, nowMs) : 0;
  }

  #queue(alert: KeptAlert, transition: number, nowMs: number): number {
    const receivers = this.#settings.receiversOf(alert.severity);
    for (const receiver of receivers) {
      const givenUp = this.#outbox.queue({ receiver, transition, fingerprint: alert.fingerprint, nowMs });
      if (givenUp > 0) this.#world.logger.error({ receiver, givenUp }, "deliveries of alerts were given up: too many or too old");
    }
    return receivers.length;
  }

  #silenceOf(alert: Alert, nowMs: number): Silence | undefined {
    return this.#silences.length === 0 ? undefined : this.#silences.find((silence) => silences(silence, alert, nowMs));
  }
}

/** What was said last was so then: whoever hears that it is over must not take it for now. */
function overSummary({ summary, startsAtMs, sinceMs }: KeptAlert, nowMs: number): string {
  return `over after ${formatDuration(Math.max(0, nowMs - (startsAtMs ?? sinceMs)))}; it was: ${summary}`;
}

function notificationOf(alert: KeptAlert, kind: Notification["kind"]): Omit<Notification, "id"> {
  const { fingerprint, rule, subject, severity, owner, group, summary, evidence, startsAtMs, sinceMs } = alert;
  return {
    kind,
    fingerprint,
    rule,
    subject,
    severity,
    ...(owner === undefined ? {} : { owner }),
    group,
    summary,
    evidence,
    startsAtMs: startsAtMs ?? sinceMs,
  };
}
