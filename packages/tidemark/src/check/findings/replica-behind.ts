import { formatDuration } from "@tidemark/kernel/duration";
import type { FindingRule } from "../finding.ts";
import { sayBytes } from "../seen-words.ts";
import { seenList, type Lag, type ReplicaSeen } from "../server-survey.ts";

/** WAL that a replica may lack before the age of it is asked for at all, bytes: two WAL files. */
const MANY_BYTES = 32 * 1024 * 1024;

/** What an asynchronous replica lacks is lost with the primary. */
export const replicaBehind: FindingRule = {
  name: "replica-behind",
  code: "TM-FINDING-REPLICA-BEHIND",
  severity: "warning",
  title: "A replica lacks WAL",
  judge(survey, { replicaLagMs }) {
    const watched = survey.watch.known ? survey.watch.value.replicas : [];
    const lagOf = ({ pid }: ReplicaSeen): Lag | undefined => watched.find((replica) => replica.pid === pid)?.lag;
    const behind = seenList(survey.replicas).filter((replica) => {
      const lag = lagOf(replica);
      const caughtUp = lag?.kind === "known" && lag.ms === 0;
      return (
        !caughtUp &&
        ((lag?.kind === "known" && lag.ms > replicaLagMs) ||
          (replica.flushLagMs ?? 0) > replicaLagMs ||
          (replica.missingBytes ?? 0) > MANY_BYTES)
      );
    });
    if (behind.length === 0) return undefined;
    return {
      evidence: behind.map((replica) => {
        const lag = lagOf(replica);
        const time =
          lag?.kind === "known"
            ? `, ${formatDuration(lag.ms)} behind`
            : lag?.kind === "at-least"
              ? `, more than ${formatDuration(lag.ms)} behind`
              : "";
        return `${replica.name || `pid ${replica.pid}`} (${replica.state}) lacks ${sayBytes(replica.missingBytes ?? 0)}${time}`;
      }),
      fix: [
        "look at the replica's disk and network, and at its log",
        "SELECT application_name, state, sent_lsn, flush_lsn, flush_lag FROM pg_stat_replication;",
      ],
    };
  },
};
