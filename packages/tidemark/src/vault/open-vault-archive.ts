// A vault's archive as its configuration says it.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { assert } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { VaultConfig } from "../config/config.ts";
import { lateObjectStore } from "../object-stores/open-object-store.ts";
import type { Archive } from "./archive/archive.ts";
import type { ArchiveOptions } from "./archive/archive-options.ts";
import { LateSealer } from "./archive/late-sealer.ts";
import { DirectSealer } from "./archive/object-sealer.ts";
import { CATALOGUE_FILE, openArchive } from "./archive/open-archive.ts";
import { makeKeyFile } from "./sealing/local-key.ts";
import { openKeyRing } from "./sealing/open-key-ring.ts";
import { segmentCheck } from "./serving/segment-check.ts";
import type { Vault } from "./vault.ts";
import { WalFolder } from "./wal-folder.ts";

export interface VaultArchiveParts extends Pick<ArchiveOptions, "commitsOf" | "neededFrom" | "receiveAgain" | "limits"> {
  /** It has met its cluster. */
  readonly vault: Vault;
  readonly config: VaultConfig;
  /** Keys and credentials may be named variables of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Opens the archive. Stores and keys may be away: they are opened when they are first needed, and the archive's status says
 * what holds it up. Rejects as `openArchive`.
 */
export async function openVaultArchive({ vault, config, environment, ...more }: VaultArchiveParts): Promise<Archive> {
  const { clock, logger, random, directory } = vault.options;
  const { segmentBytes, systemIdentifier } = vault.file;
  assert(segmentBytes !== undefined && systemIdentifier !== undefined, "the vault has met its cluster");
  const { stores, encryption, compression, partialEveryMs } = config.archive;
  // A vault that never archived makes its key, before there is a catalogue. Later an absent key is a lost one, and another
  // would hide that.
  const isNew = !existsSync(join(directory, CATALOGUE_FILE));
  if (isNew && encryption !== "none" && encryption.key.kind === "file") await makeKeyFile(encryption.key.file, random);
  const openSealer = async (): Promise<DirectSealer> => {
    const keys = await openKeyRing(encryption, { clock, random, environment });
    return new DirectSealer({ keys, zstdLevel: compression.level, random });
  };
  const check = segmentCheck(() => setImmediate());
  return openArchive({
    systemIdentifier,
    damageOf: (bytes, { timeline, start }) =>
      check(bytes, { timeline, start, upTo: (start + BigInt(segmentBytes)) as Lsn, systemIdentifier }),
    folder: new WalFolder(directory, segmentBytes),
    frontier: vault.frontier,
    stores: stores.map(({ name, options }) => ({ name, store: lateObjectStore(options, { clock, random, logger, environment }) })),
    sealer: new LateSealer(openSealer),
    partialEveryMs,
    keepLocalBytes: config.keepLocalBytes,
    ...more,
    clock,
    logger: logger.child({ part: "archive" }),
  });
}
