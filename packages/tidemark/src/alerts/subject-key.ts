import { createHash } from "node:crypto";
import type { Subject } from "./alert.ts";

/** Between the parts of a key; no name has it. */
const BETWEEN = "\0";

/**
 * What makes two alerts the same one. Services are part of it only where the rule is about a service: those that use a store
 * change with the configuration, and the store's alert is still the same.
 */
export function subjectKey(rule: string, subject: Subject): string {
  if (subject.scenario !== undefined) return [rule, subject.service, subject.scenario].join(BETWEEN);
  return [rule, subject.store, subject.vault, subject.copy, subject.archive, subject.receiver].map((part) => part ?? "").join(BETWEEN);
}

/** The first 64 bits of the key's SHA-256, hexadecimal. */
export function fingerprintOf(key: string): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 16);
}
