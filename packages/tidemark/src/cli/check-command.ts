import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { TidemarkError } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { failsAt, reportOf } from "../check/check-report.ts";
import { readTarget } from "../check/connection-target.ts";
import { SEVERITIES, THRESHOLDS, type Severity } from "../check/finding.ts";
import { surveyServer, WATCH_MS } from "../check/survey.ts";
import { EXIT } from "../platform/exit-codes.ts";
import { describeCheck } from "./check-view.ts";
import type { CommandContext } from "./command-line.ts";
import { durationOption } from "./down-command.ts";
import { printError } from "./print-error.ts";
import type { Terminal } from "./terminal.ts";

/** Longer would not leave the server the time to answer within ten seconds. */
const MOST_WATCH_MS = 6_000;

/** For connections to close, milliseconds. */
const LINGER_MS = 250;

interface CheckOptions {
  readonly json?: boolean;
  readonly failOn: Severity;
  readonly watch: number;
  readonly transactionAge: number;
}

/** `tidemark check`. */
export function checkCommand(context: CommandContext): Command {
  return new Command("check")
    .description(
      "Looks at one PostgreSQL, needs no configuration, changes nothing: the copies it has, what would be lost now, what is wrong and how to correct it. Answers within ten seconds.",
    )
    .addArgument(new Argument("[server]", "postgres://user@host:port/database, or host=… dbname=…; default: PGHOST, PGUSER and so on"))
    .option("--json", "print the report as JSON")
    .addOption(new Option("--fail-on <severity>", "end with 1 from this severity on").choices(SEVERITIES).default("critical"))
    .addOption(new Option("--watch <duration>", "for how long positions are watched").argParser(watchOption).default(WATCH_MS, "3s"))
    .addOption(
      new Option("--transaction-age <duration>", "from which age on transactions are findings")
        .argParser(durationOption)
        .default(THRESHOLDS.transactionAgeMs, "5m"),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark check postgres://monitor@db1/shop\n  PGPASSWORD=… tidemark check --fail-on warning\n  tidemark check --json | jq '.findings[].code'\n\nExit codes: 0 nothing at that severity or above\n  1 there is · 64 usage · 69 the server could not be checked\n\nA password is best left to PGPASSWORD or ~/.pgpass: others\non this machine can read a command line. docs/check.md",
    )
    .action(async (server: string | undefined, options: CheckOptions) => {
      const code = await check(context.terminal, server, options);
      context.end(code);
      // A name that no name server answers keeps the process for half a minute, and cannot be called off. Everything is printed.
      setTimeout(() => process.exit(code), LINGER_MS).unref();
    });
}

async function check(terminal: Terminal, server: string | undefined, options: CheckOptions): Promise<number> {
  try {
    const survey = await surveyServer(readTarget(server, process.env), systemClock, options.watch);
    const report = reportOf(survey, { ...THRESHOLDS, transactionAgeMs: options.transactionAge });
    terminal.out(options.json === true ? JSON.stringify(report, rounded, 2) : describeCheck(report, terminal).join("\n"));
    return failsAt(report.findings, options.failOn) ? EXIT.failed : EXIT.ok;
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    printError(error, terminal);
    // What could not be checked is neither good nor bad.
    return error.code === "TM-CHECK-TARGET" ? EXIT.usage : EXIT.unavailable;
  }
}

/** Figures to a thousandth: what comes after it is noise. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 1_000) / 1_000 : value;
}

function watchOption(text: string): number {
  const watchMs = durationOption(text);
  if (watchMs > MOST_WATCH_MS) throw new InvalidArgumentError("at most 6s: the answer is owed within ten seconds.");
  return watchMs;
}
