// What must hold of vaults beyond the form of the file.
import { isAbsolute, join, normalize, relative } from "node:path";
import { durationMs } from "./config-values.ts";
import { managedStores } from "./config-file.ts";
import type { ConfigFile, KeyFile, ObjectStoreFile, VaultFile } from "./config-file.ts";
import type { ConfigPath, Finding } from "./config-problem.ts";

/** What must hold of a vault by itself. */
export function checkVault(vault: VaultFile, path: ConfigPath): Finding[] {
  const findings: Finding[] = [];
  const { archive } = vault;
  if (archive === undefined) return findings;
  const time = (at: readonly string[], message: string, expected: string): void => {
    findings.push({ path: [...path, "archive", ...at], code: "TM-CONFIG-DURATION", message, expected });
  };
  if (archive.partialEvery !== undefined && durationMs(archive.partialEvery, "0") < 100)
    time(["partialEvery"], "uploads of the growing segment would follow each other without a pause", "at least 100ms");
  for (const [name, store] of Object.entries(archive.stores)) {
    if (store.kind === "s3" && store.lock !== undefined && durationMs(store.lock.for, "0") < 1_000)
      time(["stores", name, "lock", "for"], "the lock would end before anything needed it", "at least 1s; days in practice");
  }
  if (typeof archive.encryption === "object") {
    const seen = new Set<string>();
    const keys: [ConfigPath, KeyFile][] = [
      [["key"], archive.encryption.key],
      ...(archive.encryption.formerKeys ?? []).map((key, index): [ConfigPath, KeyFile] => [["formerKeys", index], key]),
    ];
    for (const [at, key] of keys) {
      const text = JSON.stringify(key);
      if (seen.has(text))
        findings.push({
          path: [...path, "archive", "encryption", ...at],
          code: "TM-CONFIG-VALUE",
          message: "this key stands here twice",
          expected: "every key once: the one for new objects, and the former ones",
        });
      seen.add(text);
    }
  }
  return findings;
}

/**
 * Each vault and each folder store has a folder of its own, and each S3 store a bucket and prefix of its own: two archives
 * in one place would take each other's objects for their own. An archive inside the vault's folder is lost with it.
 */
export function checkArchivePlaces(file: ConfigFile): Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, string>();
  const add = (place: string, found: { path: ConfigPath; what: string }): void => {
    const other = seen.get(place);
    if (other === undefined) seen.set(place, found.what);
    else
      findings.push({
        path: found.path,
        code: "TM-CONFIG-VALUE",
        message: `${found.what} would lie in the same place as ${other}`,
        expected: "a place of its own",
      });
  };
  const state = file.stateDir ?? ".tidemark";
  for (const [store, { vaults = {} }] of managedStores(file.stores)) {
    for (const [name, vault] of Object.entries(vaults)) {
      const path = ["stores", store, "vaults", name];
      const folder = normalize(vault.directory ?? join(state, "vaults", `${store}-${name}`));
      add(`folder ${folder}`, { path: [...path, "directory"], what: `the vault ${name}` });
      for (const [archive, options] of Object.entries(vault.archive?.stores ?? {})) {
        const at = [...path, "archive", "stores", archive];
        const what = `the archive ${archive} of ${name}`;
        const directory =
          options.kind === "folder" ? normalize(options.directory ?? join(state, "archives", `${name}-${archive}`)) : undefined;
        add(directory === undefined ? bucketOf(options) : `folder ${directory}`, {
          path: [...at, directory === undefined ? "bucket" : "directory"],
          what,
        });
        if (directory === undefined) continue;
        const inside = relative(folder, directory);
        if (inside !== "" && !inside.startsWith("..") && !isAbsolute(inside))
          findings.push({
            path: [...at, "directory"],
            code: "TM-CONFIG-VALUE",
            message: `${what} would lie in that vault's own folder, and be lost with it`,
            expected: "a folder elsewhere, best on another machine's disk",
          });
      }
    }
  }
  return findings;
}

function bucketOf(store: ObjectStoreFile): string {
  if (store.kind === "folder") return "";
  return `s3 ${store.endpoint ?? ""} ${store.bucket} ${(store.prefix ?? "").replace(/\/$/, "")}`;
}
