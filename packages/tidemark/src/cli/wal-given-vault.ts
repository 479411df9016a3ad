// The vaults that a `tidemark wal` command speaks to: those of the configuration, or the one of --url.
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import { parseAddress } from "../config/listen-address.ts";
import { readSecret } from "../platform/secret-files.ts";
import type { VaultAddress } from "../vault/serving/vault-wal-client.ts";
import { walToken, type WalPlace } from "./wal-place.ts";

export interface VaultOptions {
  readonly url?: string;
  readonly tokenFile?: string;
}

/** Rejects with TM-VAULT-UNKNOWN and TM-PLATFORM-SECRET. */
export async function givenVault(
  place: WalPlace | undefined,
  { url, tokenFile }: VaultOptions,
): Promise<{ vaults: readonly VaultAddress[]; token: Redacted<string> }> {
  return { vaults: url === undefined ? (place?.vaults ?? []) : [addressOf(url)], token: await tokenOf(place, tokenFile) };
}

function addressOf(url: string): VaultAddress {
  const address = parseAddress(url.replace(/^http:\/\//, "").replace(/\/$/, ""));
  if (address === undefined) throw new TidemarkError("TM-VAULT-UNKNOWN", `"${url}" is not an address such as 127.0.0.1:7431`);
  return { name: url, ...address };
}

async function tokenOf(place: WalPlace | undefined, file: string | undefined): Promise<Redacted<string>> {
  if (file === undefined && place !== undefined) return walToken(place.config);
  const token = file === undefined ? undefined : await readSecret(file);
  if (token === undefined)
    throw new TidemarkError("TM-PLATFORM-SECRET", file === undefined ? "--token-file is missing" : `the token file ${file} is not there`);
  return token;
}
