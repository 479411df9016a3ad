import { TidemarkError } from "@tidemark/kernel/errors";

const UNIT_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  TB: 1_000_000_000_000,
  KiB: 1_024,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
  TiB: 1_099_511_627_776,
};

const FORM = /^(\d+(?:\.\d+)?)(B|[kMGT]B|[KMGT]iB)$/;

/** Reads a size such as `64MiB` or `1.5GB` into whole bytes. Throws TM-CONFIG-SIZE otherwise. */
export function parseSize(text: string): number {
  const match = FORM.exec(text.trim());
  const unit = match === null ? undefined : UNIT_BYTES[match[2] ?? ""];
  if (match === null || unit === undefined) throw new TidemarkError("TM-CONFIG-SIZE", `"${text}" is not a size`);
  return Math.round(Number(match[1]) * unit);
}

/** A size for people: `512 B`, `64 MiB`, `1.5 GiB`. */
export function formatSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}
