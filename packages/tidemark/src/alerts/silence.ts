// Silences: alerts that match one are judged and recorded as ever, and nobody is told. Each has an end, a person and a reason.
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Alert } from "./alert.ts";

/** The parts of an alert that a silence can name. All that are given have to be equal. */
export const MATCHABLE = ["rule", "severity", "owner", "service", "scenario", "store", "copy", "vault", "archive", "receiver"] as const;

export type Matchers = Readonly<Partial<Record<(typeof MATCHABLE)[number], string>>>;

export interface SilenceRequest {
  readonly matchers: Matchers;
  /** Wall time, milliseconds. */
  readonly endsAtMs: number;
  /** As in the audit log: `token:<name>` or `user:<name>`. */
  readonly who: string;
  readonly why: string;
}

export interface Silence extends SilenceRequest {
  readonly id: string;
  readonly startsAtMs: number;
}

/** A silence that nobody ends must not hide an alert for ever. */
const LONGEST_MS = 30 * 86_400_000;

/** The most that are in force at one time. */
export const MOST_SILENCES = 1_000;

const LONGEST_TEXT = 1_000;

/** Throws TM-ALERT-SILENCE where something is missing that somebody will ask for. */
export function checkSilence(request: SilenceRequest, nowMs: number): void {
  const wrong = (what: string): TidemarkError => new TidemarkError("TM-ALERT-SILENCE", `a silence ${what}`);
  const entries = Object.entries(request.matchers);
  if (entries.length === 0) throw wrong("about everything was asked for: name a rule, a service, a store or the like");
  for (const [name, value] of entries) {
    if (!(MATCHABLE as readonly string[]).includes(name)) throw wrong(`about "${name.slice(0, 40)}": there are ${MATCHABLE.join(", ")}`);
    if (typeof value !== "string" || value === "" || value.length > LONGEST_TEXT) throw wrong(`with an empty or overlong ${name}`);
  }
  if (!Number.isFinite(request.endsAtMs) || request.endsAtMs <= nowMs) throw wrong("without an end in the future");
  if (request.endsAtMs - nowMs > LONGEST_MS) throw wrong("of more than 30 days");
  for (const part of ["who", "why"] as const) {
    const text = request[part].trim();
    if (text === "" || text.length > LONGEST_TEXT) throw wrong(`without ${part === "who" ? "a person" : "a reason"}`);
  }
}

/** Whether the silence holds back what is told of this alert at `nowMs`. */
export function silences(silence: Silence, alert: Pick<Alert, "rule" | "severity" | "owner" | "subject">, nowMs: number): boolean {
  if (nowMs >= silence.endsAtMs) return false;
  return Object.entries(silence.matchers).every(([name, wanted]) => {
    if (name === "rule" || name === "severity" || name === "owner") return alert[name] === wanted;
    const value = alert.subject[name as keyof Alert["subject"]];
    // A store of several services is silent only when each of them is: the others' owners asked for nothing.
    if (name === "service") return value !== undefined && value.split(",").every((service) => service === wanted);
    return value === wanted;
  });
}
