// Every command line that the pages show is one that this Tidemark knows: whoever is woken at night copies it.
import { CommanderError, type Command } from "commander";
import { describe, expect, it } from "vitest";
import { buildProgram } from "../../packages/tidemark/src/cli/command-line.ts";
import { makePaint } from "../../packages/tidemark/src/cli/terminal.ts";
import { commandLinesOf, shellWords, type CommandLine } from "./command-lines.ts";
import { trackedFiles } from "./source-files.ts";

const silent = { out: () => undefined, err: () => undefined, paint: makePaint(false), columns: 80, interactive: false };

/** What is missing from the name of a command that stands in a sentence. */
const MAY_BE_MISSING = new Set([
  "commander.help",
  "commander.missingArgument",
  "commander.missingMandatoryOptionValue",
  "commander.optionMissingArgument",
]);

/** The line whose digest makes the id of a key (docs/vault-format.md). */
const NO_COMMANDS = new Set(["tidemark key id"]);

/** Why the line cannot be run; undefined where it can. Nothing is run. */
async function faultOf({ words, whole }: Pick<CommandLine, "words" | "whole">): Promise<string | undefined> {
  try {
    const program = await buildProgram(words, { terminal: silent, end: () => undefined });
    for (const leaf of leavesOf(program)) leaf.action(() => undefined);
    await program.parseAsync([...words], { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0 || (!whole && MAY_BE_MISSING.has(error.code))) return undefined;
    return error.message.replace(/^error: /, "");
  }
}

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

describe("command lines of the pages", () => {
  it("are ones that this Tidemark knows, with their options and arguments", async () => {
    const pages = trackedFiles().filter(({ path }) => path.endsWith(".md") && path !== "CHANGELOG.md");
    const wrong: string[] = [];
    let all = 0;
    for (const { path, text } of pages) {
      for (const one of commandLinesOf(text)) {
        if (NO_COMMANDS.has(one.text)) continue;
        all++;
        const fault = await faultOf(one);
        if (fault !== undefined) wrong.push(`${path}:${one.line}: ${one.text}: ${fault}`);
      }
    }
    expect(wrong).toEqual([]);
    // Not because none was found.
    expect(all).toBeGreaterThan(100);
  });

  it("are found in blocks for a shell and in sentences, and nowhere else", () => {
    const page = [
      "Run `tidemark status`, or `npx tidemark up`. `tidemark.yaml` is a file, and `tidemark_probe` a role.",
      "```sh",
      "tidemark silence add store=db --for 2h \\",
      '  --why "a | b" | cat   # for a while',
      "npx tidemark check postgres://u@h/d > out.json",
      "```",
      "```text",
      "tidemark is no command here",
      "```",
    ].join("\n");
    expect(commandLinesOf(page).map(({ line, words, whole }) => [line, whole, words])).toEqual([
      [1, false, ["status"]],
      [1, false, ["up"]],
      [3, true, ["silence", "add", "store=db", "--for", "2h", "--why", "a | b"]],
      [5, true, ["check", "postgres://u@h/d"]],
    ]);
    expect(shellWords("forget-copy <store>/<copy> --why 'x y' && rm")).toEqual(["forget-copy", "<store>/<copy>", "--why", "x y"]);
  });

  it.each([
    [["stauts"], "there is no command"],
    [["status", "--colour"], "unknown option '--colour'"],
    [["wal", "verify"], "unknown command 'verify'"],
    [["silence", "add", "store=db", "--for", "soon", "--why", "x"], "soon"],
    [["silence", "add", "store=db", "--for", "1h"], "--why"],
    [["forget-copy", "--why", "x"], "missing required argument"],
  ])("%j is noticed", async (words, fault) => {
    expect(await faultOf({ words, whole: true })).toMatch(fault === "there is no command" ? /stauts/ : fault);
  });
});
