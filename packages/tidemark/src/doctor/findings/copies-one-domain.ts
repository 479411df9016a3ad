import type { Severity } from "../../check/finding.ts";
import { fateOf } from "../../exposure/copy-fate.ts";
import { SCENARIO_TAKES, type FailureDomainKind } from "../../objectives/failure-domain.ts";
import type { CopyFacts } from "../../probes/probe-result.ts";
import type { JudgedConfig } from "../configuration-survey.ts";
import type { DoctorRule } from "../doctor-rule.ts";
import { objectivesOf } from "../store-objectives.ts";

/** From the smallest domain on: what shares a machine shares its zone and region too, and is said once. */
const PLACES = ["machine", "zone", "region"] as const satisfies readonly FailureDomainKind[];

/** One accident takes the store and every copy of it. */
export const copiesOneDomain: DoctorRule = {
  name: "copies-one-domain",
  code: "TM-FINDING-COPIES-ONE-DOMAIN",
  severity: "critical",
  title: "All copies of a store are in one failure domain",
  judge({ config, stores }) {
    return stores.flatMap((facts) => {
      // WAL alone, wherever it is, brings nothing back.
      const whole = facts.copies.filter(({ holds }) => holds !== "wal");
      const kind = PLACES.find((place) => allWithin(whole, place));
      if (kind === undefined) return [];
      const severity = severityOf(config, facts.store, kind);
      if (severity === undefined) return [];
      const [first] = whole;
      return [
        {
          subject: facts.store,
          severity,
          evidence: [
            `${whole.map(({ name }) => name).join(", ")}: all on the same ${kind}${first?.domain[kind] === undefined ? "" : ` (${first.domain[kind]})`}`,
          ],
          fix: [
            `put a copy on another ${kind}`,
            `where one is there already, name it in the configuration: domain: { ${kind}: … } of the copy, or the copy itself`,
          ],
        },
      ];
    });
  },
};

function allWithin(copies: readonly CopyFacts[], kind: FailureDomainKind): boolean {
  const struck = copies.find((copy) => copy.kind === "primary") ?? copies[0];
  if (struck === undefined || copies.length < 2) return false;
  return copies.every((copy) => copy === struck || fateOf(copy.domain, struck.domain, kind) === "lost");
}

/**
 * Critical where an objective is about the loss of that domain or of one that contains it. Otherwise it is how somebody wants it: worth a
 * warning where machines are concerned, which fail most, and nothing where regions are.
 */
function severityOf(config: JudgedConfig, store: string, kind: (typeof PLACES)[number]): Severity | undefined {
  const outer = new Set<FailureDomainKind | undefined>(PLACES.slice(PLACES.indexOf(kind)));
  if (objectivesOf(config, store).some(({ scenario }) => outer.has(SCENARIO_TAKES[scenario]))) return "critical";
  return ({ machine: "warning", zone: "notice", region: undefined } as const)[kind];
}
