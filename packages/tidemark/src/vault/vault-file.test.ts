import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { seededRandom } from "@tidemark/kernel/random";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StoredPoint, VaultFile, VaultFileChange } from "./vault-file.ts";
import { MOST_RECORDED, changed, newVaultFile, readVaultFile, writeVaultFile } from "./vault-file.ts";
import { isVaultIdentity, vaultIdentity, vaultPrefix } from "./vault-identity.ts";

const at = (timeline: number, lsn: string): StoredPoint => ({ timeline: timeline as Timeline, lsn });
const owner = { store: "orders", vault: "vault1" };

function after(...changes: VaultFileChange[]): VaultFile {
  const random = seededRandom(7);
  return changes.reduce(
    (file, change) => changed(file, change, { nowMs: 1_000, random }),
    newVaultFile("orders", "vault1", seededRandom(1)),
  );
}

describe("a vault's identity", () => {
  it("fits into PostgreSQL's 63 bytes of a slot name, whatever the vault is called (R6)", () => {
    for (const name of ["v", "vault1", "Vault-With A Very Long Name", "ÄÖÜ", "x".repeat(200)]) {
      const identity = vaultIdentity(name, seededRandom(3));
      expect(identity).toMatch(/^[a-z_][a-z0-9_]{0,62}$/);
      expect(identity.startsWith(vaultPrefix(name))).toBe(true);
      expect(isVaultIdentity(identity)).toBe(true);
    }
    expect(isVaultIdentity("pg1_00000000000000000000000000000000")).toBe(false);
  });

  it("is another one for each folder that begins anew (R6)", () => {
    const random = seededRandom(5);
    expect(newVaultFile("orders", "vault1", random).identity).not.toBe(newVaultFile("orders", "vault1", random).identity);
  });
});

describe("a vault's file", () => {
  it("stays the same member over a timeline switch and a cut of its tail", () => {
    const begun = after({ kind: "begin", at: at(1, "0/1000000") });
    const later = after(
      { kind: "begin", at: at(1, "0/1000000") },
      { kind: "mark", at: at(1, "0/3000100") },
      { kind: "cut", at: at(1, "0/2000000"), end: at(1, "0/3000200"), evidence: "diverged/x", alarm: true },
      { kind: "timeline", timeline: 2 as Timeline },
    );
    expect(later.identity).toBe(begun.identity);
    expect(later.run).toEqual({ from: at(1, "0/1000000"), timeline: 2 });
    expect(later.mark).toEqual(at(1, "0/2000000"));
    expect(later.faults).toMatchObject([{ code: "TM-VAULT-DIVERGED", evidence: "diverged/x", range: { from: at(1, "0/2000000") } }]);
  });

  it("is a new member after a gap, and asks for a base backup (trap 4, R6)", () => {
    const begun = after({ kind: "begin", at: at(1, "0/1000000") });
    const gone = after(
      { kind: "begin", at: at(1, "0/1000000") },
      { kind: "mark", at: at(1, "0/1500000") },
      { kind: "gap", from: at(1, "0/1500010"), to: at(1, "0/4000000") },
    );
    expect(gone.identity).not.toBe(begun.identity);
    expect(gone.run).toBeUndefined();
    expect(gone.mark).toBeUndefined();
    expect(gone.vote).toBeUndefined();
    expect(gone.gaps).toEqual([{ from: at(1, "0/1500010"), to: at(1, "0/4000000"), foundAtMs: 1_000 }]);
    expect(gone.faults.map((fault) => fault.code)).toEqual(["TM-VAULT-GAP"]);
    // The new identity has a slot of its own, which may reserve from a later position.
    const again = changed(gone, { kind: "begin", at: at(1, "0/5000000") }, { nowMs: 2_000, random: seededRandom(1) });
    expect(again.identity).toBe(gone.identity);
    expect(again.run).toEqual({ from: at(1, "0/5000000"), timeline: 1 });
    expect(again.gaps).toEqual([{ from: at(1, "0/1500010"), to: at(1, "0/5000000"), foundAtMs: 1_000 }]);
    expect(again.baseBackupWanted?.from).toEqual(at(1, "0/5000000"));
    expect(again.newRunBecause).toBeUndefined();
  });

  it("is a new member when nothing of its run is left on the line (R6)", () => {
    const cut = after(
      { kind: "begin", at: at(2, "0/1000000") },
      { kind: "cut", end: at(2, "0/2000000"), evidence: "diverged/x", alarm: true },
    );
    expect(cut.run).toBeUndefined();
    expect(cut.identity).not.toBe(after().identity);
  });

  it("forgets a vote that a damage made untrue, and says the range until it is repaired", () => {
    const vote = {
      node: "vault1",
      identity: "x",
      epoch: 2 as Epoch,
      timeline: 1 as Timeline,
      end: "0/2000000",
      contiguousFrom: at(1, "0/0"),
    };
    const damaged = changed(
      { ...after({ kind: "begin", at: at(1, "0/1000000") }), vote },
      { kind: "damage", from: at(1, "0/1500000"), to: at(1, "0/1600000"), evidence: "diverged/x", what: "damaged" },
      { nowMs: 5, random: seededRandom(1) },
    );
    expect(damaged.vote).toBeUndefined();
    expect(damaged.repair).toEqual({ from: at(1, "0/1500000"), to: at(1, "0/1600000") });
    expect(changed(damaged, { kind: "repaired" }, { nowMs: 6, random: seededRandom(1) }).repair).toBeUndefined();
  });

  it("never goes back to an older epoch", () => {
    expect(after({ kind: "epoch", epoch: 4 as Epoch }, { kind: "epoch", epoch: 3 as Epoch }).epoch).toBe(4);
  });

  it("records a fault once, and keeps the newest", () => {
    const fault = { code: "TM-VAULT-HISTORY-MISSING", what: "timeline 2" } as const;
    expect(after({ kind: "fault", fault }, { kind: "fault", fault }).faults).toHaveLength(1);
    const many = Array.from({ length: MOST_RECORDED + 5 }, (_, i): VaultFileChange => ({
      kind: "fault",
      fault: { ...fault, what: String(i) },
    }));
    expect(after(...many).faults.map((one) => one.what)).toEqual(Array.from({ length: MOST_RECORDED }, (_, i) => String(i + 5)));
  });
});

describe("vault.json on disk", () => {
  let directory: string;
  beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), "tidemark-vault-file-"))));
  afterEach(async () => rm(directory, { recursive: true, force: true }));

  it("is read as it was written, and leaves nothing beside it", async () => {
    const file = after(
      { kind: "cluster", systemIdentifier: "7" as SystemIdentifier, segmentBytes: 16 },
      { kind: "begin", at: at(1, "0/1000000") },
    );
    await writeVaultFile(directory, file);
    expect(await readVaultFile(directory, owner)).toEqual(file);
    expect(await readdir(directory)).toEqual(["vault.json"]);
  });

  it("is absent in an empty folder", async () => {
    expect(await readVaultFile(directory, owner)).toBeUndefined();
  });

  it.each([
    ["half a file", '{"formatVersion": 1, "sto'],
    ["nothing", ""],
    ["an unknown version", '{"formatVersion": 2}'],
    ["a file without an identity", '{"formatVersion": 1, "store": "orders", "vault": "vault1", "gaps": [], "faults": []}'],
  ])("refuses %s instead of beginning a new life over the WAL", async (_what, text) => {
    await writeFile(join(directory, "vault.json"), text);
    await expect(readVaultFile(directory, owner)).rejects.toMatchObject({ code: "TM-VAULT-FILE" });
  });

  it("refuses the folder of another vault (R6)", async () => {
    await writeVaultFile(directory, newVaultFile("orders", "vault2", seededRandom(1)));
    await expect(readVaultFile(directory, owner)).rejects.toMatchObject({ code: "TM-VAULT-FOREIGN-FOLDER" });
  });
});
