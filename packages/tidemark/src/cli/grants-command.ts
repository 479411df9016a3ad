import { Command, InvalidArgumentError, Option } from "commander";
import { grantsScript, isRoleName } from "../probes/postgresql/grants-script.ts";
import type { CommandContext } from "./command-line.ts";

/** `tidemark grants`. */
export function grantsCommand(context: CommandContext): Command {
  return new Command("grants")
    .description("Prints the SQL that gives a role of PostgreSQL what Tidemark needs to look at it, and no more. Runs nothing.")
    .addOption(new Option("--role <name>", "the role, made if it is missing").argParser(roleOption).default("tidemark_monitor"))
    .option("--canary", "let it write the canary as well: a row a second in a schema of its own")
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark grants | psql --host=db1 shop\n  tidemark grants --role monitor --canary > grants.sql\n\nThe role gets no password: psql's \\password gives it one.",
    )
    .action((options: { role: string; canary?: boolean }) => {
      context.terminal.out(grantsScript({ role: options.role, canary: options.canary === true }).trimEnd());
    });
}

function roleOption(text: string): string {
  if (!isRoleName(text)) throw new InvalidArgumentError("a name of letters, digits, _ and -, at most 63 long, that begins with no digit.");
  return text;
}
