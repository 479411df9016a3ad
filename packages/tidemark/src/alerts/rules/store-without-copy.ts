// A store that has never had a copy besides its primary: no objective above zero time can be kept with it.
import type { StoreRule } from "./rule.ts";
import { CLEAR, UNKNOWN } from "./rule.ts";

export const storeWithoutCopy: StoreRule = {
  name: "store-without-copy",
  scope: "store",
  severity: "ticket",
  forMs: 5 * 60_000,
  keepMs: 60_000,
  judge({ facts, seen }) {
    if (facts.copies.some(({ kind }) => kind !== "primary") || seen.size > 0) return [{ subject: {}, verdict: CLEAR }];
    if (!facts.newestCommit.known) return [{ subject: {}, verdict: UNKNOWN }];
    return [
      {
        subject: {},
        verdict: {
          kind: "holds",
          summary: `${facts.store} has no copy at all: losing its primary loses everything`,
          evidence: { copies: 0 },
        },
      },
    ];
  },
};
