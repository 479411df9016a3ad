import type { CopyKind } from "../../probes/probe-result.ts";
import type { JudgedConfig } from "../configuration-survey.ts";
import type { DoctorRule } from "../doctor-rule.ts";

/** Copies that a primary tells of, by the name that they gave it. */
const STREAMED: ReadonlySet<CopyKind> = new Set(["standby", "vault"]);

/** Nobody said where it is: it may be the machine next to the primary, and cannot be counted on. */
export const copyUnnamed: DoctorRule = {
  name: "copy-unnamed",
  code: "TM-FINDING-COPY-UNNAMED",
  severity: "notice",
  title: "Something streams from a primary that the configuration does not name",
  judge({ config, stores }) {
    return stores.flatMap(({ store, copies }) => {
      const names = namesOf(config, store);
      const unnamed = copies.filter(({ name, kind, domain }) => STREAMED.has(kind) && !names.has(name) && Object.keys(domain).length === 0);
      if (unnamed.length === 0) return [];
      return [
        {
          subject: store,
          evidence: [`${unnamed.map(({ name }) => name).join(", ")}: in no known failure domain, and so not counted where one is lost`],
          fix: [
            "give the copy in the configuration the name by which its primary knows it (application_name, else cluster_name, of the standby)",
            "or add it under copies, with its domain",
          ],
        },
      ];
    });
  },
};

function namesOf({ stores, observed }: JudgedConfig, store: string): ReadonlySet<string> {
  const run = stores[store];
  const own = run === undefined ? [] : [...run.nodes, ...run.vaults].map(({ name }) => name);
  const others = (observed[store]?.copies ?? []).flatMap(({ name, source }) => [
    name,
    ...(source.kind === "patroni" ? Object.keys(source.members) : []),
  ]);
  return new Set([...own, ...others]);
}
