import type { Clock } from "@tidemark/kernel/clock";
import { Redacted } from "@tidemark/kernel/redacted";
import type { Receiver } from "../alerts/receiver.ts";
import { alertmanagerReceiver } from "../alerts/receivers/alertmanager-receiver.ts";
import { webhookReceiver } from "../alerts/receivers/webhook-receiver.ts";
import type { Config } from "../config/config.ts";

/** Those that the configuration names. Their secrets are read from their files at each delivery. */
export function alertReceivers({ name: deployment, alerts }: Pick<Config, "name" | "alerts">, clock: Clock): Receiver[] {
  return alerts.receivers.map((receiver): Receiver => {
    const shared = {
      name: receiver.name,
      deployment,
      runbooks: alerts.runbooks,
      ...(receiver.severities === undefined ? {} : { severities: receiver.severities }),
      clock,
    };
    if (receiver.kind === "alertmanager") {
      const { url, bearerFile } = receiver;
      return alertmanagerReceiver({ ...shared, url: new Redacted(url), ...(bearerFile === undefined ? {} : { bearerFile }) });
    }
    const { url, keyFile } = receiver;
    return webhookReceiver({ ...shared, url: typeof url === "string" ? new Redacted(url) : url, keyFile });
  });
}
