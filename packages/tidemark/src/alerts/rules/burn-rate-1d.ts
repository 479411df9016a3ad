// 10 % of a month's budget in a day: at this speed it is gone in ten days.
import { burnRateRuleOf } from "./burn-rate-verdict.ts";

export const burnRate1d = burnRateRuleOf("burn-rate-1d");
