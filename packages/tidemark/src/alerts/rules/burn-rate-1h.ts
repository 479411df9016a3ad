// 2 % of a month's budget in an hour: at this speed it is gone in two days.
import { burnRateRuleOf } from "./burn-rate-verdict.ts";

export const burnRate1h = burnRateRuleOf("burn-rate-1h");
