import type { FindingRule } from "../finding.ts";
import { count } from "../seen-words.ts";
import { seenList } from "../server-survey.ts";

/** Logical replication carries rows and no sequences: after a switch to the subscriber nextval() gives numbers that exist. */
export const logicalSequences: FindingRule = {
  name: "logical-sequences",
  code: "TM-FINDING-LOGICAL-SEQUENCES",
  severity: "notice",
  title: "Sequences are not replicated logically",
  judge(survey) {
    if (!survey.database.known || survey.server.inRecovery) return undefined;
    const { name, sequences, publications } = survey.database.value;
    const slots = seenList(survey.slots).filter(
      ({ type, database, plugin }) => type === "logical" && plugin === "pgoutput" && database === name,
    );
    if (sequences === 0 || publications === 0 || slots.length === 0) return undefined;
    return {
      evidence: [
        `${name} has ${count(sequences, "sequence")}, ${count(publications, "publication")} and ${count(slots.length, "logical slot")} (${slots.map((slot) => slot.name).join(", ")})`,
      ],
      fix: ["before a subscriber takes over, set its sequences ahead, for each:", "SELECT setval('…', (SELECT max(id) + 10000 FROM …));"],
    };
  },
};
