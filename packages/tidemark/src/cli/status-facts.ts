// Reads answers of other processes, maybe of another version: whatever is not there, or is another kind of thing, is unknown.
import { formatSize } from "../config/size.ts";

export type Facts = Readonly<Record<string, unknown>>;

export const UNKNOWN = "unknown";

/** Who was not heard for so long is not what it said last, milliseconds. */
export const HEARD_MS = 3_000;

export function facts(value: unknown): Facts {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Facts) : {};
}

export function text(value: unknown, otherwise = UNKNOWN): string {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : otherwise;
}

export function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

export function size(value: unknown): string {
  return typeof value === "number" ? formatSize(value) : UNKNOWN;
}

/** Empty where it is no list. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
