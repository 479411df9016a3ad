// A webhook: one signed POST per group of notifications. docs/webhooks.md has the form and how to check it.
import type { Clock } from "@tidemark/kernel/clock";
import { Redacted } from "@tidemark/kernel/redacted";
import type { Notification } from "../alert.ts";
import type { Receiver } from "../receiver.ts";
import { post } from "./http-post.ts";
import { readSecret, readSecretLines } from "./secret-file.ts";
import { SIGNATURE_HEADER, signWebhook } from "./webhook-signature.ts";

export interface WebhookOptions {
  readonly name: string;
  /** Its address, or a file with it where the address itself is the secret. */
  readonly url: Redacted<string> | { readonly file: string };
  /** Keys, one per line: the newest, and while it is changed the one before. */
  readonly keyFile: string;
  readonly severities?: Receiver["severities"];
  readonly deployment: string;
  readonly runbooks: string;
  /** Default 5 s. */
  readonly timeoutMs?: number;
  readonly clock: Clock;
}

/** The version of the body's form. */
const WEBHOOK_VERSION = 1;

const MOST_AT_ONCE = 50;

export function webhookReceiver(options: WebhookOptions): Receiver {
  return {
    name: options.name,
    mostAtOnce: MOST_AT_ONCE,
    oneGroup: true,
    ...(options.severities === undefined ? {} : { severities: options.severities }),
    deliver: async (notifications, { signal, givenUp }) => {
      const url = options.url instanceof Redacted ? options.url : await readSecret(options.url.file);
      const keys = await readSecretLines(options.keyFile);
      const body = webhookBody(notifications, { ...options, givenUp });
      await post(
        {
          url,
          headers: {
            "content-type": "application/json",
            [SIGNATURE_HEADER]: signWebhook(body, options.clock.wallMs(), keys),
          },
          body,
          timeoutMs: options.timeoutMs ?? 5_000,
          signal,
        },
        options.clock,
      );
    },
  };
}

/** The text that is signed and sent. */
export function webhookBody(
  notifications: readonly Notification[],
  terms: { readonly deployment: string; readonly runbooks: string; readonly givenUp: number },
): string {
  return JSON.stringify({
    version: WEBHOOK_VERSION,
    deployment: terms.deployment,
    group: notifications[0]?.group,
    givenUp: terms.givenUp,
    notifications: notifications.map((notification) => {
      const { startsAtMs, endsAtMs, rule, ...rest } = notification;
      return {
        ...rest,
        rule,
        runbook: `${terms.runbooks}/${rule}.md`,
        startsAt: new Date(startsAtMs).toISOString(),
        ...(endsAtMs === undefined ? {} : { endsAt: new Date(endsAtMs).toISOString() }),
      };
    }),
  });
}
