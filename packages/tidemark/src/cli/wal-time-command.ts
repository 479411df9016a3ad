import { TidemarkError } from "@tidemark/kernel/errors";
import { EXIT } from "../platform/exit-codes.ts";
import { VaultWalClient } from "../vault/serving/vault-wal-client.ts";
import type { CommitAtTime } from "../vault/serving/wal-routes.ts";
import { wrap, type Terminal } from "./terminal.ts";
import { findWalPlace, walToken, type WalPlaceOptions } from "./wal-place.ts";

/** Asks the vaults in turn. 1 when no commit that early is known. */
export async function runTimeToLsn(terminal: Terminal, text: string, options: WalPlaceOptions & { json?: boolean }): Promise<number> {
  const timeMs = readTime(text);
  const place = await findWalPlace(options);
  const token = await walToken(place.config);
  let refused: TidemarkError | undefined;
  for (const vault of place.vaults) {
    try {
      const found = (await new VaultWalClient(vault, token).json(`/time-to-lsn?timeMs=${timeMs}`)) as CommitAtTime;
      if (options.json === true) terminal.out(JSON.stringify({ ...found, vault: vault.name }));
      else {
        terminal.out(found.lsn);
        const made = new Date(found.timeMs).toISOString();
        const words = `is the last commit before the first that is later than ${new Date(timeMs).toISOString()}; it was made at ${made} on timeline ${found.timeline}. Recover to it with recovery_target_lsn, inclusive.`;
        terminal.err(terminal.paint.dim(wrap(words, terminal.columns)));
      }
      return EXIT.ok;
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      refused ??= error;
    }
  }
  throw refused ?? new TidemarkError("TM-VAULT-UNKNOWN", `store ${place.store} has no vault`);
}

/** A time without a zone is UTC, as everywhere in Tidemark. Milliseconds. */
export function readTime(text: string): number {
  const zoned = /([zZ]|[+-]\d{2}:?\d{2})$/.test(text) ? text : `${text.replace(" ", "T")}${text.includes(":") ? "Z" : ""}`;
  const timeMs = Date.parse(zoned.replace(" ", "T"));
  if (Number.isNaN(timeMs) || timeMs < 0) throw new TidemarkError("TM-VAULT-TIME", `"${text}" is not a time`);
  return timeMs;
}
