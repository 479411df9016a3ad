import { Command } from "commander";
import { EXIT } from "../platform/exit-codes.ts";
import { describeBudgets, isOverspent } from "./budget-view.ts";
import type { CommandContext } from "./command-line.ts";
import { askControl } from "./control-call.ts";
import { withPlace, type PlaceOptions } from "./place.ts";

/** `tidemark budget`. */
export function budgetCommand(context: CommandContext): Command {
  return withPlace(new Command("budget"))
    .description("Shows how much of each error budget is left, over 7, 28, 30 and 90 days. Seconds in which nobody knew are spent too.")
    .option("--json", "print what control says as JSON")
    .addHelpText(
      "after",
      `
Examples:
  tidemark budget
  tidemark budget --json | jq '.budgets[].windows[].left'

Exit codes: 0 none is overspent · 1 one is · 69 control does not answer`,
    )
    .action(async (options: PlaceOptions & { json?: boolean }) => {
      const answer = await askControl(options, { path: "/v1/budgets" });
      if (options.json === true) context.terminal.out(JSON.stringify(answer, null, 2));
      else for (const line of describeBudgets(answer, context.terminal)) context.terminal.out(line);
      context.end(isOverspent(answer) ? EXIT.failed : EXIT.ok);
    });
}
