// Alertmanager, by its API v2 (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, postAlerts). It knows an
// alert by its labels, and forgets one that nobody repeats: each post of a firing alert says until when it holds (`endsAt`), and
// a repetition long before that keeps it. Dropping what it has seen is its own work, by the labels.
import type { Clock } from "@tidemark/kernel/clock";
import { Redacted } from "@tidemark/kernel/redacted";
import type { Notification } from "../alert.ts";
import type { Receiver } from "../receiver.ts";
import { post } from "./http-post.ts";
import { readSecret } from "./secret-file.ts";

export interface AlertmanagerOptions {
  readonly name: string;
  /** Its address, with the route prefix if it has one: `http://127.0.0.1:9093`. Several of a cluster: one receiver each. */
  readonly url: Redacted<string>;
  /** File with a bearer token, where it asks for one. */
  readonly bearerFile?: string;
  readonly severities?: Receiver["severities"];
  /** Name of this deployment: the label `deployment`. */
  readonly deployment: string;
  /** Where runbook pages are: `<base>/<rule>.md`. */
  readonly runbooks: string;
  /** Default 5 s. */
  readonly timeoutMs?: number;
  /** Between repetitions of what fires. Default 1 min. */
  readonly repeatEveryMs?: number;
  /**
   * For so long an alert stands without a repetition. Default 1 h: while control is away, nobody knows that it is over. It goes
   * before Alertmanager's own resolve_timeout, which is for senders that say nothing.
   */
  readonly holdsMs?: number;
  readonly clock: Clock;
}

const MOST_AT_ONCE = 100;

export function alertmanagerReceiver(options: AlertmanagerOptions): Receiver {
  const send = async (notifications: readonly Notification[], signal: AbortSignal): Promise<void> => {
    const token = options.bearerFile === undefined ? undefined : await readSecret(options.bearerFile);
    await post(
      {
        url: new Redacted(`${options.url.reveal().replace(/\/+$/, "")}/api/v2/alerts`),
        headers: { "content-type": "application/json", ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }) },
        body: JSON.stringify(notifications.map((notification) => postableAlert(notification, options))),
        timeoutMs: options.timeoutMs ?? 5_000,
        signal,
      },
      options.clock,
    );
  };
  return {
    name: options.name,
    mostAtOnce: MOST_AT_ONCE,
    oneGroup: false,
    ...(options.severities === undefined ? {} : { severities: options.severities }),
    deliver: (notifications, { signal }) => send(notifications, signal),
    repeat: { everyMs: options.repeatEveryMs ?? 60_000, post: (firing, { signal }) => send(firing, signal) },
  };
}

interface PostableAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  readonly endsAt: string;
}

/** Labels are the alert's identity: only what does not change while it fires. The rest is annotations. */
export function postableAlert(notification: Notification, options: Omit<AlertmanagerOptions, "url" | "name">): PostableAlert {
  const { subject, rule, severity, owner, startsAtMs, endsAtMs } = notification;
  const labels = { alertname: rule, deployment: options.deployment, severity, ...subject, ...(owner === undefined ? {} : { owner }) };
  const holdsUntilMs = options.clock.wallMs() + (options.holdsMs ?? 3_600_000);
  return {
    labels,
    annotations: {
      summary: notification.summary,
      description: Object.entries(notification.evidence)
        .map(([name, value]) => `${name}: ${value}`)
        .join("\n"),
      runbook_url: `${options.runbooks}/${rule}.md`,
      notification_id: notification.id,
    },
    startsAt: new Date(startsAtMs).toISOString(),
    // An end before its beginning is refused as a whole: clocks may have been set back between.
    endsAt: new Date(Math.max(startsAtMs, endsAtMs ?? holdsUntilMs)).toISOString(),
  };
}
