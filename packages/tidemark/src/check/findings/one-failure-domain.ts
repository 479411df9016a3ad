import type { FindingRule } from "../finding.ts";
import { count } from "../seen-words.ts";
import { onSameMachine, seenList, wholeCopies } from "../server-survey.ts";

/** A copy beside the original is lost together with it. */
export const oneFailureDomain: FindingRule = {
  name: "one-failure-domain",
  code: "TM-FINDING-ONE-FAILURE-DOMAIN",
  severity: "critical",
  title: "Every copy that was seen is on the server's own machine",
  judge(survey) {
    const replicas = wholeCopies(seenList(survey.replicas));
    if (replicas.length === 0 || !replicas.every((replica) => onSameMachine(replica, survey.server))) return undefined;
    const archived = survey.archiver.known && survey.archiver.value.archived > 0;
    return {
      severity: archived ? "warning" : "critical",
      evidence: [
        `${count(replicas.length, "copy").replace("copys", "copies")}: ${replicas.map(({ name, address }) => `${name} at ${address ?? "a Unix socket"}`).join(", ")}`,
        ...(archived ? ["WAL is archived; where to cannot be seen from here"] : ["nothing is archived"]),
      ],
      fix: ["run a replica, or a WAL receiver, on another machine in another zone"],
    };
  },
};
