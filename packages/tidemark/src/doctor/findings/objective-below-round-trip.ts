import { formatDuration } from "@tidemark/kernel/duration";
import { fateOf } from "../../exposure/copy-fate.ts";
import { SCENARIO_TAKES, type FailureDomainKind } from "../../objectives/failure-domain.ts";
import { factsOf, type ConfigurationSurvey, type SurveyedServer } from "../configuration-survey.ts";
import type { DoctorRule, DoctorThresholds, SubjectJudgement } from "../doctor-rule.ts";
import { objectivesOf, type StoreObjective } from "../store-objectives.ts";

/** The clocks' comparison adds half a millisecond to half a round trip (check/survey.ts). */
const CLOCK_STEP_MS = 0.5;

/** Light sets the pace: a copy far away is behind by the way there, and a commit that waits for it waits there and back. */
export const objectiveBelowRoundTrip: DoctorRule = {
  name: "objective-below-round-trip",
  code: "TM-FINDING-OBJECTIVE-BELOW-ROUND-TRIP",
  severity: "warning",
  title: "An objective is stricter than the way to its copies allows",
  judge(survey, thresholds) {
    return Object.keys(survey.config.observed).flatMap((store) =>
      objectivesOf(survey.config, store).flatMap((objective) => judgeOne(survey, { store, objective, thresholds })),
    );
  },
};

function judgeOne(
  survey: ConfigurationSurvey,
  of: { store: string; objective: StoreObjective; thresholds: DoctorThresholds },
): SubjectJudgement[] {
  const { store, objective, thresholds } = of;
  const kind = SCENARIO_TAKES[objective.scenario];
  const nearest = kind === undefined ? undefined : nearestSurvivor(survey, store, kind);
  if (nearest === undefined) return [];
  const { name, atLeastMs } = nearest;
  const measured = `a round trip between the primary and ${name}, the nearest server that survives ${objective.scenario}, takes at least ${formatDuration(atLeastMs)}`;
  const subject = `${objective.service} ${objective.scenario}`;
  if (objective.rpoMs === 0) {
    if (atLeastMs < thresholds.commitWaitMs) return [];
    return [
      {
        subject,
        severity: "notice",
        evidence: [
          measured,
          `no loss at all means that every commit waits for it: one row can be changed at most ${Math.floor(1_000 / atLeastMs)} times a second`,
        ],
        fix: [
          "keep it if the wait is worth it, or allow some loss at this scenario",
          "let what need not wait commit with SET LOCAL synchronous_commit = local",
        ],
      },
    ];
  }
  if (objective.rpoMs >= atLeastMs / 2) return [];
  return [
    {
      subject,
      evidence: [
        measured,
        `the objective allows ${formatDuration(objective.rpoMs)}: no asynchronous copy there can be so near, even on an idle network`,
      ],
      fix: [
        `objectives: { ${objective.scenario}: { rpo: ${formatDuration(Math.ceil(atLeastMs * 2))} } }  # and more for load`,
        "or make that copy synchronous: then nothing is lost, and every commit waits for the round trip",
        "or put a copy nearer that survives this scenario",
      ],
    },
  ];
}

/** Of the servers that survive, the one with the shortest way; undefined unless every whole survivor's way is known. */
function nearestSurvivor(
  survey: ConfigurationSurvey,
  store: string,
  kind: FailureDomainKind,
): { name: string; atLeastMs: number } | undefined {
  const servers = survey.servers.filter((server) => server.store === store);
  const primary = servers.find((server) => server.survey.known && !server.survey.value.server.inRecovery);
  const homeMs = primary === undefined ? undefined : roundTripMs(primary);
  if (primary === undefined || homeMs === undefined) return undefined;
  const survivors = (factsOf(survey, store)?.copies ?? []).filter(
    (copy) => copy.kind !== "primary" && copy.name !== primary.name && fateOf(copy.domain, primary.domain, kind) === "survives",
  );
  const ways = survivors.map(({ name }) => {
    const server = servers.find((one) => one.name === name);
    const awayMs = server === undefined ? undefined : roundTripMs(server);
    // By the triangle of this machine and the two: the way between them is at least the difference of the ways to them.
    return { name, atLeastMs: awayMs === undefined ? 0 : Math.abs(awayMs - homeMs) };
  });
  const nearest = ways.sort((one, other) => one.atLeastMs - other.atLeastMs)[0];
  return nearest === undefined || nearest.atLeastMs <= 0 ? undefined : nearest;
}

function roundTripMs({ survey }: SurveyedServer): number | undefined {
  if (!survey.known || !survey.value.clock.known) return undefined;
  return Math.max(0, 2 * (survey.value.clock.value.errorMs - CLOCK_STEP_MS));
}
