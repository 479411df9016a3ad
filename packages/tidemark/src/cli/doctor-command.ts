import { Command, InvalidArgumentError, Option } from "commander";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { TidemarkError } from "@tidemark/kernel/errors";
import { failsAt } from "../check/check-report.ts";
import { SEVERITIES, THRESHOLDS, type Severity } from "../check/finding.ts";
import { WATCH_MS } from "../check/survey.ts";
import type { Config } from "../config/config.ts";
import { doctorReportOf } from "../doctor/doctor-report.ts";
import { DOCTOR_THRESHOLDS } from "../doctor/doctor-rule.ts";
import { surveyConfiguration, type SurveyPlan } from "../doctor/survey-configuration.ts";
import { surveyPlan } from "../doctor/survey-plan.ts";
import { withRealDataDirs } from "../platform/data-place.ts";
import { EXIT } from "../platform/exit-codes.ts";
import { folderSpace } from "../platform/folder-space.ts";
import { readSecret } from "../platform/secret-files.ts";
import type { CommandContext } from "./command-line.ts";
import { describeDoctor } from "./doctor-view.ts";
import { durationOption } from "./down-command.ts";
import { findPlace, loadPlace, withPlace, type PlaceOptions } from "./place.ts";

/** Probes that have not looked once by then are given up, milliseconds: a repository's catalogue may take its time. */
const SURVEY_MS = 20_000;
/** Longer would leave a server's own survey no time (check/survey.ts). */
const MOST_WATCH_MS = 6_000;
/** For connections to close, milliseconds. */
const LINGER_MS = 250;

interface DoctorOptions extends PlaceOptions {
  readonly json?: boolean;
  readonly failOn: Severity;
  readonly watch: number;
  readonly transactionAge: number;
  readonly freeSpace: number;
}

/** `tidemark doctor`. */
export function doctorCommand(context: CommandContext): Command {
  return withPlace(new Command("doctor"))
    .description(
      "Looks at everything that the configuration names, and changes nothing: servers, replicas, vaults, repositories of backups, disks, objectives. Says what would be lost now, what is wrong and how to correct it.",
    )
    .option("--json", "print the report as JSON")
    .addOption(new Option("--fail-on <severity>", "end with 1 from this severity on").choices(SEVERITIES).default("critical"))
    .addOption(
      new Option("--watch <duration>", "for how long positions are watched, at least").argParser(watchOption).default(WATCH_MS, "3s"),
    )
    .addOption(
      new Option("--transaction-age <duration>", "from which age on transactions are findings")
        .argParser(durationOption)
        .default(THRESHOLDS.transactionAgeMs, "5m"),
    )
    .addOption(
      new Option("--free-space <percent>", "below so much free space a disk is a finding")
        .argParser(percentOption)
        .default(DOCTOR_THRESHOLDS.freeShare, "10%"),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark doctor\n  tidemark doctor --config production.yaml --fail-on warning\n  tidemark doctor --json | jq '.findings[] | [.subject, .code]'\n\nExit codes: 0 nothing at that severity or above\n  1 there is · 64 usage · 69 nothing of it could be looked at\n  78 configuration. docs/doctor.md",
    )
    .action(async (options: DoctorOptions) => {
      const code = await examine(context, options);
      context.end(code);
      // A name that no name server answers keeps the process for half a minute, and cannot be called off. Everything is printed.
      setTimeout(() => process.exit(code), LINGER_MS).unref();
    });
}

async function examine({ terminal }: CommandContext, options: DoctorOptions): Promise<number> {
  const config = await withRealDataDirs(await loadPlace(await findPlace(options)));
  const world = { folderSpace, clock: systemClock, random: systemRandom, logger: silentLogger };
  const survey = await surveyConfiguration(await planOf(config), world, { watchMs: options.watch, mostMs: SURVEY_MS });
  const report = doctorReportOf(survey, {
    server: { ...THRESHOLDS, transactionAgeMs: options.transactionAge },
    whole: { ...DOCTOR_THRESHOLDS, freeShare: options.freeSpace },
  });
  terminal.out(options.json === true ? JSON.stringify(report, rounded, 2) : describeDoctor(report, terminal).join("\n"));
  if (survey.looks.length > 0 && survey.looks.every(({ reading }) => !reading.ok)) return EXIT.unavailable;
  return failsAt(report.findings, options.failOn) ? EXIT.failed : EXIT.ok;
}

async function planOf(config: Config): Promise<SurveyPlan> {
  // Without it nothing of Tidemark's own answers, and each says so for itself.
  const token = (await readSecret(config.control.internalTokenFile)) ?? new Redacted("");
  const world = { clock: systemClock, random: systemRandom, logger: silentLogger, environment: process.env, readSecret: secretIn };
  return surveyPlan(config, { token, world });
}

async function secretIn(file: string): Promise<Redacted<string>> {
  const secret = await readSecret(file);
  if (secret === undefined) throw new TidemarkError("TM-PLATFORM-SECRET", `read the secret in ${file}: there is no such file`);
  return secret;
}

function watchOption(text: string): number {
  const watchMs = durationOption(text);
  if (watchMs > MOST_WATCH_MS) throw new InvalidArgumentError("at most 6s.");
  return watchMs;
}

function percentOption(text: string): number {
  const match = /^(\d{1,3}(?:\.\d+)?)\s*%?$/.exec(text);
  const percent = match === null ? Number.NaN : Number(match[1]);
  if (!(percent >= 0 && percent <= 100)) throw new InvalidArgumentError("a percentage from 0 to 100, such as 10%.");
  return percent / 100;
}

/** Figures to a thousandth: what comes after it is noise. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 1_000) / 1_000 : value;
}
