// 10 % of a month's budget in three days: at this speed it is just gone at the month's end.
import { burnRateRuleOf } from "./burn-rate-verdict.ts";

export const burnRate3d = burnRateRuleOf("burn-rate-3d");
