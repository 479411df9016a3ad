// Keys are the same in every store: what a file system, S3 and a URL all take as it is, so that nothing is ever escaped,
// folded or resolved. A part never begins with a dot: no `.`, no `..`, and the store's own files are out of the way.
import { TidemarkError } from "@tidemark/kernel/errors";

/** The longest key, in characters. */
export const MAX_KEY_LENGTH = 512;

/** The longest part between slashes, in characters: less than file systems' 255, for the names of temporary files. */
export const MAX_KEY_PART_LENGTH = 200;

const PART = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

/** Whether `part` may stand between the slashes of a key. */
export function isKeyPart(part: string): boolean {
  return part.length <= MAX_KEY_PART_LENGTH && PART.test(part);
}

/** Whether `key` is an object's key: `/`-separated parts of A-Z a-z 0-9 . _ -, none empty, none beginning with a dot. */
export function isObjectKey(key: string): boolean {
  return key.length > 0 && key.length <= MAX_KEY_LENGTH && key.split("/").every(isKeyPart);
}

/** Throws TM-OBJECT-KEY unless `key` is one. */
export function checkObjectKey(key: string): void {
  if (!isObjectKey(key)) throw new TidemarkError("TM-OBJECT-KEY", `"${printable(key)}" is no key of an object`);
}

/** Throws TM-OBJECT-KEY unless `prefix` is the beginning of a key: empty, whole parts, or parts and a piece of the next. */
export function checkKeyPrefix(prefix: string): void {
  if (prefix === "" || isObjectKey(prefix) || (prefix.endsWith("/") && isObjectKey(prefix.slice(0, -1)))) return;
  throw new TidemarkError("TM-OBJECT-KEY", `"${printable(prefix)}" is no beginning of a key`);
}

function printable(text: string): string {
  return text.slice(0, 100).replaceAll(/[^\x20-\x7e]/g, "?");
}
