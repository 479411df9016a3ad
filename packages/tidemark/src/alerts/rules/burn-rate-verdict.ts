// What the four burn-rate rules have in common: both windows above the factor.
import { formatDuration } from "@tidemark/kernel/duration";
import { assert } from "@tidemark/kernel/errors";
import type { BurnRateRule } from "../../slo/burn-rate.ts";
import { BURN_RATE_RULES, burnRate } from "../../slo/burn-rate.ts";
import type { ScenarioInput, ScenarioRule, Verdict } from "./rule.ts";
import { CLEAR, UNKNOWN } from "./rule.ts";

/** The rule of a row of the table. */
export function burnRateRuleOf(name: BurnRateRule["name"]): ScenarioRule {
  const row = BURN_RATE_RULES.find((candidate) => candidate.name === name);
  assert(row !== undefined, `the burn-rate table has a row ${name}`);
  return {
    name,
    scope: "scenario",
    severity: row.severity,
    // The windows are the waiting; the short one ends it. A minute keeps the edge of a bucket from ending and beginning it.
    forMs: 0,
    keepMs: 60_000,
    judge: (input) => judgeRow(row, input),
  };
}

function judgeRow(row: BurnRateRule, input: ScenarioInput): Verdict {
  const { target, exposure, nowMs } = input;
  const short = input.counts(row.shortMs);
  const shortRate = burnRate(short, { windowMs: row.shortMs, target });
  if (shortRate === undefined) return UNKNOWN;
  // After a start without history the short window is not full: what it lacks may have been bad, so it ends nothing.
  const notHolding = input.firing && short.totalSeconds < row.shortMs / 1_000 ? UNKNOWN : CLEAR;
  if (shortRate <= row.factor) return notHolding;
  // Nothing burns now because nobody looked a while ago: after the observer was away its seconds are spent, and are no reason to begin.
  const seen = { ...short, unknownSeconds: short.unknownSeconds - short.unseenSeconds };
  if (!input.firing && (burnRate(seen, { windowMs: row.shortMs, target }) ?? 0) <= row.factor) return CLEAR;
  const long = input.counts(row.longMs);
  const longRate = burnRate(long, { windowMs: row.longMs, target });
  if (longRate === undefined || longRate <= row.factor) return notHolding;
  const unknownSeconds = Math.round(long.unknownSeconds);
  const blind = unknownSeconds > 0 ? `, ${formatDuration(unknownSeconds * 1_000)} of it not known` : "";
  return {
    kind: "holds",
    summary: `${exposure.service}: ${exposure.scenario} spends its budget ${longRate.toFixed(1)} times too fast over ${formatDuration(row.longMs)} (alert above ${row.factor})${blind}`,
    evidence: {
      factor: row.factor,
      longRate: round(longRate),
      shortRate: round(shortRate),
      target,
      badSeconds: Math.round(long.badSeconds),
      unknownSeconds,
      longWindowMs: row.longMs,
      shortWindowMs: row.shortMs,
      measuredAtMs: nowMs,
    },
  };
}

function round(rate: number): number {
  return Math.round(rate * 100) / 100;
}
