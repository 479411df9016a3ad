// What is known of each store is replaced every second: what it was before is old enough to have left V8's nursery, and the heap would grow to a
// multiple of what is in use before it is cleared. On a machine that others share it must not.
import { setFlagsFromString } from "node:v8";

/** How much the heap may grow over what was in use after it was last cleared, percent. */
const GROWTH_PERCENT = 50;

/** Trades a little processor time for memory, from now on, for this process. A V8 that does not know the flag goes on as it would. */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
