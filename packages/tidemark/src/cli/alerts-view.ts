// Alerts and silences for people, laid out for the width of the terminal. Read from answers of a control that may be of another
// version: what is not there is unknown.
import { formatDuration } from "@tidemark/kernel/duration";
import { facts, list, number, text, UNKNOWN, type Facts } from "./status-facts.ts";
import type { Layout } from "./status-field.ts";
import { layTable } from "./table.ts";
import { wrap } from "./terminal.ts";

/** In the order in which they name the subject. */
const SUBJECT_PARTS = ["service", "scenario", "store", "copy", "vault", "archive", "receiver"] as const;

/** Whether an alert wants somebody now: it fires, and nobody has agreed to leave it for a while. */
export function isNeeded(alert: Facts): boolean {
  return alert["state"] === "firing" && alert["silencedBy"] === undefined;
}

/** The lines of `GET /v1/alerts`. */
export function describeAlerts(answer: Facts, layout: Layout): string[] {
  const alerts = list(answer["alerts"]).map(facts).toSorted(byUrgency);
  const nowMs = number(answer["atMs"]);
  const { paint } = layout;
  if (!Array.isArray(answer["alerts"])) return [paint.warn("the alerts are unknown")];
  const refused = number(answer["refused"]) ?? 0;
  return [
    alerts.length === 0 ? `${paint.good("✓")} no alerts` : countOf(alerts, layout),
    ...alerts.flatMap((alert) => ["", ...describeAlert(alert, nowMs, layout)]),
    ...(refused === 0 ? [] : ["", paint.bad(`${refused} more did not begin: there were too many`)]),
  ];
}

/** Pages before tickets, what fires before what may, the longest first. */
function byUrgency(one: Facts, other: Facts): number {
  const rank = (alert: Facts): number =>
    (isNeeded(alert) ? 0 : 4) + (alert["severity"] === "page" ? 0 : 1) + (alert["state"] === "firing" ? 0 : 2);
  return rank(one) - rank(other) || (number(one["sinceMs"]) ?? 0) - (number(other["sinceMs"]) ?? 0);
}

function countOf(alerts: readonly Facts[], { paint }: Layout): string {
  const needed = alerts.filter(isNeeded).length;
  const silenced = alerts.filter((alert) => alert["silencedBy"] !== undefined).length;
  const pending = alerts.filter((alert) => alert["state"] === "pending").length;
  const parts = [
    `${needed} ${needed === 1 ? "fires" : "fire"}`,
    ...(pending === 0 ? [] : [`${pending} pending`]),
    ...(silenced === 0 ? [] : [`${silenced} silenced`]),
  ];
  return needed === 0 ? `${paint.good("✓")} ${parts.join(", ")}` : `${paint.bad("✗")} ${parts.join(", ")}`;
}

function describeAlert(alert: Facts, nowMs: number | undefined, { columns, paint }: Layout): string[] {
  const sinceMs = number(alert["sinceMs"]);
  const since =
    sinceMs === undefined
      ? "since unknown"
      : `since ${timeOf(sinceMs)}${nowMs === undefined ? "" : ` (${formatDuration(Math.max(0, nowMs - sinceMs))})`}`;
  const severity = text(alert["severity"]);
  const colour = isNeeded(alert) ? (severity === "page" ? paint.bad : paint.warn) : paint.dim;
  const more = [
    ["since", `${text(alert["state"])} ${since}`],
    ["summary", text(alert["summary"])],
    ["runbook", text(alert["runbook"])],
    ["owner", text(alert["owner"], "")],
    ["silenced", alert["silencedBy"] === undefined ? "" : `by ${text(alert["silencedBy"])}`],
  ] as const;
  return [
    ...wrap(`${severity} ${text(alert["rule"])} ${subjectOf(facts(alert["subject"]))}`, columns, "  ")
      .split("\n")
      .map((line, index) => (index === 0 ? line.replace(severity, () => colour(severity)) : line)),
    ...more
      .filter(([, value]) => value !== "")
      .map(([name, value]) => `  ${paint.dim(name.padEnd(8))} ${wrap(value, columns - 11, " ".repeat(11))}`),
  ];
}

/** The lines of `GET /v1/alerts/transitions`. */
export function describeTransitions(answer: Facts, { columns, paint }: Layout): string[] {
  const rows = list(answer["transitions"])
    .map(facts)
    .map((one) => {
      const resolved = one["kind"] === "resolved";
      const atMs = number(one[resolved ? "endsAtMs" : "startsAtMs"]);
      const ended = text(one["ended"], "");
      return [
        { text: atMs === undefined ? UNKNOWN : timeOf(atMs), paint: paint.dim },
        {
          text: resolved ? `over${ended === "clear" || ended === "" ? "" : ` (${ended})`}` : "began",
          paint: resolved ? paint.good : paint.bad,
        },
        { text: text(one["severity"]) },
        { text: text(one["rule"]), paint: paint.strong },
        { text: subjectOf(facts(one["subject"])) },
      ];
    });
  if (rows.length === 0) return [paint.dim("no alert has ever begun")];
  return layTable([{ title: "at" }, { title: "what" }, { title: "severity" }, { title: "alert" }, { title: "about" }], rows, {
    columns,
    dim: paint.dim,
  });
}

/** The lines of `GET /v1/silences`. */
export function describeSilences(answer: Facts, layout: Layout): string[] {
  const { paint } = layout;
  const silences = list(answer["silences"]).map(facts);
  if (silences.length === 0) return [paint.dim("no silence is in force")];
  return silences.flatMap((silence, index) => [...(index === 0 ? [] : [""]), ...describeSilence(silence, number(answer["atMs"]), layout)]);
}

export function describeSilence(silence: Facts, nowMs: number | undefined, { columns, paint }: Layout): string[] {
  const endsAtMs = number(silence["endsAtMs"]);
  const left = endsAtMs === undefined || nowMs === undefined ? "" : ` (in ${formatDuration(Math.max(0, endsAtMs - nowMs))})`;
  const more = [
    ["about", matchersOf(facts(silence["matchers"]))],
    ["until", endsAtMs === undefined ? UNKNOWN : `${timeOf(endsAtMs)}${left}`],
    ["who", text(silence["who"])],
    ["why", text(silence["why"])],
  ] as const;
  return [
    paint.strong(text(silence["id"])),
    ...more.map(([name, value]) => `  ${paint.dim(name.padEnd(5))} ${wrap(value, columns - 8, " ".repeat(8))}`),
  ];
}

function matchersOf(matchers: Facts): string {
  return Object.entries(matchers)
    .map(([name, value]) => `${name}=${text(value)}`)
    .join(" ");
}

function subjectOf(subject: Facts): string {
  return SUBJECT_PARTS.flatMap((part) => (subject[part] === undefined ? [] : [text(subject[part])])).join(" ");
}

function timeOf(atMs: number): string {
  return Number.isFinite(new Date(atMs).getTime()) ? `${new Date(atMs).toISOString().slice(0, 19).replace("T", " ")} UTC` : UNKNOWN;
}
