import { Command, Option } from "commander";
import { EXIT } from "../platform/exit-codes.ts";
import type { CommandContext } from "./command-line.ts";
import { durationOption } from "./down-command.ts";
import { findPlace, loadPlace, withPlace, type PlaceOptions } from "./place.ts";
import { collectStatus, pause, type StatusReport } from "./status-report.ts";
import { describeStatus } from "./status-view.ts";
import { CLEAR_SCREEN, type Terminal } from "./terminal.ts";

interface StatusOptions extends PlaceOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
  readonly interval: number;
}

/** `tidemark status`. */
export function statusCommand(context: CommandContext): Command {
  return withPlace(new Command("status"))
    .description(
      "Shows what runs, who is primary, what the journal holds and how far it is applied. What cannot be asked is shown as unknown.",
    )
    .option("--json", "print everything that is known as JSON")
    .option("-w, --watch", "show it again and again")
    .addOption(new Option("--interval <duration>", "with --watch: time between two looks").argParser(durationOption).default(1_000, "1s"))
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark status\n  tidemark status --json | jq .gateway.value.journal\n  tidemark status --watch\n\nExit codes: 0 everything runs and answers · 1 something does not · 69 nothing runs",
    )
    .action(async (options: StatusOptions) => context.end(await showStatus(context.terminal, options)));
}

async function showStatus(terminal: Terminal, options: StatusOptions): Promise<number> {
  const config = await loadPlace(await findPlace(options));
  for (;;) {
    const report = await collectStatus(config);
    if (options.json === true) terminal.out(JSON.stringify(report, null, options.watch === true ? 0 : 2));
    else
      terminal.out(`${options.watch === true && terminal.interactive ? CLEAR_SCREEN : ""}${describeStatus(report, terminal).join("\n")}`);
    if (options.watch !== true) return statusExitCode(report);
    await pause(options.interval);
  }
}

/** 0 when everything that should run does and answers. */
export function statusExitCode({ supervisor, run, control, gateway }: StatusReport): number {
  if (!control.known && gateway?.known !== true && supervisor.state !== "running") return EXIT.unavailable;
  const ready = supervisor.state === "running" && run?.roles.every((role) => role.state === "ready") === true;
  const accepts = gateway === undefined || (gateway.known && gateway.value["accepting"] === true);
  return ready && control.known && accepts ? EXIT.ok : EXIT.failed;
}
