import { createHash } from "node:crypto";

/** The bytes of the object `key` in tests: told from the key alone, so that another process can check them. */
export function objectBody(key: string, bytes: number): Uint8Array {
  return Buffer.alloc(bytes, createHash("sha512").update(key).digest());
}
