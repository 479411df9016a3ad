// Which store's WAL a command is about, and which vaults keep it.
import { readFile } from "node:fs/promises";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import { completeConfig } from "../config/config-defaults.ts";
import { parseConfigDocument } from "../config/config-document.ts";
import type { ConfigFile } from "../config/config-file.ts";
import type { Config, VaultConfig } from "../config/config.ts";
import { readSecret } from "../platform/secret-files.ts";
import { findPlace, type PlaceOptions } from "./place.ts";

export interface WalPlaceOptions extends PlaceOptions {
  readonly store?: string;
  readonly vault?: string;
}

export interface WalPlace {
  readonly config: Config;
  readonly store: string;
  /** At least one. */
  readonly vaults: readonly VaultConfig[];
}

/**
 * The store that was named, or the only one with vaults; its vaults, or the one that was named. Rejects with TM-VAULT-UNKNOWN and
 * TM-CONFIG-*.
 */
export async function findWalPlace(options: WalPlaceOptions): Promise<WalPlace> {
  const { configFile, stateDir } = await findPlace(options);
  const config = await readConfig(configFile, stateDir);
  const stores = Object.entries(config.stores).filter(([name, { vaults }]) =>
    options.store === undefined ? vaults.length > 0 : name === options.store,
  );
  const [store, second] = stores;
  if (store === undefined)
    throw unknown(options.store === undefined ? `${configFile} has no vault` : `${configFile} has no store "${options.store}"`);
  if (second !== undefined) throw unknown(`${stores.map(([name]) => name).join(", ")} have vaults; --store says which one is meant`);
  const vaults = store[1].vaults.filter(({ name }) => options.vault === undefined || name === options.vault);
  if (vaults.length === 0)
    throw unknown(options.vault === undefined ? `store ${store[0]} has no vault` : `store ${store[0]} has no vault "${options.vault}"`);
  return { config, store: store[0], vaults };
}

/** The token that vaults ask for. Rejects with TM-PLATFORM-SECRET. */
export async function walToken(config: Config): Promise<Redacted<string>> {
  const file = config.control.internalTokenFile;
  const token = await readSecret(file);
  if (token === undefined) throw new TidemarkError("TM-PLATFORM-SECRET", `the internal token ${file} is not there`);
  return token;
}

/**
 * The configuration without the schema's and the rules' checks, which take longer than fetching a segment and were made when the vault
 * was started. A file that is no configuration is told by the whole check.
 */
async function readConfig(file: string, stateDir: string | undefined): Promise<Config> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new TidemarkError("TM-CONFIG-NOT-FOUND", `could not read the configuration ${file}`, { cause });
  });
  const document = parseConfigDocument(text);
  try {
    if (document.broken.length === 0) return completeConfig(document.value as ConfigFile, file, stateDir);
  } catch (error) {
    // Whatever it tripped over, the check below says it with its line.
    if (!(error instanceof TypeError || error instanceof TidemarkError)) throw error;
  }
  const { loadConfig } = await import("../config/load-config.ts");
  return loadConfig(file, stateDir === undefined ? {} : { stateDir });
}

function unknown(what: string): TidemarkError {
  return new TidemarkError("TM-VAULT-UNKNOWN", what);
}
