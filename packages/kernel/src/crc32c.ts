/** The Castagnoli polynomial, reflected (RFC 3720 appendix B.4). */
const POLYNOMIAL = 0x82f63b78;

/** Eight tables of 256 in one array: table k gives the effect of a byte that is followed by k more ("slicing by 8"). */
const TABLES = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let index = 256; index < tables.length; index++) {
    const before = tables[index - 256] as number;
    tables[index] = (before >>> 8) ^ (tables[before & 0xff] as number);
  }
  return tables;
}

/**
 * CRC32C of `bytes[start, end)`, going on from `crc` (0 begins a new one). Node has zlib.crc32, which is the other
 * polynomial. Reading a byte at a time from one table runs at a third of this speed (docs/decisions/journal-commit-path.md).
 */
export function crc32c(bytes: Uint8Array, start: number, end: number, crc = 0): number {
  let register = ~crc;
  let at = start;
  const lastOfEight = end - 7;
  while (at < lastOfEight) {
    const low =
      register ^
      ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24));
    register =
      (TABLES[1792 + (low & 0xff)] as number) ^
      (TABLES[1536 + ((low >>> 8) & 0xff)] as number) ^
      (TABLES[1280 + ((low >>> 16) & 0xff)] as number) ^
      (TABLES[1024 + (low >>> 24)] as number) ^
      (TABLES[768 + (bytes[at + 4] as number)] as number) ^
      (TABLES[512 + (bytes[at + 5] as number)] as number) ^
      (TABLES[256 + (bytes[at + 6] as number)] as number) ^
      (TABLES[bytes[at + 7] as number] as number);
    at += 8;
  }
  while (at < end) register = (TABLES[(register ^ (bytes[at++] as number)) & 0xff] as number) ^ (register >>> 8);
  return ~register >>> 0;
}
