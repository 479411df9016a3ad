import { existsSync } from "node:fs";
import { join } from "node:path";
import type { VaultConfig } from "../config/config.ts";
import { readOrCreateSecret } from "./secret-files.ts";

/** What a vault's folder has once it received something (docs/vault-format.md). */
const VAULT_FILE = "vault.json";

/**
 * Makes the key of a vault's archive when it lies in a file that is not there, and the vault is new. A vault that has data
 * gets no other key behind its back: that its key is missing is a fault to be shown. Rejects with TM-PLATFORM-SECRET.
 */
export async function makeArchiveKeys(vault: VaultConfig): Promise<void> {
  const { encryption, stores } = vault.archive;
  if (stores.length === 0 || encryption === "none" || encryption.key.kind !== "file") return;
  if (!existsSync(join(vault.directory, VAULT_FILE))) await readOrCreateSecret(encryption.key.file);
}
