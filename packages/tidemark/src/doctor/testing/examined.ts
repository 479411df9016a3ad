// What the tests of the doctor do: a configuration as somebody would write it, and what is said of it.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import type { ConnectionDetails } from "@tidemark/postgres/testing/cluster-fixture";
import { THRESHOLDS } from "../../check/finding.ts";
import { loadConfig } from "../../config/load-config.ts";
import { folderSpace } from "../../platform/folder-space.ts";
import { readSecret } from "../../platform/secret-files.ts";
import { doctorReportOf, type DoctorReport } from "../doctor-report.ts";
import { DOCTOR_THRESHOLDS, type DoctorThresholds } from "../doctor-rule.ts";
import { surveyConfiguration, type SurveyPlan } from "../survey-configuration.ts";
import { surveyPlan } from "../survey-plan.ts";

/** Long enough for two looks of each probe. */
const WATCH_MS = 2_500;
/** Repositories' commands on a busy machine. */
const MOST_MS = 90_000;

/** A folder for configurations and secrets, gone with the test. */
export interface ConfigFolder extends AsyncDisposable {
  readonly path: string;
  /** A server under `copies`, with its password in a file. */
  readonly server: (connection: ConnectionDetails, domain?: Readonly<Record<string, string>>) => Promise<object>;
  /** Writes a configuration with one service on one observed store, and answers its file. */
  readonly write: (document: object) => Promise<string>;
}

export async function configFolder(): Promise<ConfigFolder> {
  const path = await mkdtemp(join(tmpdir(), "tidemark-doctor-"));
  let secrets = 0;
  return {
    path,
    async server({ host, port, user, password, database }, domain = {}) {
      const passwordFile = join(path, `${++secrets}.password`);
      await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
      return { postgresql: { address: `${host}:${port}`, user, passwordFile, database, tls: "disable" }, domain };
    },
    async write(document) {
      const file = join(path, "tidemark.yaml");
      // JSON is YAML.
      await writeFile(file, JSON.stringify({ version: 1, name: "test", ...document }));
      return file;
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

export interface ExamineOptions {
  readonly thresholds?: Partial<DoctorThresholds>;
  readonly change?: (plan: SurveyPlan) => SurveyPlan;
}

/** What `tidemark doctor --config <file>` would say. */
export async function examine(file: string, { thresholds, change = (plan) => plan }: ExamineOptions = {}): Promise<DoctorReport> {
  const config = await loadConfig(file);
  const world = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const plan = surveyPlan(config, { token: new Redacted("none"), world: { ...world, environment: {}, readSecret: secretIn } });
  const survey = await surveyConfiguration(change(plan), { ...world, folderSpace }, { watchMs: WATCH_MS, mostMs: MOST_MS });
  return doctorReportOf(survey, { server: THRESHOLDS, whole: { ...DOCTOR_THRESHOLDS, ...thresholds } });
}

/** The names of the findings, each with its subject. */
export function named(report: DoctorReport): string[] {
  return report.findings.map(({ name, subject }) => `${name} ${subject}`);
}

async function secretIn(file: string): Promise<Redacted<string>> {
  const secret = await readSecret(file);
  if (secret === undefined) throw new TidemarkError("TM-PLATFORM-SECRET", `read the secret in ${file}: there is no such file`);
  return secret;
}
