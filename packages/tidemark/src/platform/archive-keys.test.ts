import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ArchiveConfig, VaultConfig } from "../config/config.ts";
import { makeArchiveKeys } from "./archive-keys.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-archive-keys-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function vault(archive: Partial<ArchiveConfig> = {}): VaultConfig {
  return {
    name: "vault1",
    host: "127.0.0.1",
    port: 1,
    directory: join(folder, "vault1"),
    domain: {},
    synchronous: true,
    keepLocalBytes: 0,
    archive: {
      stores: [{ name: "main", options: { kind: "folder", directory: join(folder, "archive") } }],
      compression: { kind: "zstd", level: 1 },
      encryption: { key: { kind: "file", file: join(folder, "archive.key") }, formerKeys: [] },
      partialEveryMs: 5_000,
      ...archive,
    },
  };
}

describe("the key of an archive", () => {
  it("is made, 32 bytes for its owner alone, when nothing was archived yet, and then stays", async () => {
    await makeArchiveKeys(vault());
    const key = await readFile(join(folder, "archive.key"), "utf8");
    expect(Buffer.from(key.trim(), "base64url")).toHaveLength(32);
    expect((await stat(join(folder, "archive.key"))).mode & 0o077).toBe(0);
    await makeArchiveKeys(vault());
    expect(await readFile(join(folder, "archive.key"), "utf8")).toBe(key);
  });

  it("is not made anew for a vault that has archived something", async () => {
    await mkdir(join(folder, "vault1"));
    await writeFile(join(folder, "vault1", "catalogue.sqlite"), "");
    await makeArchiveKeys(vault());
    expect(existsSync(join(folder, "archive.key"))).toBe(false);
  });

  it("is not made where nothing is archived, or nothing is encrypted", async () => {
    await makeArchiveKeys(vault({ stores: [] }));
    await makeArchiveKeys(vault({ encryption: "none" }));
    expect(existsSync(join(folder, "archive.key"))).toBe(false);
  });
});
