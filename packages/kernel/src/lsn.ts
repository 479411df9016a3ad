import type { Brand } from "./brands.ts";
import { TidemarkError } from "./errors.ts";

/** A byte position in a PostgreSQL WAL stream. Positions of two timelines are not comparable (R11). */
export type Lsn = Brand<bigint, "Lsn">;

/** PostgreSQL's InvalidXLogRecPtr, "0/0". */
export const INVALID_LSN = 0n as Lsn;

const FORM = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** Reads PostgreSQL's text form, such as `16/B374D848`. Throws TM-PG-LSN on anything else. */
export function parseLsn(text: string): Lsn {
  const match = FORM.exec(text);
  if (match === null) throw new TidemarkError("TM-PG-LSN", `"${text}" is not an LSN`);
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

/** PostgreSQL's text form: two upper-case hexadecimal halves without leading zeros. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;
}
