import { EXIT } from "../platform/exit-codes.ts";
import { VaultWalClient } from "../vault/serving/vault-wal-client.ts";
import type { Terminal } from "./terminal.ts";
import { findWalPlace, walToken, type WalPlaceOptions } from "./wal-place.ts";

/** Has every vault that was meant make its catalogue anew, and waits until it has. */
export async function runRebuild(terminal: Terminal, options: WalPlaceOptions): Promise<number> {
  const place = await findWalPlace(options);
  const token = await walToken(place.config);
  for (const vault of place.vaults) {
    await new VaultWalClient(vault, token).json("/catalogue/rebuild", "POST");
    terminal.out(`${terminal.paint.good("✓")} vault ${vault.name} read its object stores again`);
  }
  return EXIT.ok;
}
