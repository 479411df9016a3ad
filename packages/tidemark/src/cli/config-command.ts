import { relative } from "node:path";
import { Command } from "commander";
import { formatGivenDuration } from "@tidemark/kernel/duration";
import type { Config } from "../config/config.ts";
import { ConfigError, PROBLEMS_SHOWN } from "../config/config-problem.ts";
import { CONFIG_SCHEMA_FILE } from "../config/config-schema.ts";
import { EXIT } from "../platform/exit-codes.ts";
import type { CommandContext } from "./command-line.ts";
import { findPlace, loadPlace, withPlace, type PlaceOptions } from "./place.ts";
import { wrap, type Terminal } from "./terminal.ts";

/** `tidemark config validate|schema`. */
export function configCommand(context: CommandContext): Command {
  const command = new Command("config").description("Checks tidemark.yaml.");
  const validate = withPlace(new Command("validate"))
    .description("Checks the configuration and says every problem with its file, line and column. Starts nothing.")
    .argument("[file]", "the configuration, like --config")
    .option("--json", "print the problems, or the configuration as used, as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark config validate\n  tidemark config validate --json production.yaml\n\nExit codes: 0 it is fine · 78 it has problems, or cannot be read",
    )
    .action(async (file: string | undefined, options: PlaceOptions & { json?: boolean }) =>
      context.end(await validateConfig(context.terminal, file === undefined ? options : { ...options, config: file })),
    );
  const schema = new Command("schema")
    .description("Prints the JSON Schema of tidemark.yaml, for editors.")
    .addHelpText("after", "\nExample:\n  tidemark config schema > tidemark.schema.json")
    .action(async () => {
      const { readFile } = await import("node:fs/promises");
      context.terminal.out((await readFile(CONFIG_SCHEMA_FILE, "utf8")).trimEnd());
    });
  return command.addCommand(validate).addCommand(schema);
}

async function validateConfig(terminal: Terminal, options: PlaceOptions & { json?: boolean }): Promise<number> {
  const place = await findPlace(options);
  const shown = relative(process.cwd(), place.configFile).startsWith("..") ? place.configFile : relative(process.cwd(), place.configFile);
  try {
    const config = await loadPlace({ ...place, configFile: shown });
    if (options.json === true) terminal.out(JSON.stringify({ valid: true, config }, null, 2));
    else {
      if (place.builtIn)
        terminal.out(wrap("There is no tidemark.yaml here; this is the example that comes with Tidemark.", terminal.columns));
      for (const line of describeConfig(config, terminal)) terminal.out(line);
    }
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (options.json === true) terminal.out(JSON.stringify({ valid: false, problems: error.problems }, null, 2));
    else printProblems(error, terminal);
    return EXIT.configuration;
  }
}

function printProblems(error: ConfigError, { out, err, paint, columns }: Terminal): void {
  for (const { file, line, column, message, expected, code } of error.problems.slice(0, PROBLEMS_SHOWN)) {
    out(paint.strong(`${file}:${line}:${column}`));
    out(`  ${wrap(message, columns - 2, "  ")}`);
    out(`  ${wrap(`expected: ${expected}`, columns - 2, "    ")}`);
    out(paint.dim(`  ${code}`));
  }
  const more = error.problems.length - PROBLEMS_SHOWN;
  err(
    `${paint.bad("✗")} ${error.problems.length === 1 ? "1 problem" : `${error.problems.length} problems`}${more > 0 ? `, ${more} of them not shown` : ""}`,
  );
}

function describeConfig(config: Config, { paint, columns }: Terminal): string[] {
  const lines = [`${paint.good("✓")} ${config.file} is fine`];
  for (const [name, service] of Object.entries(config.services)) {
    lines.push(`  service ${paint.strong(name)}, ${service.tier}`);
    for (const [scenario, objective] of Object.entries(service.objectives)) {
      lines.push(
        `    ${wrap(`${scenario}: may lose ${objective.rpoMs === 0 ? "nothing" : formatGivenDuration(objective.rpoMs)}, back within ${formatGivenDuration(objective.rtoMs)}`, columns - 4, "      ")}`,
      );
    }
  }
  for (const [name, store] of Object.entries(config.stores)) {
    lines.push(`  store ${paint.strong(name)} on ${store.nodes.map((node) => node.name).join(", ")}`);
    lines.push(
      `    ${wrap(`acknowledged once ${store.acknowledge === "journal" ? "journalled" : "applied"}; ${store.required} more cop${store.required === 1 ? "y" : "ies"} per commit; ${store.policy.kind}${store.writes === "gateway" ? "; written through the gateway alone" : ""}`, columns - 4, "      ")}`,
    );
  }
  for (const [name, { copies, canary }] of Object.entries(config.observed)) {
    if (copies.length === 0) continue;
    const looked = copies.map((copy) => `${copy.name} (${copy.source.kind})`).join(", ");
    lines.push(`  ${config.stores[name] === undefined ? "store" : "copies of"} ${paint.strong(name)}`);
    lines.push(`    ${wrap(`looked at: ${looked}; canary ${canary}`, columns - 4, "      ")}`);
  }
  const receivers = config.alerts.receivers.map(({ name }) => name);
  if (receivers.length > 0) lines.push(`  ${wrap(`alerts go to ${receivers.join(", ")}`, columns - 2, "    ")}`);
  const commands = Object.keys(config.commands);
  if (commands.length > 0) lines.push(`  ${wrap(`commands: ${commands.join(", ")}`, columns - 2, "    ")}`);
  return lines;
}
