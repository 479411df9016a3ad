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
  return [
    paint.dim(wrap(`what would be lost now, as of ${atMs === undefined ? "a time that is unknown" : `${timeOf(atMs)} UTC`}`, columns)),
    ...layTable(
      [
        { title: "service" },
        { title: "scenario" },
        { title: "allowed", right: true },
        { title: "exposure", right: true },
        { title: "in units" },
        { title: "from" },
        { title: "judgement" },
      ],
      exposures.map((exposure) => cellsOf(exposure, layout)),
      { columns, dim: paint.dim },
    ),
    ...exposures.flatMap((exposure) => remarksOf(exposure, layout)),
  ];
}

/** Whether every objective is known to be met. */
export function isExposureFine(answer: Facts): boolean {
  const judged = list(answer["exposures"]).map(facts);
  return Array.isArray(answer["exposures"]) && judged.every(({ judgement }) => judgement === "within" || judgement === "no-objective");
}

function cellsOf(exposure: Facts, { paint }: Layout): Cell[] {
  return [
    { text: text(exposure["service"]), paint: paint.strong },
    { text: text(exposure["scenario"]) },
    { text: objectiveWords(exposure) },
    exposedCell(exposure, paint),
    { text: businessWords(exposure) },
    { text: usedWords(exposure) },
    judgementCell(exposure, paint),
  ];
}

function usedWords(exposure: Facts): string {
  return list(exposure["uses"])
    .map(facts)
    .map(({ store, copy, onto }) => `${text(store)}/${text(copy)}${onto === undefined ? "" : ` onto ${text(onto)}`}`)
    .join(", ");
}

/** How certain the figure is or why there is none, and what it leaves out; of what nobody demanded anything of, nothing. */
function remarksOf(exposure: Facts, { columns, paint }: Layout): string[] {
  if (exposure["objective"] === undefined) return [];
  const figure = facts(exposure["exposureMs"]);
  const remarks = [certainty(figure), ...list(exposure["notCovered"]).map((sentence) => text(sentence))];
  return [
    "",
    paint.dim(`${text(exposure["service"])}, ${text(exposure["scenario"])}`),
    ...remarks.map((remark) => `  ${wrap(remark, columns - 2, "    ")}`),
  ];
}

function certainty(figure: Facts): string {
  const errorMs = number(figure["errorMs"]);
  if (msOf(figure) !== undefined)
    return `Right within ${errorMs === undefined ? UNKNOWN : formatDuration(errorMs)}, by ${text(figure["method"])}.`;
  const since = number(figure["sinceMs"]);
  return `Not known${since === undefined ? "" : ` since ${timeOf(since)}`}: ${text(figure["why"], "no reason was given")}.`;
}

function timeOf(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString().slice(0, 19).replace("T", " ") : "a time that is none";
}
