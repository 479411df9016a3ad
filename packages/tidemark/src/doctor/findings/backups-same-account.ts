import { fateOf } from "../../exposure/copy-fate.ts";
import type { DoctorRule } from "../doctor-rule.ts";
import { KEPT_WHOLE } from "../kept-copies.ts";
import { objectivesOf } from "../store-objectives.ts";

/** Whoever has the account of the database (or its stolen key) deletes the backups along with it. */
export const backupsSameAccount: DoctorRule = {
  name: "backups-same-account",
  code: "TM-FINDING-BACKUPS-SAME-ACCOUNT",
  severity: "warning",
  title: "All backups lie in the account of what they are backups of",
  judge({ config, stores }) {
    return stores.flatMap(({ store, copies }) => {
      const primary = copies.find(({ kind }) => kind === "primary") ?? copies.find(({ kind }) => !KEPT_WHOLE.has(kind));
      const kept = copies.filter(({ kind }) => KEPT_WHOLE.has(kind));
      if (primary === undefined || kept.length === 0) return [];
      if (!kept.every(({ domain }) => fateOf(domain, primary.domain, "account") === "lost")) return [];
      const isDemanded = objectivesOf(config, store).some(({ scenario }) => scenario === "account-loss");
      const { account } = primary.domain;
      return [
        {
          subject: store,
          ...(isDemanded ? { severity: "critical" as const } : {}),
          evidence: [
            `${kept.map(({ name }) => name).join(", ")}: in the same account as ${primary.name}${account === undefined ? "" : ` (${account})`}`,
            ...(isDemanded ? ["a service has an objective for account-loss"] : []),
          ],
          fix: [
            "keep one copy in another account, whose administrators and keys are others, and let it be written to, not deleted from",
            "lock it against deletion (object lock), and say so with lockedFor",
          ],
        },
      ];
    });
  },
};
