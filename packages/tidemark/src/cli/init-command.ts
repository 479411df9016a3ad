import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { TidemarkError } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { Redacted } from "@tidemark/kernel/redacted";
import { readTarget } from "../check/connection-target.ts";
import { ConfigError } from "../config/config-problem.ts";
import { CONFIG_SCHEMA_FILE } from "../config/config-schema.ts";
import { parseAddress, type ListenAddress } from "../config/listen-address.ts";
import { checkConfig } from "../config/load-config.ts";
import type { BusinessConfig } from "../config/observed-config.ts";
import type { ServiceConfig } from "../config/config.ts";
import { managedConfig, observedConfig, SCHEMA_NAME, type FirstAnswers } from "../init/first-config.ts";
import { findStore, type FoundStore } from "../init/found-store.ts";
import {
  amountFault,
  askStandbys,
  durationFault,
  interview,
  parseRevenue,
  TIERS,
  UNIT,
  usualAnswers,
  type GivenAnswers,
} from "../init/interview.ts";
import { refuseExisting, writeConfig, writePassword, writeSchema } from "../init/write-first.ts";
import { EXIT } from "../platform/exit-codes.ts";
import type { CommandContext } from "./command-line.ts";
import { printError } from "./print-error.ts";
import { GoneAway, LineQuestioner } from "./questioner.ts";
import { wrap, type Terminal } from "./terminal.ts";

/** For connections to close, milliseconds. */
const LINGER_MS = 250;

interface InitOptions {
  readonly out: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly name?: string;
  readonly service?: string;
  readonly owner?: string;
  readonly tier?: ServiceConfig["tier"];
  readonly why?: string;
  readonly rpo?: string;
  readonly rto?: string;
  readonly unit?: string;
  readonly perHour?: number;
  readonly revenue?: NonNullable<BusinessConfig["revenue"]>;
  readonly canary?: boolean;
  readonly passwordFile?: string;
  readonly standby: Readonly<Record<string, ListenAddress>>;
  readonly zone: Readonly<Record<string, string>>;
}

/** `tidemark init`. */
export function initCommand(context: CommandContext): Command {
  return new Command("init")
    .description(
      "Writes a first tidemark.yaml: asks what may be lost, and looks at a running PostgreSQL for the copies that it has. It changes nothing there, and replaces no file. Without a server, the file lets Tidemark run one on this machine.",
    )
    .addArgument(
      new Argument(
        "[server]",
        "postgres://user@host:port/database, or host=… dbname=…; what is missing comes from PGHOST, PGUSER and so on",
      ),
    )
    .option("-o, --out <file>", "the file to write", "tidemark.yaml")
    .option("-y, --yes", "ask nothing: what is not given is as usual")
    .option("--dry-run", "print what would be written, and write nothing")
    .option("--force", "replace the file")
    .option("--json", "print what was done as JSON; asks nothing, like --yes")
    .addOption(new Option("--name <name>", "of this deployment (default: the service's)").argParser(nameOption))
    .addOption(new Option("--service <name>", "the service (default: after the database)").argParser(nameOption))
    .option("--owner <who>", "who answers for it")
    .addOption(new Option("--tier <tier>", "how much depends on it (default: high)").choices(TIERS))
    .option("--why <text>", "why this much may be lost and no more")
    .addOption(new Option("--rpo <duration>", "what may be lost when a machine or a zone is (default: the tier's)").argParser(durationText))
    .addOption(new Option("--rto <duration>", "how long it may be away then (default: the tier's)").argParser(durationText))
    .addOption(new Option("--unit <plural>", "what a loss is counted in, such as orders").argParser(unitOption))
    .addOption(new Option("--per-hour <number>", "how many there are in an hour").argParser(amountOption))
    .addOption(new Option("--revenue <currency:number>", "what an hour earns, such as EUR:24000").argParser(revenueOption))
    .option("--canary", "let the canary be written: needs tidemark grants --canary")
    .option("--password-file <file>", "the file that holds the password; a password that was given is written to it, mode 0600")
    .addOption(
      new Option("--standby <name=host:port>", "where a standby listens; once for each")
        .argParser(standbyOption)
        .default({}, "as its primary sees it"),
    )
    .addOption(new Option("--zone <copy=zone>", "in which zone a copy is; once for each").argParser(zoneOption).default({}, "not known"))
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark init postgres://monitor@db1/shop\n  tidemark init --yes --tier critical --owner shop --unit orders \\\n    --per-hour 1200 --zone db1=a --dry-run host=db1 dbname=shop\n  tidemark init --yes --standby standby1=db2:5433 postgres://monitor@db1/shop\n\nExit codes: 0 written, or printed · 1 the file is there already\n  64 usage, or nobody to ask · 69 the server could not be looked at\n  78 what was given contradicts itself · 130 interrupted: nothing was written\n\nThe password stays out of the file. A command line can be read by others:\nPGPASSWORD or ~/.pgpass are better places for it.",
    )
    .action(async (server: string | undefined, options: InitOptions) => {
      const code = await init(context.terminal, server, options);
      context.end(code);
      // As for `check`: a name that no name server answers keeps the process for half a minute.
      setTimeout(() => process.exit(code), LINGER_MS).unref();
    });
}

async function init(terminal: Terminal, server: string | undefined, options: InitOptions): Promise<number> {
  try {
    return await run(terminal, server, options);
  } catch (error) {
    if (error instanceof GoneAway) {
      terminal.err("\nnothing was written");
      return EXIT.interrupted;
    }
    if (!(error instanceof TidemarkError)) throw error;
    const code = printError(error, terminal);
    if (error.code === "TM-CHECK-TARGET" || error.code === "TM-INIT-NO-TERMINAL") return EXIT.usage;
    return error.code.startsWith("TM-CHECK-") || error.code === "TM-INIT-SERVER" ? EXIT.unavailable : code;
  }
}

/** What is to be written, and where. */
interface Draft {
  readonly file: string;
  readonly yaml: string;
  readonly found: FoundStore | undefined;
  readonly password?: { readonly file: string; readonly secret: Redacted<string> };
}

async function run(terminal: Terminal, server: string | undefined, options: InitOptions): Promise<number> {
  if ((options.unit === undefined) !== (options.perHour === undefined) || (options.revenue !== undefined && options.unit === undefined)) {
    terminal.err(`${terminal.paint.bad("error:")} --unit and --per-hour go together, and --revenue with both\n(--help shows the usage)`);
    return EXIT.usage;
  }
  const file = resolve(options.out);
  const writes = options.dryRun !== true;
  if (writes) refuseExisting(file, options.force === true);
  const asks = options.yes !== true && options.json !== true;
  if (asks && !(terminal.interactive && process.stdin.isTTY))
    throw new TidemarkError("TM-INIT-NO-TERMINAL", "a first configuration cannot be asked for: there is no terminal");
  if (!asks) return finish(terminal, await draft(terminal, server, { ...options, file }), options);
  using questioner = new LineQuestioner(terminal, { input: process.stdin, output: process.stdout });
  return finish(terminal, await draft(terminal, server, { ...options, file, questioner }), options);
}

async function draft(
  terminal: Terminal,
  server: string | undefined,
  options: InitOptions & { readonly file: string; readonly questioner?: LineQuestioner },
): Promise<Draft> {
  const { file, questioner } = options;
  const address =
    server ??
    (await questioner?.ask({
      about: "Which PostgreSQL holds the state? Give its address without a password, such as postgres://monitor@db1/shop.",
      text: "Address? (empty: Tidemark shall run one on this machine)",
    })) ??
    "";
  if (questioner !== undefined && address !== "") terminal.out(terminal.paint.dim("looking at it …"));
  const target = address === "" ? undefined : readTarget(address, process.env);
  const first = target === undefined ? undefined : await findStore({ target, standbys: options.standby, clock: systemClock });
  if (questioner !== undefined && first !== undefined) printFound(terminal, first);
  const told = questioner === undefined ? {} : await askStandbys(questioner, first?.unlocated ?? []);
  const found =
    target === undefined || Object.keys(told).length === 0
      ? first
      : await findStore({ target, standbys: { ...options.standby, ...told }, clock: systemClock });
  const given = givenAnswers(options);
  const answers = questioner === undefined ? usualAnswers(given, found) : await interview(questioner, given, found);
  if (found === undefined || target === undefined) return { file, found, yaml: sound(managedConfig(answers), file) };
  const passwordFile =
    options.passwordFile === undefined ? resolve(dirname(file), "secrets", `${answers.store}.password`) : resolve(options.passwordFile);
  const wanted = target.password !== undefined || options.passwordFile !== undefined;
  const withFile: FirstAnswers = wanted ? { ...answers, passwordFile: shownFrom(dirname(file), passwordFile) } : answers;
  const yaml = sound(observedConfig(withFile, found), file);
  if (target.password === undefined) return { file, found, yaml };
  const agreed =
    options.passwordFile !== undefined ||
    (await questioner
      ?.ask({
        text: `Write the password to ${shownFrom(process.cwd(), passwordFile)}, readable by you alone? (yes or no)`,
        byDefault: "no",
        fault: (answer) => (/^(y|yes|n|no)$/i.test(answer) ? undefined : "yes or no"),
      })
      .then((answer) => /^y/i.test(answer))) === true;
  return { file, found, yaml, ...(agreed ? { password: { file: passwordFile, secret: target.password } } : {}) };
}

/** What was written must pass `tidemark config validate`. Throws a ConfigError when what was given contradicts itself. */
function sound(yaml: string, file: string): string {
  const checked = checkConfig(yaml, file);
  if ("problems" in checked) throw new ConfigError(file, checked.problems);
  return yaml;
}

async function finish(terminal: Terminal, { file, yaml, found, password }: Draft, options: InitOptions): Promise<number> {
  const writes = options.dryRun !== true;
  let passwordWritten = false;
  if (writes && password !== undefined) passwordWritten = await writePassword(password.file, password.secret);
  if (writes) await writeConfig(file, yaml, options.force === true);
  const schema = join(dirname(file), SCHEMA_NAME);
  const schemaWritten = writes && (await writeSchema(schema, await readFile(CONFIG_SCHEMA_FILE, "utf8")));
  if (options.json === true) {
    const copies = found?.servers.map(({ name }) => name) ?? [];
    const written = {
      file,
      written: writes,
      ...(passwordWritten ? { passwordFile: password?.file } : {}),
      ...(schemaWritten ? { schemaFile: schema } : {}),
      copies,
      yaml,
    };
    terminal.out(JSON.stringify({ formatVersion: 1, ...written }, null, 2));
    return EXIT.ok;
  }
  if (!writes) {
    terminal.out(yaml.trimEnd());
    return EXIT.ok;
  }
  const { out, paint, columns } = terminal;
  out(`${paint.good("✓")} wrote ${shownFrom(process.cwd(), file)}`);
  if (schemaWritten) out(`${paint.good("✓")} wrote ${shownFrom(process.cwd(), schema)}, for your editor`);
  if (password !== undefined) {
    const place = shownFrom(process.cwd(), password.file);
    out(
      passwordWritten
        ? `${paint.good("✓")} wrote the password to ${place}`
        : wrap(`${place} is there already and was left as it is`, columns),
    );
  } else if (/\bpasswordFile:/.test(yaml))
    out(wrap("Put the password into the file that passwordFile names, mode 0600: without it nothing can be looked at.", columns));
  out(wrap("Read it: what only a person knows stands there as a comment.", columns));
  out("  check it  tidemark config validate");
  out("  run it    tidemark up");
  return EXIT.ok;
}

function printFound({ out, paint, columns }: Terminal, { servers, remarks }: FoundStore): void {
  for (const { name, remarks: own } of servers) out(wrap(`${paint.good("•")} ${paint.strong(name)}: ${own.join(" ")}`, columns, "  "));
  for (const remark of remarks) out(wrap(`${paint.warn("•")} ${remark}`, columns, "  "));
}

function givenAnswers(options: InitOptions): GivenAnswers {
  const { name, service, owner, tier, why, rpo, rto, unit, perHour, revenue, canary, zone } = options;
  const business = unit === undefined ? undefined : { unit, ...given({ perHour }), ...given({ revenue }) };
  const canaryMode = canary === true ? ("write" as const) : undefined;
  return { zones: zone, ...given({ name, service, owner, tier, why, rpo, rto, business, canary: canaryMode }) };
}

/** Without what is undefined. */
function given<T extends object>(record: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>;
  };
}

function shownFrom(folder: string, path: string): string {
  const way = relative(folder, path);
  return way.startsWith("..") || isAbsolute(way) ? path : way;
}

function nameOption(text: string): string {
  if (!/^[a-z][a-z0-9-]{0,36}$/.test(text))
    throw new InvalidArgumentError("a name of lower-case letters, digits and hyphens, beginning with a letter, at most 37 long.");
  return text;
}

function durationText(text: string): string {
  const fault = durationFault(text);
  if (fault !== undefined) throw new InvalidArgumentError(`${fault}.`);
  return text;
}

function amountOption(text: string): number {
  const fault = amountFault(text);
  if (fault !== undefined) throw new InvalidArgumentError(`${fault}.`);
  return Number(text);
}

function unitOption(text: string): string {
  if (!UNIT.test(text)) throw new InvalidArgumentError("a word such as orders, at most 40 long.");
  return text;
}

function revenueOption(text: string): NonNullable<BusinessConfig["revenue"]> {
  const revenue = parseRevenue(text);
  if (revenue === undefined) throw new InvalidArgumentError("a currency and a number, such as EUR:24000.");
  return revenue;
}

function standbyOption(text: string, before: Readonly<Record<string, ListenAddress>>): Record<string, ListenAddress> {
  const [name, value] = pairOf(text);
  const address = parseAddress(value);
  if (address === undefined) throw new InvalidArgumentError("write name=host:port, with the name as pg_stat_replication has it.");
  return { ...before, [name]: address };
}

function zoneOption(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const [name, value] = pairOf(text);
  return { ...before, [name]: value };
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError("write name=value.");
  return [text.slice(0, at), text.slice(at + 1)];
}
