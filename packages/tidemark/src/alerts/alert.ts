// Alerts as plain data: what judgement says, what is kept, what receivers get. Times are wall time, milliseconds.

/** `page`: somebody is needed now, at any hour. `ticket`: somebody is needed in working hours. */
export type Severity = "page" | "ticket";

/** What an alert is about. Together with the rule's name it is the alert's identity: the same subject never has two. */
export interface Subject {
  /** One service, or the services that use the store, sorted and joined by commas. */
  readonly service?: string;
  readonly scenario?: string;
  readonly store?: string;
  readonly copy?: string;
  readonly vault?: string;
  /** An object store of a vault. */
  readonly archive?: string;
  readonly receiver?: string;
}

/** Figures and words that a rule judged by. Never secrets; an unknown figure is left out or says so in words. */
export type Evidence = Readonly<Record<string, string | number | boolean>>;

export interface Alert {
  /** 16 hexadecimal digits, of the rule's name and the subject. */
  readonly fingerprint: string;
  /** The rule's name, which is also its runbook page's. */
  readonly rule: string;
  readonly subject: Subject;
  /** `pending`: it holds, not for long enough yet. */
  readonly state: "pending" | "firing";
  readonly severity: Severity;
  readonly owner?: string;
  /** Alerts of one group are delivered together: the service, or where there is none the store, vault or receiver. */
  readonly group: string;
  /** When the rule began to hold. */
  readonly sinceMs: number;
  /** When it began to fire; kept over restarts. */
  readonly startsAtMs?: number;
  readonly summary: string;
  readonly evidence: Evidence;
  /** Whether receivers have been told, or a silence held that back. */
  readonly notified: boolean;
}

/** One transition of an alert, as it is told to receivers. */
export interface Notification {
  /**
   * Names this transition: the same in every delivery of it, to every receiver, also after a crash. A receiver that has seen
   * it drops it.
   */
  readonly id: string;
  readonly kind: "firing" | "resolved";
  readonly fingerprint: string;
  readonly rule: string;
  readonly subject: Subject;
  readonly severity: Severity;
  readonly owner?: string;
  readonly group: string;
  readonly summary: string;
  readonly evidence: Evidence;
  readonly startsAtMs: number;
  /** When it was over; absent while it fires. */
  readonly endsAtMs?: number;
  /** Why it is over. */
  readonly ended?: EndReason;
}

/** `clear`: the rule no longer holds. `gone`: its subject is no longer configured. `off`: the rule was switched off. */
export type EndReason = "clear" | "gone" | "off";
