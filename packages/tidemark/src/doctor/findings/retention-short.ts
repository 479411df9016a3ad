import { formatDuration } from "@tidemark/kernel/duration";
import type { StoreFacts } from "../../probes/probe-result.ts";
import type { ConfigurationSurvey } from "../configuration-survey.ts";
import type { DoctorRule, SubjectJudgement } from "../doctor-rule.ts";
import { objectivesOf } from "../store-objectives.ts";

/** What is kept for a shorter time than an objective allows for noticing and recovering is gone when it is needed. */
export const retentionShort: DoctorRule = {
  name: "retention-short",
  code: "TM-FINDING-RETENTION-SHORT",
  severity: "warning",
  title: "What is kept does not reach back as far as an objective needs",
  judge(survey) {
    return [...survey.stores.flatMap((facts) => backupsTooYoung(facts, survey)), ...healingTooShort(survey)];
  },
};

/** Against a bad write: a copy of before it has to be there still when its objective's time has passed. */
function backupsTooYoung({ store, copies }: StoreFacts, { config, atMs }: ConfigurationSurvey): SubjectJudgement[] {
  const ranges = copies.flatMap(({ name, holds, pointInTime }) =>
    holds === "wal" || pointInTime === undefined ? [] : [{ name, fromMs: pointInTime.fromMs }],
  );
  const oldest = ranges.reduce<(typeof ranges)[number] | undefined>(
    (best, one) => (best === undefined || one.fromMs < best.fromMs ? one : best),
    undefined,
  );
  if (oldest === undefined || !Number.isFinite(oldest.fromMs)) return [];
  const reachMs = Math.max(0, atMs - oldest.fromMs);
  const strictest = objectivesOf(config, store)
    .filter(({ scenario, rpoMs, rtoMs }) => scenario === "bad-write" && rpoMs + rtoMs > reachMs)
    .sort((one, other) => other.rpoMs + other.rtoMs - (one.rpoMs + one.rtoMs))[0];
  if (strictest === undefined) return [];
  const { service, rpoMs, rtoMs } = strictest;
  return [
    {
      subject: store,
      evidence: [
        `the oldest state that can be gone back to is ${formatDuration(reachMs)} old (${oldest.name})`,
        `${service} allows a bad write ${formatDuration(rpoMs)} of loss and ${formatDuration(rtoMs)} until it is undone: a state from before it has to be ${formatDuration(rpoMs + rtoMs)} old`,
      ],
      fix: [
        "keep backups longer (pgBackRest: repo1-retention-full; Barman: retention_policy)",
        "where backups began only now, this passes by itself",
      ],
    },
  ];
}

/** After a recovery the journal puts back what the copy lacked, as far back as it reaches. */
function healingTooShort({ config }: ConfigurationSurvey): SubjectJudgement[] {
  const { windowMs } = config.journal.healing;
  return Object.entries(config.stores).flatMap(([store, { acknowledge }]) => {
    if (acknowledge !== "journal") return [];
    const longest = objectivesOf(config, store).sort((one, other) => other.rtoMs - one.rtoMs)[0];
    if (longest === undefined || longest.rtoMs <= windowMs) return [];
    return [
      {
        subject: `${store}/journal`,
        evidence: [
          `the journal keeps what is safe for ${formatDuration(windowMs)} (journal.healing.window)`,
          `${longest.service} allows a recovery from ${longest.scenario} to take ${formatDuration(longest.rtoMs)}: what the copy lacks by then may be forgotten`,
        ],
        fix: [`journal: { healing: { window: ${formatDuration(longest.rtoMs)} } }  # or more, with a quota that holds it`],
      },
    ];
  });
}
