import { formatDuration } from "@tidemark/kernel/duration";
import type { CopyFacts } from "../../probes/probe-result.ts";
import type { DoctorRule } from "../doctor-rule.ts";
import { KEPT_WHOLE } from "../kept-copies.ts";
import { objectivesOf } from "../store-objectives.ts";

/** PROVEN-OR-NOT: a backup counts once it was restored and checked. */
export const backupUnverified: DoctorRule = {
  name: "backup-unverified",
  code: "TM-FINDING-BACKUP-UNVERIFIED",
  severity: "warning",
  title: "A backup was never restored, or not for too long",
  judge({ config, stores, atMs }) {
    return stores.flatMap(({ store, copies }) => {
      const mostAgeMs = Math.min(...objectivesOf(config, store).map((objective) => objective.config.mostProofAgeMs));
      return copies.flatMap((copy) => {
        const evidence = KEPT_WHOLE.has(copy.kind) && copy.recoveryPoint.known ? whyUnverified(copy, { atMs, mostAgeMs }) : undefined;
        if (evidence === undefined) return [];
        return [
          {
            subject: `${store}/${copy.name}`,
            evidence: [evidence],
            fix: [
              "restore it to an empty server, check what is there, and let a proof say so",
              "make it a habit: a job that does it each week",
            ],
          },
        ];
      });
    });
  },
};

function whyUnverified({ proof }: CopyFacts, limit: { atMs: number; mostAgeMs: number }): string | undefined {
  if (proof === undefined) return "no proof of a restore from it is known here";
  const ageMs = limit.atMs - proof.atMs;
  return ageMs > limit.mostAgeMs
    ? `it was restored last ${formatDuration(ageMs)} ago, and a service wants a proof every ${formatDuration(limit.mostAgeMs)}`
    : undefined;
}
