import { randomFillSync } from "node:crypto";
import type { Random } from "../random.ts";

const POOL_BYTES = 8192;
const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

/** The operating system's randomness, fetched in blocks because one call for each 16 bytes costs more than the rest of an id. */
export const systemRandom: Random = {
  bytes(length: number): Uint8Array {
    if (length > POOL_BYTES) return randomFillSync(new Uint8Array(length));
    if (used + length > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const out = pool.slice(used, used + length);
    pool.fill(0, used, used + length);
    used += length;
    return out;
  },
  fraction(): number {
    const bytes = systemRandom.bytes(4);
    return (((bytes[0] ?? 0) << 24) | ((bytes[1] ?? 0) << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)) / 0x1_0000_0000 + 0.5;
  },
};
