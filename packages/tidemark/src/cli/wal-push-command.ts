// `tidemark wal push`: archive_command. PostgreSQL recycles a segment when it ends with 0, so 0 is said when every vault has said that
// the file is durable there, and not otherwise.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { EXIT } from "../platform/exit-codes.ts";
import { VaultWalClient } from "../vault/serving/vault-wal-client.ts";
import type { Terminal } from "./terminal.ts";
import { givenVault } from "./wal-given-vault.ts";
import { findWalPlace, type WalPlaceOptions } from "./wal-place.ts";

export interface PushOptions extends WalPlaceOptions {
  /** Milliseconds. */
  readonly archived?: number;
  readonly url?: string;
  readonly tokenFile?: string;
}

/** Prints nothing when all went well: what archive_command prints fills PostgreSQL's log. */
export async function runPush(terminal: Terminal, path: string, options: PushOptions): Promise<number> {
  const needsPlace = options.url === undefined || options.tokenFile === undefined;
  const { vaults, token } = await givenVault(needsPlace ? await findWalPlace(options) : undefined, options);
  const name = basename(path);
  const bytes = await readWhole(path);
  let exit: number = EXIT.ok;
  for (const vault of vaults) {
    const archived = options.archived === undefined ? {} : { archivedWithinMs: options.archived };
    const { outcome } = await new VaultWalClient(vault, token).put(name, bytes, archived);
    if (outcome !== "evidence") continue;
    terminal.err(
      `tidemark wal push ${name}: it lies beyond a fork; vault ${vault.name} keeps it as evidence and never gives it to a recovery`,
    );
    // Evidence does not go to the object stores, and that is what was asked for.
    if (options.archived !== undefined) exit = EXIT.failed;
  }
  return exit;
}

async function readWhole(path: string): Promise<Uint8Array> {
  return readFile(path).catch((cause: unknown) => {
    throw new TidemarkError("TM-VAULT-PUSH", `could not read ${path}`, { cause });
  });
}
