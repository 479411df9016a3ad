// What would be lost now, in the status: a line per scenario of each service, and what of the measuring does not work.
import { exposedCell, objectiveWords } from "./exposure-words.ts";
import { facts, HEARD_MS, list, number, text, UNKNOWN, type Facts } from "./status-facts.ts";
import { field, type Layout } from "./status-field.ts";

/** @param nowMs wall time at which control said it, milliseconds: what it knew long before that is not known now. */
export function describeMeasured(measured: Facts, nowMs: number | undefined, layout: Layout): string[] {
  const { paint } = layout;
  const atMs = number(measured["atMs"]);
  if (atMs === undefined) return [field("exposure", paint.warn(UNKNOWN), layout)];
  const isOld = nowMs === undefined || Math.abs(nowMs - atMs) > HEARD_MS;
  const services = Map.groupBy(list(measured["exposures"]).map(facts), ({ service }) => text(service));
  const lines = [...services].flatMap(([service, exposures]) =>
    isOld
      ? [field(service, paint.warn(`${UNKNOWN}: it was not measured lately`), layout)]
      : exposures.map((one, index) => field(index === 0 ? service : "", words(one, layout), layout)),
  );
  const troubles = troublesOf(measured).map((trouble) => field("trouble", paint.bad(trouble), layout));
  if (lines.length === 0 && troubles.length === 0) return [];
  return [paint.strong("exposure"), ...lines, ...troubles];
}

function words(exposure: Facts, { paint }: Layout): string {
  const cell = exposedCell(exposure, paint);
  const said = cell.paint === undefined ? cell.text : cell.paint(cell.text);
  return `${text(exposure["scenario"])} would lose ${said} (${objectiveWords(exposure)} allowed)`;
}

function troublesOf(measured: Facts): string[] {
  const troubles: string[] = [];
  for (const [part, meaning] of [
    ["observer", "nothing is measured"],
    ["judgement", "nothing is judged, and no alert begins"],
  ] as const) {
    const condition = facts(measured[part]);
    const fault = facts(condition["fault"]);
    if (condition["running"] !== true) troubles.push(`${meaning}: ${text(fault["what"], "it does not run")}`);
  }
  const history = facts(measured["history"]);
  if (history["writing"] === false) troubles.push(`the history is not written: ${text(facts(history["fault"])["what"], UNKNOWN)}`);
  return troubles;
}
