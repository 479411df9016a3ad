import { existsSync } from "node:fs";
import { join } from "node:path";
import type { VaultConfig } from "../config/config.ts";
import { readOrCreateSecret } from "./secret-files.ts";

/** What a vault's folder has once it archived something (docs/vault-format.md). */
const CATALOGUE = "catalogue.sqlite";

/**
 * Makes the key of a vault's archive when it lies in a file that is not there, and the vault has archived nothing yet. One
 * that has gets no other key behind its back: that its key is missing is a fault to be shown. Rejects with TM-PLATFORM-SECRET.
 */
export async function makeArchiveKeys(vault: VaultConfig): Promise<void> {
  const { encryption, stores } = vault.archive;
  if (stores.length === 0 || encryption === "none" || encryption.key.kind !== "file") return;
  if (!existsSync(join(vault.directory, CATALOGUE))) await readOrCreateSecret(encryption.key.file);
}
