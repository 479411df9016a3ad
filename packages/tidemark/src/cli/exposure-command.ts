import { hasCode } from "@tidemark/kernel/errors";
import { Command, Option } from "commander";
import { SCENARIOS } from "../objectives/failure-domain.ts";
import { EXIT } from "../platform/exit-codes.ts";
import type { CommandContext } from "./command-line.ts";
import { askControl } from "./control-call.ts";
import { durationOption } from "./down-command.ts";
import { describeExposure, isExposureFine } from "./exposure-view.ts";
import { withPlace, type PlaceOptions } from "./place.ts";
import type { Facts } from "./status-facts.ts";
import { pause } from "./status-report.ts";
import { CLEAR_SCREEN, type Terminal } from "./terminal.ts";

interface ExposureOptions extends PlaceOptions {
  readonly service?: string;
  readonly scenario?: string;
  readonly json?: boolean;
  readonly watch?: boolean;
  readonly interval: number;
}

/** `tidemark exposure`. */
export function exposureCommand(context: CommandContext): Command {
  return withPlace(new Command("exposure"))
    .description(
      "Shows what would be lost now, per service and scenario: in time and in the service's own unit, from which copy, whether that is allowed, and what the figure leaves out.",
    )
    .option("-s, --service <name>", "only this service")
    .addOption(new Option("--scenario <name>", "only this accident").choices([...SCENARIOS]))
    .option("--json", "print what control says as JSON")
    .option("-w, --watch", "show it again and again")
    .addOption(new Option("--interval <duration>", "with --watch: time between two looks").argParser(durationOption).default(1_000, "1s"))
    .addHelpText(
      "after",
      `
Examples:
  tidemark exposure
  tidemark exposure --service orders --scenario node-loss --watch
  tidemark exposure --json | jq '.exposures[] | {service, scenario, exposureMs}'

Exit codes: 0 every objective is met · 1 one is not, or nobody knows
  69 control does not answer`,
    )
    .action(async (options: ExposureOptions) => context.end(await showExposure(context.terminal, options)));
}

async function showExposure(terminal: Terminal, options: ExposureOptions): Promise<number> {
  const { service, scenario, json = false, watch = false } = options;
  const filters = { ...(service === undefined ? {} : { service }), ...(scenario === undefined ? {} : { scenario }) };
  const query = new URLSearchParams(filters).toString();
  const path = `/v1/exposure${query === "" ? "" : `?${query}`}`;
  for (;;) {
    const answer = await askWhile(watch, () => askControl(options, { path }));
    if (json) terminal.out(JSON.stringify(answer, null, watch ? 0 : 2));
    else terminal.out(`${watch && terminal.interactive ? CLEAR_SCREEN : ""}${describeExposure(answer, terminal).join("\n")}`);
    if (!watch) return isExposureFine(answer) ? EXIT.ok : EXIT.failed;
    await pause(options.interval);
  }
}

/** Who watches goes on watching while control is away: nothing is known then, and that is shown. */
async function askWhile(watch: boolean, ask: () => Promise<Facts>): Promise<Facts> {
  try {
    return await ask();
  } catch (error) {
    if (watch && hasCode(error, "TM-PLATFORM-CONTROL-AWAY")) return { why: "control does not answer" };
    throw error;
  }
}
