// Error budgets for people: a table per service and scenario.
import { formatDuration, formatGivenDuration } from "@tidemark/kernel/duration";
import { facts, list, number, text, UNKNOWN, type Facts } from "./status-facts.ts";
import type { Layout } from "./status-field.ts";
import { layTable, type Cell } from "./table.ts";
import { wrap, type Paint } from "./terminal.ts";

const COLUMNS = [
  { title: "window" },
  { title: "left", right: true },
  { title: "good", right: true },
  { title: "spent", right: true },
  { title: "unknown", right: true },
  { title: "allowed", right: true },
  { title: "measured", right: true },
  { title: "recoveries", right: true },
];

/** Below this share of a budget it is shown as in danger. */
const LITTLE_LEFT = 0.25;

/** The lines of `GET /v1/budgets`. */
export function describeBudgets(answer: Facts, layout: Layout): string[] {
  const { paint, columns } = layout;
  if (!Array.isArray(answer["budgets"])) return [paint.warn("the budgets are unknown")];
  const budgets = answer["budgets"].map(facts);
  if (budgets.length === 0) return [paint.dim("no service has an objective")];
  return budgets.flatMap((budget, index) => [
    ...(index === 0 ? [] : [""]),
    ...headOf(budget, layout),
    ...layTable(
      COLUMNS,
      list(budget["windows"]).map((window) => windowRow(facts(window), paint)),
      { columns, dim: paint.dim },
    ),
  ]);
}

/** Whether more is spent than there is in any window. */
export function isOverspent(answer: Facts): boolean {
  return list(answer["budgets"]).some((budget) =>
    list(facts(budget)["windows"]).some((window) => (number(facts(window)["left"]) ?? 0) < 0),
  );
}

function headOf(budget: Facts, { columns, paint }: Layout): string[] {
  const [name, objective] = [`${text(budget["service"])} ${text(budget["scenario"])}`, objectiveOf(budget)];
  if (name.length + 1 + objective.length <= columns) return [`${paint.strong(name)} ${paint.dim(objective)}`];
  return [paint.strong(name), `  ${paint.dim(wrap(objective, columns - 2, "  "))}`];
}

function objectiveOf(budget: Facts): string {
  const rpoMs = number(facts(budget["objective"])["rpoMs"]);
  const loses = rpoMs === undefined ? "an unknown RPO" : `RPO ${formatGivenDuration(rpoMs)}`;
  return `${loses} in ${share(number(budget["target"]), 4)} of seconds`;
}

function windowRow(window: Facts, paint: Paint): Cell[] {
  const left = number(window["left"]);
  const colour = left === undefined ? paint.dim : left < 0 ? paint.bad : left < LITTLE_LEFT ? paint.warn : paint.good;
  const seconds = (name: string): Cell => {
    const value = number(window[name]);
    return { text: value === undefined ? UNKNOWN : formatDuration(value * 1_000) };
  };
  return [
    { text: `${text(window["days"])} d` },
    { text: share(left, 1), paint: colour },
    { text: share(number(window["indicator"]), 4) },
    seconds("spentSeconds"),
    seconds("spentUnknownSeconds"),
    seconds("allowedSeconds"),
    { text: share(number(window["covered"]), 1) },
    { text: recoveriesOf(facts(window["recoveries"])) },
  ];
}

function recoveriesOf({ good, events }: Facts): string {
  return number(events) === undefined ? UNKNOWN : events === 0 ? "none" : `${text(good)} of ${text(events)} good`;
}

/** Rounded towards what is worse: 99.99 % is not shown as all. */
function share(value: number | undefined, digits: number): string {
  if (value === undefined) return UNKNOWN;
  const scale = 10 ** digits;
  return `${(Math.floor(value * 100 * scale + 1e-6) / scale).toFixed(digits).replace(/\.?0+$/, "")} %`;
}
