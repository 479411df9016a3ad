/** PostgreSQL's object identifiers of types that take JSON text as it is. */
const JSON_TYPES = new Set([114, 3802]);
/** Types whose value is any text: an array or object given for them is kept as JSON. */
const TEXT_TYPES = new Set([25, 1043, 1042, 18, 19, 705]);

/**
 * The text of a JSON value as PostgreSQL reads it for a parameter of type `oid`. The server decides what the text means:
 * numbers keep their JSON digits, arrays become array literals unless the type is JSON or text. Null is SQL null, for JSON types too.
 */
export function argumentText(value: unknown, oid: number): string | null {
  if (value === null || value === undefined) return null;
  if (JSON_TYPES.has(oid)) return JSON.stringify(value);
  if (typeof value === "string") return value;
  return Array.isArray(value) && !TEXT_TYPES.has(oid) ? arrayLiteral(value) : JSON.stringify(value);
}

/** PostgreSQL's text form of an array, of any depth. */
export function arrayLiteral(items: readonly unknown[]): string {
  return `{${items.map(arrayItem).join(",")}}`;
}

function arrayItem(item: unknown): string {
  if (item === null || item === undefined) return "NULL";
  if (Array.isArray(item)) return arrayLiteral(item);
  const text = typeof item === "string" ? item : JSON.stringify(item);
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
