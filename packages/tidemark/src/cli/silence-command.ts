import { Command, InvalidArgumentError, Option } from "commander";
import { MATCHABLE } from "../alerts/silence.ts";
import { EXIT } from "../platform/exit-codes.ts";
import { describeSilence, describeSilences } from "./alerts-view.ts";
import type { CommandContext } from "./command-line.ts";
import { askControl, whoAsks } from "./control-call.ts";
import { durationOption } from "./down-command.ts";
import { withPlace, type PlaceOptions } from "./place.ts";
import { facts, list, type Facts } from "./status-facts.ts";
import { wrap, type Terminal } from "./terminal.ts";

interface AddOptions extends PlaceOptions {
  readonly for: number;
  readonly why: string;
  readonly who?: string;
  readonly json?: boolean;
}

interface EndOptions extends PlaceOptions {
  readonly why: string;
  readonly who?: string;
}

/** `tidemark silence add|list|end`. */
export function silenceCommand(context: CommandContext): Command {
  return new Command("silence")
    .description("Agrees not to tell of some alerts for a while. They are judged and recorded as ever; docs/alerts.md.")
    .addCommand(addCommand(context))
    .addCommand(listCommand(context))
    .addCommand(endCommand(context));
}

function addCommand(context: CommandContext): Command {
  return withPlace(new Command("add"))
    .summary("put a silence in force")
    .description(`Silences the alerts that match all that is given: ${MATCHABLE.join(", ")}.`)
    .argument("<matcher...>", "what it is about, as name=value", matcherArgument, {})
    .addOption(new Option("--for <duration>", "how long, at most 30d").argParser(durationOption).makeOptionMandatory())
    .requiredOption("--why <text>", "the reason, for the audit log and whoever asks")
    .option("--who <name>", "who asks for it (default: the user of this system)")
    .option("--json", "print the silence as JSON")
    .addHelpText(
      "after",
      `
Examples:
  tidemark silence add store=orders-db --for 2h --why "moving the database"
  tidemark silence add rule=copy-lost copy=pg2 --for 1d --why "new disk"

Exit codes: 0 it is in force · 1 it was refused · 69 control does not answer`,
    )
    .action(async (matchers: Readonly<Record<string, string>>, options: AddOptions) =>
      context.end(await add(context.terminal, matchers, options)),
    );
}

function listCommand(context: CommandContext): Command {
  return withPlace(new Command("list"))
    .summary("show the silences that are in force")
    .description("Shows the silences that have not ended.")
    .option("--json", "print what control says as JSON")
    .addHelpText("after", "\nExample:\n  tidemark silence list\n\nExit codes: 0 done · 69 control does not answer")
    .action(async (options: PlaceOptions & { json?: boolean }) => {
      const answer = await askControl(options, { path: "/v1/silences" });
      if (options.json === true) context.terminal.out(JSON.stringify(answer, null, 2));
      else for (const line of describeSilences(answer, context.terminal)) context.terminal.out(line);
      context.end(EXIT.ok);
    });
}

function endCommand(context: CommandContext): Command {
  return withPlace(new Command("end"))
    .summary("end a silence before its time")
    .description("Ends a silence before its time. What fires and was held back is told at once.")
    .argument("<id>", "the silence, as `silence list` shows it")
    .requiredOption("--why <text>", "the reason, for the audit log")
    .option("--who <name>", "who asks for it (default: the user of this system)")
    .addHelpText(
      "after",
      `
Example:
  tidemark silence end 01a2b3c4-d5e6-7f80-9123-456789abcdef --why "done early"

Exit codes: 0 it is over · 1 no such silence is in force
  69 control does not answer`,
    )
    .action(async (id: string, { why, who, ...place }: EndOptions) => {
      await askControl(place, {
        method: "DELETE",
        path: `/v1/silences/${encodeURIComponent(id)}`,
        body: { who: whoAsks(who), why },
      });
      context.terminal.out(`${context.terminal.paint.good("✓")} it is over`);
      context.end(EXIT.ok);
    });
}

async function add(terminal: Terminal, matchers: Readonly<Record<string, string>>, options: AddOptions): Promise<number> {
  const { for: forMs, why, who, json, ...place } = options;
  const silence = await askControl(place, {
    path: "/v1/silences",
    body: { matchers, forMs: Math.round(forMs), who: whoAsks(who), why },
  });
  if (json === true) terminal.out(JSON.stringify(silence, null, 2));
  else {
    for (const line of describeSilence(silence, undefined, terminal)) terminal.out(line);
    terminal.out(await underIt(silence, terminal, place));
  }
  return EXIT.ok;
}

/** How many alerts are under a silence now: one of a mistyped name is under none, and somebody is woken all the same. */
async function underIt(silence: Facts, { columns, paint }: Terminal, place: PlaceOptions): Promise<string> {
  const alerts = list((await askControl(place, { path: "/v1/alerts" }))["alerts"]).map(facts);
  const count = alerts.filter(({ silencedBy }) => silencedBy !== undefined && silencedBy === silence["id"]).length;
  if (count > 0) return `  ${paint.dim("now")}   ${count} ${count === 1 ? "alert" : "alerts"} under it`;
  return paint.warn(wrap("  no alert that is pending or fires is under it now: is each name right?", columns, "  "));
}

/** For commander: `name=value`, one after the other. */
function matcherArgument(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf("=");
  const [name, value] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  if (!(MATCHABLE as readonly string[]).includes(name) || value === "")
    throw new InvalidArgumentError(`write name=value, with a name of ${MATCHABLE.join(", ")}.`);
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`${name} stands there twice; all that is given has to match.`);
  return { ...before, [name]: value };
}
