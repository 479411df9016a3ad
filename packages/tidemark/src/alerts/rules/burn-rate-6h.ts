// 5 % of a month's budget in six hours: at this speed it is gone in five days.
import { burnRateRuleOf } from "./burn-rate-verdict.ts";

export const burnRate6h = burnRateRuleOf("burn-rate-6h");
