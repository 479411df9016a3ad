import { TidemarkError } from "@tidemark/kernel/errors";

/** The share of seconds that have to be good, above 0 and below 1. Without one: 99.9 %, 43 minutes in 30 days. */
export const DEFAULT_SLO_TARGET = 0.999;

/** Throws TM-ALERT-SETTING for a target that leaves no budget or asks for nothing: 100 % cannot be kept, and every second would page. */
export function checkSloTarget(target: number): number {
  if (!(target > 0 && target < 1))
    throw new TidemarkError("TM-ALERT-SETTING", `a service level target of ${target}: it is a share above 0 and below 1, such as 0.999`);
  return target;
}
