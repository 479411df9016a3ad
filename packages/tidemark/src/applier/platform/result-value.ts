const BOOLEAN = 16;
/** int2, int4, oid, float4, float8: what a JavaScript number holds. */
const NUMBERS = new Set([21, 23, 26, 700, 701]);
const JSON_TYPES = new Set([114, 3802]);

/**
 * A value of a result for JSON: booleans, numbers that fit and JSON as such, everything else (bigint, numeric, times,
 * arrays) as the server's text.
 */
export function resultValue(text: string | null, type: number): unknown {
  if (text === null) return null;
  if (type === BOOLEAN) return text === "t";
  if (NUMBERS.has(type)) return Number(text);
  return JSON_TYPES.has(type) ? (JSON.parse(text) as unknown) : text;
}
