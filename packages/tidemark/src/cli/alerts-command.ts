import { Command, InvalidArgumentError, Option } from "commander";
import { EXIT } from "../platform/exit-codes.ts";
import { describeAlerts, describeTransitions, isNeeded } from "./alerts-view.ts";
import type { CommandContext } from "./command-line.ts";
import { askControl } from "./control-call.ts";
import { withPlace, type PlaceOptions } from "./place.ts";
import { facts, list } from "./status-facts.ts";
import type { Terminal } from "./terminal.ts";

/** The most transitions that control gives at one time. */
const MOST_TRANSITIONS = 1_000;

interface AlertsOptions extends PlaceOptions {
  readonly json?: boolean;
  readonly history?: number;
}

/** `tidemark alerts`. */
export function alertsCommand(context: CommandContext): Command {
  return withPlace(new Command("alerts"))
    .description("Shows the alerts that fire or are about to, with what to do about each. Pages first, then what fires for longest.")
    .addOption(new Option("--history <count>", "show so many beginnings and ends instead, the newest first").argParser(countOption))
    .option("--json", "print what control says as JSON")
    .addHelpText(
      "after",
      `
Examples:
  tidemark alerts
  tidemark alerts --history 20
  tidemark alerts --json | jq '.alerts[] | .summary'

Exit codes: 0 nothing fires but what is silenced (with --history: always)
  1 something does · 69 control does not answer`,
    )
    .action(async (options: AlertsOptions) => context.end(await showAlerts(context.terminal, options)));
}

async function showAlerts(terminal: Terminal, options: AlertsOptions): Promise<number> {
  const { history, json = false } = options;
  const answer = await askControl(options, {
    path: history === undefined ? "/v1/alerts" : `/v1/alerts/transitions?limit=${history}`,
  });
  if (json) terminal.out(JSON.stringify(answer, null, 2));
  else
    for (const line of history === undefined ? describeAlerts(answer, terminal) : describeTransitions(answer, terminal)) terminal.out(line);
  return history === undefined && list(answer["alerts"]).some((alert) => isNeeded(facts(alert))) ? EXIT.failed : EXIT.ok;
}

function countOption(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > MOST_TRANSITIONS)
    throw new InvalidArgumentError(`write a whole number from 1 to ${MOST_TRANSITIONS}.`);
  return count;
}
