// What must hold of alerts and of history beyond the form of the file.
import { HISTORY_DEFAULTS } from "../history/history-options.ts";
import { RULES } from "../alerts/rule-table.ts";
import type { ConfigPath, Finding } from "./config-problem.ts";
import { durationMs, sizeBytes } from "./config-values.ts";
import { didYouMean } from "./did-you-mean.ts";
import { checkBearer, isOpenLine } from "./observed-rules.ts";
import type { HistoryFile, ReceiverFile } from "./observed-file.ts";

const MIB = 1_048_576;

/** Which of the rules that the file names do not exist. */
export function checkRuleNames(written: readonly string[]): Finding[] {
  const names = RULES.map(({ name }) => name);
  return written
    .filter((rule) => !names.includes(rule))
    .map((rule): Finding => {
      const meant = didYouMean(rule, names);
      return {
        path: ["alerts", "rules", rule],
        at: "key",
        code: "TM-CONFIG-UNKNOWN-RULE",
        message: `there is no rule "${rule}"`,
        expected: meant === undefined ? `one of ${names.join(", ")}` : `did you mean "${meant}"?`,
      };
    });
}

/** What is wrong with a receiver; `path` is its place. */
export function checkReceiver({ alertmanager, webhook }: ReceiverFile, path: ConfigPath): Finding[] {
  const findings: Finding[] = checkBearer(alertmanager, [...path, "alertmanager"]);
  if ((alertmanager === undefined) === (webhook === undefined))
    findings.push({
      path,
      at: "key",
      code: "TM-CONFIG-VALUE",
      message: alertmanager === undefined ? "nothing says what this receiver is" : "this receiver has alertmanager and webhook",
      expected: "exactly one of `alertmanager` and `webhook`",
    });
  if (webhook === undefined) return findings;
  const { url, urlFile } = webhook;
  if ((url === undefined) === (urlFile === undefined))
    findings.push({
      path: [...path, "webhook"],
      at: "key",
      code: "TM-CONFIG-VALUE",
      message: url === undefined ? "the webhook has no address" : "the webhook has two addresses",
      expected: "`url`, or `urlFile` where the address itself is the secret",
    });
  // The signature proves who sent it; it hides nothing of where the weak places are.
  if (url !== undefined && isOpenLine(url))
    findings.push({
      path: [...path, "webhook", "url"],
      code: "TM-CONFIG-OPEN-LINE",
      message: "what is sent would go to another machine without TLS, where anybody on the way reads it",
      expected: "an address https://…, or a loopback address",
    });
  return findings;
}

/** What is wrong with `history`. */
export function checkHistory(history: HistoryFile): Finding[] {
  const findings: Finding[] = [];
  const keys = ["keepSeconds", "keepMinutes", "keepHours"] as const;
  const kept = keys.map((key) => (history[key] === undefined ? HISTORY_DEFAULTS[`${key}Ms`] : durationMs(history[key], "0")));
  if ((kept[0] ?? 0) < 600_000)
    findings.push({
      path: ["history", "keepSeconds"],
      code: "TM-CONFIG-DURATION",
      message: "too short to look at",
      expected: "at least 10min",
    });
  for (const [index, key] of keys.entries()) {
    const finer = keys[index - 1];
    if (finer !== undefined && (kept[index] ?? 0) < (kept[index - 1] ?? 0))
      findings.push({
        path: ["history", history[key] === undefined ? finer : key],
        code: "TM-CONFIG-DURATION",
        message: `${key} would be shorter than ${finer}: the coarser figures are there for when the finer ones are gone`,
        expected: `${key} at least as long as ${finer}`,
      });
  }
  const mostBytes = sizeBytes(history.mostSize, "2GiB");
  if (mostBytes < 16 * MIB || mostBytes > 1_024 * 1_024 * MIB)
    findings.push({
      path: ["history", "mostSize"],
      code: "TM-CONFIG-SIZE",
      message: `a size of ${mostBytes} bytes is out of range`,
      expected: "16MiB to 1TiB",
    });
  return findings;
}
