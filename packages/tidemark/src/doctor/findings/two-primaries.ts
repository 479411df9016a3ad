import { formatDuration } from "@tidemark/kernel/duration";
import type { ClusterSeen } from "../../check/server-survey.ts";
import type { ConfigurationSurvey } from "../configuration-survey.ts";
import type { DoctorRule } from "../doctor-rule.ts";

/** ONE-WRITER: two servers of one cluster that both take writes have two histories, and one of them will be thrown away. */
export const twoPrimaries: DoctorRule = {
  name: "two-primaries",
  code: "TM-FINDING-TWO-PRIMARIES",
  severity: "critical",
  title: "Split brain: two servers of one cluster are primaries",
  judge(survey) {
    return Object.keys(survey.config.observed).flatMap((store) => {
      const primaries = primariesOf(survey, store);
      const clusters = Map.groupBy(primaries, ({ cluster }) => cluster.systemIdentifier);
      return [...clusters.values()].flatMap((same) => {
        if (same.length < 2) return [];
        const newest = Math.max(...same.map(({ cluster }) => cluster.timeline));
        const older = same.filter(({ cluster }) => cluster.timeline < newest);
        return [
          {
            subject: store,
            evidence: same.map(
              ({ name, cluster, ageMs }) =>
                `${name}: not in recovery, on timeline ${cluster.timeline}${cluster.readOnly ? ", read-only unless a session says otherwise" : ", takes writes"} (seen ${formatDuration(ageMs)} into the survey)`,
            ),
            fix: [
              "stop applications first, then decide which history counts: what was written to the other since they parted is lost with it",
              ...(older.length === 0
                ? []
                : [`the older timeline is that of ${older.map(({ name }) => name).join(", ")}: probably the former primary`]),
              "stop the other one (pg_ctl stop -m fast), save its data folder, and make it a standby again with pg_rewind or a new base backup",
            ],
          },
        ];
      });
    });
  },
};

interface Primary {
  readonly name: string;
  readonly cluster: ClusterSeen;
  readonly ageMs: number;
}

/** Two addresses of one server are one primary. */
function primariesOf(survey: ConfigurationSurvey, store: string): Primary[] {
  const all = survey.servers.flatMap((one): Primary[] => {
    if (one.store !== store || !one.survey.known) return [];
    const { server, cluster, atMs } = one.survey.value;
    return server.inRecovery || !cluster.known ? [] : [{ name: one.name, cluster: cluster.value, ageMs: Math.max(0, atMs - survey.atMs) }];
  });
  const servers = Map.groupBy(all, ({ cluster }) => `${cluster.systemIdentifier} ${cluster.started}`);
  return [...servers.values()].flatMap(([first]) => (first === undefined ? [] : [first]));
}
