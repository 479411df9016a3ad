import { TidemarkError } from "./errors.ts";

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const FORM = /^(\d+(?:\.\d+)?)(ms|s|min|m|h|d)$/;

/** Reads a duration such as `250ms`, `5s`, `1.5m`, `24h`, `7d` into milliseconds. Throws TM-CONFIG-DURATION otherwise. */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  const match = FORM.exec(text.trim());
  if (match === null) throw new TidemarkError("TM-CONFIG-DURATION", `"${text}" is not a duration`);
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}

/** A duration that somebody gave, such as an objective, as it was written: `15 m`, `1 h`, `7 d`; else as formatDuration. */
export function formatGivenDuration(ms: number): string {
  if (ms < UNIT_MS.m) return formatDuration(ms);
  const unit = (["d", "h", "m"] as const).find((one) => ms % UNIT_MS[one] === 0);
  return unit === undefined ? formatDuration(ms) : `${ms / UNIT_MS[unit]} ${unit}`;
}

/** A duration for people, with two significant parts at most: `0 ms`, `340 ms`, `1.24 s`, `3 m 20 s`, `2 h 5 m`. */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms < 1) return ms === 0 ? "0 ms" : `${ms.toFixed(2)} ms`;
  if (ms < 1_000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
