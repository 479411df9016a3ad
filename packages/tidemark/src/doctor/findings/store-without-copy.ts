import type { DoctorRule } from "../doctor-rule.ts";

/** What is there once is lost with the first accident; WAL without anything to put it on is no copy either. */
export const storeWithoutCopy: DoctorRule = {
  name: "store-without-copy",
  code: "TM-FINDING-STORE-WITHOUT-COPY",
  severity: "critical",
  title: "A store has no copy that it could be recovered from",
  judge({ stores }) {
    return stores.flatMap(({ store, copies }) => {
      const others = copies.filter((copy, index) => copy.kind !== "primary" && !(index === 0 && copies.length === 1));
      const whole = others.filter(({ holds }) => holds !== "wal");
      if (whole.length > 0) return [];
      return [
        {
          subject: store,
          evidence: [
            others.length === 0
              ? copies.length === 0
                ? "neither the store itself nor a copy of it was found"
                : `only ${copies.map(({ name }) => name).join(", ")}: the store itself`
              : `${others.map(({ name }) => name).join(", ")}: WAL only, and no base backup, snapshot or replica that it could be put on`,
          ],
          fix: ["add a standby or base backups", "where there are some: name them under copies of the store, so that they are looked at"],
        },
      ];
    });
  },
};
