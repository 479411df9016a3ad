import { formatDuration } from "@tidemark/kernel/duration";
import type { ServiceConfig } from "../../config/config.ts";
import { tierObjective } from "../../objectives/tier-objectives.ts";
import type { DoctorRule, SubjectJudgement } from "../doctor-rule.ts";
import type { StoreObjective } from "../store-objectives.ts";
import { objectivesOf } from "../store-objectives.ts";

const HOUR_MS = 3_600_000;
/** From strict to loose. */
const TIERS = ["near-zero", "critical", "high", "medium", "low"] as const satisfies readonly ServiceConfig["tier"][];
/** A tier would do as well if what it allows to lose is less than this part of one unit of business. */
const HARDLY_ANY = 0.1;

/** Strictness is paid for: waiting commits, machines, pages at night. */
export const objectiveBeyondNeed: DoctorRule = {
  name: "objective-beyond-need",
  code: "TM-FINDING-OBJECTIVE-BEYOND-NEED",
  severity: "notice",
  title: "An objective is stricter than what it protects seems to need",
  judge({ config }) {
    const all = Object.keys(config.observed).flatMap((store) => objectivesOf(config, store));
    const once = new Map(all.map((objective) => [`${objective.service} ${objective.scenario}`, objective]));
    return [...once].flatMap(([subject, objective]) => judgeOne(subject, objective));
  },
};

function judgeOne(subject: string, { config, scenario, rpoMs }: StoreObjective): SubjectJudgement[] {
  const { business, why } = config;
  if (business?.perHour === undefined || business.perHour <= 0) return [];
  const perMs = business.perHour / HOUR_MS;
  const enough = TIERS.findLast((tier) => {
    const usual = tierObjective(tier, scenario);
    return usual !== undefined && usual.rpoMs > rpoMs && usual.rpoMs * perMs <= HARDLY_ANY;
  });
  const usual = enough === undefined ? undefined : tierObjective(enough, scenario);
  if (enough === undefined || usual === undefined) return [];
  const most = usual.rpoMs * perMs;
  return [
    {
      subject,
      evidence: [
        `the objective allows ${rpoMs === 0 ? "no loss" : `${formatDuration(rpoMs)} of loss`}; there are ${business.perHour} ${business.unit} in an hour`,
        `${formatDuration(usual.rpoMs)}, as of tier ${enough}, would cost ${Number(most.toPrecision(2))} ${business.unit} on average`,
        ...(why === undefined ? [] : [`its reason is given as: ${why}`]),
      ],
      fix: [
        `ask the owner whether ${formatDuration(usual.rpoMs)} would do: objectives: { ${scenario}: { rpo: ${formatDuration(usual.rpoMs)} } }`,
        "where single ones are worth it, keep it: this reckons with averages",
      ],
    },
  ];
}
