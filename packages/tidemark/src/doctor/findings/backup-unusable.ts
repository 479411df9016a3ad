import type { CopyFacts } from "../../probes/probe-result.ts";
import { factsOf, type ConfigurationSurvey, type TargetSight } from "../configuration-survey.ts";
import type { DoctorRule, SubjectJudgement } from "../doctor-rule.ts";
import { KEPT_WHOLE } from "../kept-copies.ts";

/** What catalogues and vaults say of themselves; each counts something that must be 0. */
const TROUBLES: readonly { readonly figure: RegExp; readonly says: (count: number, figure: string) => string }[] = [
  {
    figure: /^pgbackrest_repo\d+_backups_spoiled$/,
    says: (count, figure) => `repository ${/\d+/.exec(figure)?.[0]}: ${count} backups have pages with wrong checksums`,
  },
  { figure: /^barman_failed_checks$/, says: (count) => `${count} of Barman's own checks fail` },
  { figure: /^barman_backups_not_done$/, says: (count) => `${count} backups are not done: failed, under way, or waiting for WAL` },
  { figure: /^vault_gaps$/, says: (count) => `${count} gaps in the WAL: recovery ends before each until there is a base backup after it` },
  { figure: /^vault_faults$/, says: (count) => `${count} recorded faults, such as a damaged object` },
];

/** A backup that its own catalogue gives up is none. */
export const backupUnusable: DoctorRule = {
  name: "backup-unusable",
  code: "TM-FINDING-BACKUP-UNUSABLE",
  severity: "critical",
  title: "A backup or snapshot cannot be used",
  judge(survey) {
    return survey.looks.flatMap((look) => [...withoutAny(look, survey), ...withTroubles(look)]);
  },
};

/** Repositories that were looked at, and have nothing to go back to. */
function withoutAny({ store, reading }: TargetSight, survey: ConfigurationSurvey): SubjectJudgement[] {
  if (!reading.ok) return [];
  return reading.copies.flatMap((copy) => {
    const { recoveryPoint } = merged(survey, store, copy);
    if (!KEPT_WHOLE.has(copy.kind) || recoveryPoint.known) return [];
    return [{ subject: `${store}/${copy.name}`, evidence: [recoveryPoint.why, ...copy.remarks.slice(0, 3)], fix: FIX }];
  });
}

/** What all who look at the copy know together: another one may know when it was made. */
function merged(survey: ConfigurationSurvey, store: string, copy: CopyFacts): CopyFacts {
  return factsOf(survey, store)?.copies.find(({ name }) => name === copy.name) ?? copy;
}

function withTroubles({ store, target, reading }: TargetSight): SubjectJudgement[] {
  if (!reading.ok) return [];
  const evidence = Object.entries(reading.figures).flatMap(([name, figure]) => {
    const trouble = TROUBLES.find((one) => one.figure.test(name));
    return trouble === undefined || !figure.known || figure.value === 0 ? [] : [trouble.says(figure.value, name)];
  });
  if (evidence.length === 0) return [];
  const named = reading.copies.flatMap(({ remarks }) => remarks.filter((remark) => /check fails|status/.test(remark)));
  // Others of its backups may still be sound: what is left is shown as its recovery point.
  return [{ subject: `${store}/${target}`, severity: "warning", evidence: [...evidence, ...named], fix: FIX }];
}

const FIX = [
  "look at it with its own tool: pgbackrest info, barman check, tidemark wal status",
  "take a new full backup, and restore it somewhere to see that it can be",
];
