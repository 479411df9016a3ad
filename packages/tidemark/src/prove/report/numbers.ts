import { formatDuration } from "@tidemark/kernel/duration";

/** A count for people: `12,345`. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** A duration for people; "not measured" where there is none. */
export function formatMeasured(ms: number | undefined): string {
  return ms === undefined ? "not measured" : formatDuration(ms < 10 ? ms : Math.round(ms));
}

/** `1 order`, `12 orders`. */
export function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}
