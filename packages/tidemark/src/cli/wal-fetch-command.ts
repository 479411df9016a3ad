// The options of `tidemark wal fetch`, turned into whom to ask.
import { access } from "node:fs/promises";
import { join } from "node:path";
import type { SystemIdentifier } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { readControlFile } from "@tidemark/postgres/control-file";
import { VaultWalClient } from "../vault/serving/vault-wal-client.ts";
import type { Terminal } from "./terminal.ts";
import { FETCH_EXIT, fetchExitCode } from "./wal-exit-codes.ts";
import { fetchWal, type WalGiver } from "./wal-fetch.ts";
import { givenVault } from "./wal-given-vault.ts";
import type { WalPlace, WalPlaceOptions } from "./wal-place.ts";

export interface FetchOptions extends WalPlaceOptions {
  readonly patience: number;
  readonly withoutVault?: boolean;
  readonly system?: string;
  readonly url?: string;
  readonly tokenFile?: string;
}

/** Answers the exit code. What went wrong goes to standard error, which is PostgreSQL's log, in one line; the end of the WAL is no trouble. */
export async function runFetch(terminal: Terminal, file: { name: string; destination: string }, options: FetchOptions): Promise<number> {
  try {
    const system = options.system ?? (await systemOfDataDirectory());
    const place = await placeOf(options);
    await fetchWal({
      ...file,
      vaults: await vaultGivers(place, options, system),
      stores: () => storeGivers(place, system),
      withoutVault: options.withoutVault === true,
      patienceMs: options.patience,
      clock: systemClock,
    });
    return FETCH_EXIT.given;
  } catch (error) {
    const code = fetchExitCode(error);
    if (code !== FETCH_EXIT.endOfWal) terminal.err(oneLine(file.name, error));
    return code;
  }
}

function oneLine(name: string, error: unknown): string {
  if (!(error instanceof TidemarkError))
    return `tidemark wal fetch ${name}: unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  const cause = error.cause instanceof Error ? ` because: ${error.cause.message}.` : "";
  return `tidemark wal fetch ${name}: ${error.message}.${cause} ${error.hint} (${error.code})`.replaceAll("\n", " ");
}

/** restore_command is started in the data directory, whose cluster says whose WAL it needs (trap 9). */
async function systemOfDataDirectory(): Promise<string | undefined> {
  const here = process.cwd();
  try {
    await access(join(here, "global", "pg_control"));
  } catch {
    return undefined; // Started by hand, somewhere else.
  }
  return (await readControlFile(here)).systemIdentifier;
}

/** With an address and a token no configuration is needed, unless it is named for the object stores that stand in it. */
async function placeOf(options: FetchOptions): Promise<WalPlace | undefined> {
  if (options.url !== undefined && options.tokenFile !== undefined && options.config === undefined) return undefined;
  const { findWalPlace } = await import("./wal-place.ts");
  return findWalPlace(options);
}

async function vaultGivers(place: WalPlace | undefined, options: FetchOptions, system: string | undefined): Promise<WalGiver[]> {
  const { vaults, token } = await givenVault(place, options);
  return vaults.map((vault) => {
    const client = new VaultWalClient(vault, token);
    return { name: `vault ${vault.name}`, give: (name: string) => client.get(name, system) };
  });
}

async function storeGivers(place: WalPlace | undefined, system: string | undefined): Promise<WalGiver[]> {
  if (place === undefined) return [];
  const { openStoreLibraries } = await import("../vault/serving/open-store-libraries.ts");
  const { walWorld } = await import("./wal-world.ts");
  const libraries = openStoreLibraries(place.vaults, walWorld(), system as SystemIdentifier | undefined);
  return libraries.map(({ vault, name, library }) => ({ name: `store ${name} of ${vault}`, give: (file: string) => library.give(file) }));
}
