// `tidemark exposure` for people, laid out for the width of the terminal.
import { formatDuration } from "@tidemark/kernel/duration";
import { businessWords, exposedCell, judgementCell, msOf, objectiveWords } from "./exposure-words.ts";
import { facts, list, number, text, UNKNOWN, type Facts } from "./status-facts.ts";
import type { Layout } from "./status-field.ts";
import { layTable, type Cell } from "./table.ts";
import { wrap } from "./terminal.ts";

/** The lines of `GET /v1/exposure`. */
export function describeExposure(answer: Facts, layout: Layout): string[] {
  const { columns, paint } = layout;
  if (!Array.isArray(answer["exposures"])) return [paint.warn("what would be lost now is unknown")];
  const exposures = list(answer["exposures"]).map(facts);
  if (exposures.length === 0) return [paint.dim("no service is asked for, or none is configured")];
  const atMs = number(answer["atMs"]);
  const services = Map.groupBy(exposures, ({ service }) => text(service));
  return [
    paint.dim(wrap(`what would be lost now, as of ${atMs === undefined ? "a time that is unknown" : `${timeOf(atMs)} UTC`}`, columns)),
    ...[...services].flatMap(([service, own]) => ["", ...describeService(service, own, layout)]),
  ];
}

/**
 * One service: what it is judged by, then why. Scenarios without an objective share one line below, so that they do not hide the
 * others; where somebody asked for these alone they are shown in full.
 */
function describeService(service: string, exposures: readonly Facts[], layout: Layout): string[] {
  const { columns, paint } = layout;
  const judged = exposures.filter(({ objective }) => objective !== undefined);
  const shown = judged.length === 0 ? exposures : judged;
  const others = judged.length === 0 ? [] : exposures.filter(({ objective }) => objective === undefined);
  const hasUnits = shown.some(({ business }) => business !== undefined);
  const cut = others.map((one) => `${text(one["scenario"])} ${exposedCell(one, paint).text}`).join(", ");
  return [
    paint.strong(service),
    ...layTable(
      [
        { title: "scenario" },
        { title: "allowed", right: true },
        { title: "exposure", right: true },
        { title: "judgement" },
        ...(hasUnits ? [{ title: "in units" }] : []),
      ],
      shown.map((exposure) => cellsOf(exposure, { hasUnits, paint })),
      { columns, dim: paint.dim },
    ),
    ...(others.length === 0 ? [] : [paint.dim(wrap(`no objective, not judged: ${cut}`, columns, "  "))]),
    ...shown.flatMap((exposure) => remarksOf(exposure, layout)),
  ];
}

/** Whether every objective is known to be met. */
export function isExposureFine(answer: Facts): boolean {
  const judged = list(answer["exposures"]).map(facts);
  return Array.isArray(answer["exposures"]) && judged.every(({ judgement }) => judgement === "within" || judgement === "no-objective");
}

function cellsOf(exposure: Facts, { hasUnits, paint }: { hasUnits: boolean; paint: Layout["paint"] }): Cell[] {
  return [
    { text: text(exposure["scenario"]) },
    { text: objectiveWords(exposure) },
    exposedCell(exposure, paint),
    judgementCell(exposure, paint),
    ...(hasUnits ? [{ text: businessWords(exposure) }] : []),
  ];
}

function usedWords(exposure: Facts): string {
  return list(exposure["uses"])
    .map(facts)
    .map(({ store, copy, onto }) => `${text(store)}/${text(copy)}${onto === undefined ? "" : ` onto ${text(onto)}`}`)
    .join(", ");
}

/** From which copy the figure is, how certain it is or why there is none, and what it leaves out. */
function remarksOf(exposure: Facts, { columns, paint }: Layout): string[] {
  const remarks = [certainty(exposure), ...list(exposure["notCovered"]).map((sentence) => text(sentence))];
  return [
    "",
    paint.dim(`${text(exposure["service"])}, ${text(exposure["scenario"])}`),
    ...remarks.map((remark) => `  ${wrap(remark, columns - 2, "    ")}`),
  ];
}

function certainty(exposure: Facts): string {
  const figure = facts(exposure["exposureMs"]);
  const errorMs = number(figure["errorMs"]);
  if (msOf(figure) !== undefined) {
    const used = usedWords(exposure);
    const right = `ight within ${errorMs === undefined ? UNKNOWN : formatDuration(errorMs)}, by ${text(figure["method"])}.`;
    return used === "" ? `R${right}` : `From ${used}; r${right}`;
  }
  const since = number(figure["sinceMs"]);
  return `Not known${since === undefined ? "" : ` since ${timeOf(since)}`}: ${text(figure["why"], "no reason was given")}.`;
}

function timeOf(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString().slice(0, 19).replace("T", " ") : "a time that is none";
}
