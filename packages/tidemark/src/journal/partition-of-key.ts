import type { Partition } from "@tidemark/kernel/brands";

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * The partition of a key: FNV-1a (32 bit) over its UTF-8 bytes, finished with the mixer of MurmurHash3 so that few
 * partitions are filled evenly, modulo the number of partitions. Part of the format (docs/journal-format.md): it must
 * never change, because records of one key must stay in one partition within a generation.
 */
export function partitionOfKey(key: string, partitions: number): Partition {
  let hash = FNV_OFFSET;
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i);
    if (unit > 0x7f) return partitionOfBytes(Buffer.from(key, "utf8"), partitions);
    hash = Math.imul(hash ^ unit, FNV_PRIME);
  }
  return finish(hash, partitions);
}

function partitionOfBytes(bytes: Uint8Array, partitions: number): Partition {
  let hash = FNV_OFFSET;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, FNV_PRIME);
  return finish(hash, partitions);
}

function finish(hash: number, partitions: number): Partition {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return ((mixed >>> 0) % partitions) as Partition;
}
