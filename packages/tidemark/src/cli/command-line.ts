import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { didYouMean } from "../config/did-you-mean.ts";
import { EXIT } from "../platform/exit-codes.ts";
import { openTerminal, type Terminal } from "./terminal.ts";
import { restoreSafeExit } from "./wal-exit-codes.ts";

/** What a command's module gives: the command, with its action; the action sets the exit code by what it answers. */
export interface CommandContext {
  readonly terminal: Terminal;
  /** Sets the exit code with which the process ends. */
  readonly end: (code: number) => void;
}

interface CommandEntry {
  readonly name: string;
  readonly group: string;
  readonly summary: string;
  /** Loaded when the command is used or its help is asked for: `tidemark --help` and the roles start fast. */
  readonly load: (context: CommandContext) => Promise<Command>;
}

const RUN = "Run:";
const LOOK = "Look:";
const PROVE = "Prove:";
const ROLES = "Roles (started by `up`, or one by one where they belong):";

const COMMANDS: readonly CommandEntry[] = [
  {
    name: "up",
    group: RUN,
    summary: "start the whole stack on this machine",
    load: async (context) => (await import("./up-command.ts")).upCommand(context),
  },
  {
    name: "down",
    group: RUN,
    summary: "stop it, in order",
    load: async (context) => (await import("./down-command.ts")).downCommand(context),
  },
  {
    name: "init",
    group: RUN,
    summary: "write a first tidemark.yaml",
    load: async (context) => (await import("./init-command.ts")).initCommand(context),
  },
  {
    name: "check",
    group: LOOK,
    summary: "what any PostgreSQL would lose now, and why",
    load: async (context) => (await import("./check-command.ts")).checkCommand(context),
  },
  {
    name: "doctor",
    group: LOOK,
    summary: "the same for the whole configuration",
    load: async (context) => (await import("./doctor-command.ts")).doctorCommand(context),
  },
  {
    name: "grants",
    group: LOOK,
    summary: "the SQL that lets Tidemark look at a PostgreSQL",
    load: async (context) => (await import("./grants-command.ts")).grantsCommand(context),
  },
  {
    name: "status",
    group: LOOK,
    summary: "what runs, what may be lost, what is known",
    load: async (context) => (await import("./status-command.ts")).statusCommand(context),
  },
  {
    name: "exposure",
    group: LOOK,
    summary: "what would be lost now, per service and accident",
    load: async (context) => (await import("./exposure-command.ts")).exposureCommand(context),
  },
  {
    name: "alerts",
    group: LOOK,
    summary: "what somebody is needed for",
    load: async (context) => (await import("./alerts-command.ts")).alertsCommand(context),
  },
  {
    name: "silence",
    group: LOOK,
    summary: "tell nobody of some alerts, for a while",
    load: async (context) => (await import("./silence-command.ts")).silenceCommand(context),
  },
  {
    name: "forget-copy",
    group: LOOK,
    summary: "no longer miss a copy that was taken away",
    load: async (context) => (await import("./forget-copy-command.ts")).forgetCopyCommand(context),
  },
  {
    name: "budget",
    group: LOOK,
    summary: "how much of each error budget is left",
    load: async (context) => (await import("./budget-command.ts")).budgetCommand(context),
  },
  {
    name: "logs",
    group: LOOK,
    summary: "what the roles say",
    load: async (context) => (await import("./logs-command.ts")).logsCommand(context),
  },
  {
    name: "wal",
    group: LOOK,
    summary: "archive and restore WAL, see recovery points",
    load: async (context) => (await import("./wal-command.ts")).walCommand(context),
  },
  {
    name: "config",
    group: LOOK,
    summary: "check tidemark.yaml",
    load: async (context) => (await import("./config-command.ts")).configCommand(context),
  },
  {
    name: "journal",
    group: LOOK,
    summary: "verify and dump the journal",
    load: async (context) => (await import("./journal-command.ts")).journalCommand(context),
  },
  {
    name: "audit",
    group: LOOK,
    summary: "verify and show the audit log",
    load: async (context) => (await import("./audit-command.ts")).auditCommand(context),
  },
  {
    name: "prove",
    group: PROVE,
    summary: "break a fresh stack under load and count every write",
    load: async (context) => (await import("./prove-command.ts")).proveCommand(context),
  },
  {
    name: "proof",
    group: PROVE,
    summary: "verify and show proofs, rotate their key",
    load: async (context) => (await import("./proof-command.ts")).proofCommand(context),
  },
  {
    name: "control",
    group: ROLES,
    summary: "leases, failovers, routes, status",
    load: async (context) => (await import("./role-commands.ts")).controlCommand(context),
  },
  {
    name: "agent",
    group: ROLES,
    summary: "one PostgreSQL node",
    load: async (context) => (await import("./role-commands.ts")).agentCommand(context),
  },
  {
    name: "vault",
    group: ROLES,
    summary: "receives and archives WAL",
    load: async (context) => (await import("./role-commands.ts")).vaultCommand(context),
  },
  {
    name: "gateway",
    group: ROLES,
    summary: "accepts writes and applies them",
    load: async (context) => (await import("./role-commands.ts")).gatewayCommand(context),
  },
];

/** Runs a command line and answers the exit code. Errors are shown, never thrown. */
export async function runCommandLine(args: readonly string[], terminal: Terminal = openTerminal()): Promise<number> {
  return restoreSafeExit(args, await run(args, terminal));
}

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = EXIT.ok;
  try {
    const program = await buildProgram(args, { terminal, end: (code) => (exitCode = code) });
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const { printError } = await import("./print-error.ts");
    return printError(error, terminal);
  }
}

/** The program with the command in use loaded whole and the others by name and summary. */
export async function buildProgram(args: readonly string[], context: CommandContext): Promise<Command> {
  const { terminal } = context;
  const program = new Command("tidemark")
    .description("Declare how much data each service may lose. Tidemark makes it true, measures it, and proves it.")
    .version(version(), "-V, --version", "show the version")
    .helpCommand("help [command]", "show the help of a command")
    .addHelpText("after", HELP_END);
  const operands = args.filter((arg) => !arg.startsWith("-"));
  const wanted = operands[0] === "help" ? operands[1] : operands[0];
  for (const entry of COMMANDS) {
    const command = entry.name === wanted ? await entry.load(context) : new Command(entry.name).description(entry.summary);
    program.addCommand(command.helpGroup(entry.group));
  }
  for (const command of everyCommand(program)) {
    command
      .exitOverride()
      .helpOption("-h, --help", "show help")
      .configureOutput({
        writeOut: (text) => terminal.out(text.replace(/\n$/, "")),
        writeErr: (text) => terminal.err(text.replace(/\n$/, "")),
        getOutHelpWidth: () => terminal.columns,
        getErrHelpWidth: () => terminal.columns,
        getOutHasColors: () => false,
        getErrHasColors: () => false,
      });
    command.showHelpAfterError("(--help shows the usage)").showSuggestionAfterError(true);
  }
  if (wanted !== undefined && args[0] === wanted && !COMMANDS.some((entry) => entry.name === wanted)) unknownCommand(wanted, terminal);
  return program;
}

function unknownCommand(given: string, terminal: Terminal): never {
  // `tidemark postgres://user:password@host` forgets a word: the password is not repeated.
  const name = given.includes("://") ? `${given.split("://", 1)[0] ?? ""}://…` : given;
  const meant = didYouMean(
    name,
    COMMANDS.map((entry) => entry.name),
  );
  terminal.err(
    `${terminal.paint.bad("error:")} there is no command "${name}"${meant === undefined ? "" : `; did you mean "${meant}"?`}\n(tidemark --help lists the commands)`,
  );
  throw new CommanderError(EXIT.usage, "tidemark.unknownCommand", name);
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap((child) => everyCommand(child))];
}

/** The version of this package. */
export function version(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
  return manifest.version;
}

const HELP_END = `
Examples:
  tidemark prove            kill a primary under load, count every write
  tidemark up               run the stack of ./tidemark.yaml, or the example
  tidemark status --watch   look at it

Exit codes: 0 done · 1 the answer is no · 64 usage · 69 not running
  70 FAIL-STOP · 75 may pass · 78 configuration (docs/cli.md has them all)`;
