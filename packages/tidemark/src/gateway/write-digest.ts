import { hash } from "node:crypto";
import type { KeyDigest } from "./idempotency-window.ts";

/**
 * The identity of an idempotency key in its scope: the first 128 bits of SHA-256 of both, as Latin-1 text. A keyed or
 * faster hash would do for a table; this one cannot be made to collide by a client that chooses its keys.
 */
export function keyDigest(scope: string, idempotencyKey: string): KeyDigest {
  return hash("sha256", `${scope}\0${idempotencyKey}`, "binary").slice(0, 16);
}

/** {@link "./write-payload.ts".WritePayload.contentHash}: equal for equal command, key and arguments, in whatever order their members came. */
export function contentHash(command: string, key: string | undefined, args: unknown): string {
  return hash("sha256", `[${JSON.stringify(command)},${JSON.stringify(key ?? null)},${canonicalJson(args)}]`, "hex").slice(0, 32);
}

/** JSON with the members of every object in order of their names' UTF-16 units (RFC 8785 §3.2.3), for values that came from JSON. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members = value as Record<string, unknown>;
  let text = "";
  for (const name of Object.keys(members).sort())
    text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${canonicalJson(members[name])}`;
  return `{${text}}`;
}
