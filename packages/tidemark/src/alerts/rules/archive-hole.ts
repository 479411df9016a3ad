// Archived WAL has a hole (NO-HOLE): recovery from there ends before it. Holes that the vault could not help are wal-gap's.
import type { VaultRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

export const archiveHole: VaultRule = {
  name: "archive-hole",
  scope: "vault",
  severity: "page",
  forMs: 0,
  keepMs: 0,
  judge({ status }) {
    const archive = status.archive;
    if (archive === undefined) return [];
    const places = new Set(["local", ...archive.stores.map(({ name }) => name)]);
    return [...places].map((where) => {
      const subject = { archive: where };
      const holes = archive.holes.filter((hole) => hole.where === where && !hole.recordedGap);
      const first = holes[0];
      if (first === undefined) return { subject, verdict: CLEAR };
      return {
        subject,
        verdict: {
          kind: "holds" as const,
          summary: `${status.store}: WAL ${first.start} to ${first.end} of timeline ${first.timeline} is missing in ${where} of vault ${status.vault}${holes.length > 1 ? `, and ${holes.length - 1} more ranges` : ""}`,
          evidence: { holes: holes.length, timeline: first.timeline, from: first.start, to: first.end, kind: first.kind },
        },
      };
    });
  },
};
