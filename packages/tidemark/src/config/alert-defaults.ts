// Alerts and history as written, with what the file leaves out filled in.
import { resolve } from "node:path";
import { HISTORY_DEFAULTS } from "../history/history-options.ts";
import { durationMs, sizeBytes, type Places } from "./config-values.ts";
import type { AlertReceiverConfig, AlertsConfig, HistoryConfig } from "./observed-config.ts";
import type { AlertsFile, HistoryFile, ReceiverFile, RuleSettingsFile } from "./observed-file.ts";

/** The pages that come with the project. */
const DEFAULT_RUNBOOKS = "docs/runbooks";

/** `alerts` fits the schema and the rules. */
export function completeAlerts(alerts: AlertsFile, places: Places): AlertsConfig {
  return {
    receivers: Object.entries(alerts.receivers ?? {}).map(([name, receiver]) => completeReceiver(receiver, name, places)),
    rules: Object.fromEntries(Object.entries(alerts.rules ?? {}).map(([name, settings]) => [name, completeRule(settings)])),
    runbooks: (alerts.runbooks ?? DEFAULT_RUNBOOKS).replace(/\/+$/, ""),
  };
}

function completeReceiver({ alertmanager, webhook, severities }: ReceiverFile, name: string, places: Places): AlertReceiverConfig {
  const told = severities === undefined ? {} : { severities };
  if (webhook !== undefined) {
    const { url, urlFile = "", keyFile } = webhook;
    return {
      kind: "webhook",
      name,
      url: url ?? { file: resolve(places.folder, urlFile) },
      keyFile: resolve(places.folder, keyFile),
      ...told,
    };
  }
  const { url = "", bearerFile } = alertmanager ?? {};
  const bearer = bearerFile === undefined ? {} : { bearerFile: resolve(places.folder, bearerFile) };
  return { kind: "alertmanager", name, url, ...bearer, ...told };
}

function completeRule(settings: RuleSettingsFile): AlertsConfig["rules"][string] {
  const { off, severity } = settings;
  return {
    ...(off === undefined ? {} : { off }),
    ...(severity === undefined ? {} : { severity }),
    ...(settings.for === undefined ? {} : { forMs: durationMs(settings.for, "0") }),
    ...(settings.keep === undefined ? {} : { keepMs: durationMs(settings.keep, "0") }),
  };
}

/** `history` fits the schema and the rules. */
export function completeHistory({ keepSeconds, keepMinutes, keepHours, mostSize }: HistoryFile): HistoryConfig {
  const ms = (written: HistoryFile["keepHours"], usual: number): number => (written === undefined ? usual : durationMs(written, "0"));
  return {
    keepSecondsMs: ms(keepSeconds, HISTORY_DEFAULTS.keepSecondsMs),
    keepMinutesMs: ms(keepMinutes, HISTORY_DEFAULTS.keepMinutesMs),
    keepHoursMs: ms(keepHours, HISTORY_DEFAULTS.keepHoursMs),
    mostBytes: mostSize === undefined ? HISTORY_DEFAULTS.mostBytes : sizeBytes(mostSize, "0"),
  };
}
