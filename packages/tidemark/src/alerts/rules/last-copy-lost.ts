// No copy besides the primary is left: the next accident to it loses everything since nobody knows when.
import type { StoreRule } from "./rule.ts";
import { CLEAR } from "./rule.ts";

export const lastCopyLost: StoreRule = {
  name: "last-copy-lost",
  scope: "store",
  severity: "page",
  forMs: 20_000,
  keepMs: 30_000,
  judge({ facts, seen }) {
    const copies = facts.copies.filter(({ kind }) => kind !== "primary");
    if (copies.some(({ recoveryPoint }) => recoveryPoint.known)) return [{ subject: {}, verdict: CLEAR }];
    // A store that never had one is the business of store-without-copy.
    const had = [...seen.keys()].filter((name) => !facts.copies.some((copy) => copy.name === name && copy.kind === "primary"));
    if (had.length === 0) return [{ subject: {}, verdict: CLEAR }];
    return [
      {
        subject: {},
        verdict: {
          kind: "holds",
          summary: `${facts.store}: no copy besides the primary is left; ${had.length} had been seen: ${had.slice(0, 5).join(", ")}`,
          evidence: { had: had.slice(0, 20).join(", "), primaryAnswers: facts.newestCommit.known },
        },
      },
    ];
  },
};
