// An exposure in words, for the status and for `tidemark exposure`. What is not known is said to be unknown, with the reason, and has no number.
import { formatDuration, formatGivenDuration } from "@tidemark/kernel/duration";
import { facts, list, number, text, UNKNOWN, type Facts } from "./status-facts.ts";
import type { Cell } from "./table.ts";
import type { Paint } from "./terminal.ts";

/** What a figure of milliseconds says; undefined where there is none. */
export function msOf(figure: unknown): number | undefined {
  const { known, value } = facts(figure);
  return known === true ? number(value) : undefined;
}

/** What would be lost now. */
export function exposedCell(exposure: Facts, paint: Paint): Cell {
  const lost = list(exposure["lost"]);
  const ms = msOf(exposure["exposureMs"]);
  if (lost.length > 0) return { text: "everything", paint: exposure["judgement"] === "no-objective" ? paint.dim : paint.bad };
  if (ms === undefined) return { text: UNKNOWN, paint: paint.warn };
  return { text: formatDuration(ms), paint: colourOf(exposure, paint) };
}

export function objectiveWords(exposure: Facts): string {
  const { rpoMs } = facts(exposure["objective"]);
  return exposure["objective"] === undefined ? "none" : typeof rpoMs === "number" ? formatGivenDuration(rpoMs) : UNKNOWN;
}

/** In the service's own unit; empty where it has none. */
export function businessWords(exposure: Facts): string {
  if (exposure["business"] === undefined) return "";
  const { unit, amount, revenue } = facts(exposure["business"]);
  const count = msOf(amount);
  const earned = facts(revenue);
  const money = revenue === undefined ? "" : `, ${msOf(earned["amount"]) ?? UNKNOWN} ${text(earned["currency"])}`;
  return `${count ?? UNKNOWN} ${text(unit)}${money}`;
}

export function judgementCell(exposure: Facts, paint: Paint): Cell {
  const judgement = text(exposure["judgement"]);
  return { text: judgement === "no-objective" ? "not judged" : judgement, paint: colourOf(exposure, paint) };
}

function colourOf(exposure: Facts, paint: Paint): (text: string) => string {
  switch (exposure["judgement"]) {
    case "within":
      return paint.good;
    case "above":
      return paint.bad;
    case "no-objective":
      return paint.dim;
    default:
      return paint.warn;
  }
}
