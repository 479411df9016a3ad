// A vault as written, with what its file leaves out filled in.
import { join, resolve } from "node:path";
import type { AwsCredentialOptions, ObjectStoreOptions } from "../object-stores/object-store-options.ts";
import type { KeyOptions } from "../vault/sealing/key-options.ts";
import type { ArchiveConfig, ServiceConfig, VaultConfig } from "./config.ts";
import { addressOf, domainAt, durationMs, pathOf, sizeBytes, type Places } from "./config-values.ts";
import type { ArchiveFile, AwsCredentialsFile, KeyFile, ObjectStoreFile, VaultFile } from "./config-file.ts";

const PARTIAL_MOST_MS = 5_000;
/** Below it the uploads would do little else than overtake each other. */
const PARTIAL_LEAST_MS = 500;
const ZSTD_LEVEL = 1;

/**
 * The default time between two uploads of the growing segment: half the smallest RPO above 0 of the services on the store,
 * so that an upload has the other half; 500 ms to 5 s. An RPO of 0 is kept by synchronous copies, not by uploads.
 */
export function partialEveryMs(services: Readonly<Record<string, ServiceConfig>>, store: string): number {
  const objectives = Object.values(services).flatMap((service) =>
    service.stores.includes(store) ? Object.values(service.objectives) : [],
  );
  const bounds = objectives.map(({ rpoMs }) => rpoMs).filter((rpoMs) => rpoMs > 0);
  return Math.max(PARTIAL_LEAST_MS, Math.min(PARTIAL_MOST_MS, ...bounds.map((rpoMs) => Math.floor(rpoMs / 2))));
}

/** Fills in what a vault's entry leaves out. `vault` fits the schema and the rules. */
export function completeVault(
  vault: VaultFile,
  about: { readonly store: string; readonly name: string; readonly partialEveryMs: number },
  places: Places,
): VaultConfig {
  const { store, name } = about;
  return {
    name,
    ...addressOf(vault.listen),
    directory: pathOf(vault.directory, join("vaults", `${store}-${name}`), places),
    domain: domainAt(vault.listen, name, vault.domain),
    synchronous: vault.synchronous ?? true,
    keepLocalBytes: sizeBytes(vault.keepLocal, "1GiB"),
    archive: completeArchive(vault.archive ?? { stores: {} }, about, places),
  };
}

function completeArchive(
  archive: ArchiveFile,
  about: { readonly name: string; readonly partialEveryMs: number },
  places: Places,
): ArchiveConfig {
  const { encryption } = archive;
  const byDefault = { kind: "file", file: join(places.state, "secrets", `${about.name}-archive.key`) } as const;
  return {
    stores: Object.entries(archive.stores).map(([name, store]) => ({
      name,
      options: completeObjectStore(store, join("archives", `${about.name}-${name}`), places),
    })),
    compression: { kind: "zstd", level: archive.compression?.level ?? ZSTD_LEVEL },
    encryption:
      encryption === "none"
        ? "none"
        : {
            key: encryption === undefined ? byDefault : completeKey(encryption.key, places),
            formerKeys: (encryption?.formerKeys ?? []).map((key) => completeKey(key, places)),
            acceptUnencrypted: encryption?.acceptUnencrypted ?? false,
          },
    partialEveryMs: archive.partialEvery === undefined ? about.partialEveryMs : durationMs(archive.partialEvery, "0"),
  };
}

/** `inState`: where a folder lies in the state folder when nothing is said. */
export function completeObjectStore(store: ObjectStoreFile, inState: string, places: Places): ObjectStoreOptions {
  if (store.kind === "folder") return { kind: "folder", directory: pathOf(store.directory, inState, places) };
  const { credentials, endpoint, lock, prefix = "", serverSideEncryption: sse } = store;
  return {
    kind: "s3",
    bucket: store.bucket,
    prefix: prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/`,
    region: store.region,
    ...(endpoint === undefined ? {} : { endpoint }),
    pathStyle: store.pathStyle ?? endpoint !== undefined,
    ...(credentials === undefined ? {} : { credentials: completeCredentials(credentials, places) }),
    ...(lock === undefined ? {} : { lock: { mode: lock.mode, forMs: durationMs(lock.for, "0") } }),
    ...(sse === undefined ? {} : { serverSideEncryption: sse === "AES256" ? { kind: "AES256" } : { kind: "aws:kms", ...sse.awsKms } }),
  };
}

function completeKey(key: KeyFile, places: Places): KeyOptions {
  if (key.awsKms !== undefined) {
    const { credentials, ...kms } = key.awsKms;
    return { kind: "aws-kms", ...kms, ...(credentials === undefined ? {} : { credentials: completeCredentials(credentials, places) }) };
  }
  if (key.environment !== undefined) return { kind: "environment", name: key.environment };
  return { kind: "file", file: resolve(places.folder, key.file ?? "") };
}

function completeCredentials(credentials: AwsCredentialsFile, places: Places): AwsCredentialOptions {
  if (credentials.environment !== undefined) return { kind: "environment", ...credentials.environment };
  return { kind: "file", file: resolve(places.folder, credentials.file ?? "") };
}
