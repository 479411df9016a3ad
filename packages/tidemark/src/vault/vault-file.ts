// What a vault must not forget, in `<dir>/vault.json`, beside the WAL that it speaks of: the identity (R6), whose WAL it is,
// which contiguous run is being continued, the promise and the vote (R3, R4). Replaced as a whole, durably.
// docs/vault-format.md, "vault.json".
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { ErrorCode } from "@tidemark/kernel/errors";
import { TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn, parseLsn } from "@tidemark/kernel/lsn";
import type { Random } from "@tidemark/kernel/random";
import { syncFolder } from "@tidemark/postgres/server-settings";
import type { Vote } from "../cluster/failover-state.ts";
import type { WalPoint } from "./receiver/stream-plan.ts";
import { vaultIdentity } from "./vault-identity.ts";

export const VAULT_FILE = "vault.json";

/** Gaps and faults kept in the file, the newest; older ones stand in the log. */
export const MOST_RECORDED = 128;

/** A position in JSON: the LSN as text. */
export interface StoredPoint {
  readonly timeline: Timeline;
  readonly lsn: string;
}

/** WAL that is missing for good between two runs. */
export interface VaultGap {
  readonly from: StoredPoint;
  readonly to: StoredPoint;
  readonly foundAtMs: number;
}

/** Something that a person has to look at, and that must be known after a restart too. */
export interface RecordedFault {
  readonly code: ErrorCode;
  readonly what: string;
  readonly range?: { readonly from: StoredPoint; readonly to: StoredPoint };
  /** Where the evidence lies, relative to the vault's folder. */
  readonly evidence?: string;
  /** Wall time, milliseconds. */
  readonly sinceMs: number;
}

export interface VaultFile {
  readonly formatVersion: 1;
  readonly store: string;
  readonly vault: string;
  /** application_name and slot name on the primary. New after a gap: what was promised under the old one does not hold. */
  readonly identity: string;
  /** Since the first connect. */
  readonly systemIdentifier?: SystemIdentifier;
  readonly segmentBytes?: number;
  /** Highest epoch of a primary that was followed. */
  readonly epoch?: Epoch;
  /** The contiguous run that is being continued: where it began, and the timeline that it is on. */
  readonly run?: { readonly from: StoredPoint; readonly timeline: Timeline };
  /** A lower bound of the end of the last whole record that is durable here. */
  readonly mark?: StoredPoint;
  /** A range that was damaged here and is being requested again; no votes until it is whole. */
  readonly repair?: { readonly from: StoredPoint; readonly to: StoredPoint };
  readonly promise?: { readonly epoch: Epoch };
  readonly vote?: VaultVote;
  readonly gaps: readonly VaultGap[];
  readonly faults: readonly RecordedFault[];
  /** Why the next run does not go on from the last one: said once it begins. */
  readonly newRunBecause?: "gap" | "diverged";
  /** A request for a new base backup: nothing that was taken before `from` can be restored to what is here now. */
  readonly baseBackupWanted?: { readonly from: StoredPoint; readonly why: string; readonly sinceMs: number };
}

/** A vault's vote says from where on its WAL is contiguous (R4). */
export interface VaultVote extends Vote {
  readonly contiguousFrom: StoredPoint;
}

/** A change of the file, as the receiver asks for it. It is durable before the receiver goes on. */
export type VaultFileChange =
  | { readonly kind: "cluster"; readonly systemIdentifier: SystemIdentifier; readonly segmentBytes: number }
  | { readonly kind: "epoch"; readonly epoch: Epoch }
  /** The first run, or the one after a gap or a cut of everything. */
  | { readonly kind: "begin"; readonly at: StoredPoint }
  | { readonly kind: "gap"; readonly from: StoredPoint; readonly to: StoredPoint }
  /** The run goes on on another timeline. */
  | { readonly kind: "timeline"; readonly timeline: Timeline }
  /** What lay past `at` is evidence now; without `at` nothing of the run is left. `alarm`: whole records were among it. */
  | {
      readonly kind: "cut";
      readonly at?: StoredPoint;
      readonly end: StoredPoint;
      readonly evidence: string;
      readonly alarm: boolean;
    }
  | { readonly kind: "damage"; readonly from: StoredPoint; readonly to: StoredPoint; readonly evidence: string; readonly what: string }
  | { readonly kind: "repaired" }
  | { readonly kind: "mark"; readonly at: StoredPoint }
  | { readonly kind: "fault"; readonly fault: Omit<RecordedFault, "sinceMs"> };

export function stored(point: WalPoint): StoredPoint {
  return { timeline: point.timeline, lsn: formatLsn(point.lsn) };
}

export function unstored(point: StoredPoint): WalPoint {
  return { timeline: point.timeline, lsn: parseLsn(point.lsn) };
}

export function newVaultFile(store: string, vault: string, random: Random): VaultFile {
  return { formatVersion: 1, store, vault, identity: vaultIdentity(vault, random), gaps: [], faults: [] };
}

/** The file after a change. Pure but for the identity that a new run after a loss gets. */
export function changed(file: VaultFile, change: VaultFileChange, world: { nowMs: number; random: Random }): VaultFile {
  switch (change.kind) {
    case "cluster":
      return { ...file, systemIdentifier: change.systemIdentifier, segmentBytes: change.segmentBytes };
    case "epoch":
      return file.epoch !== undefined && file.epoch >= change.epoch ? file : { ...file, epoch: change.epoch };
    case "begin":
      return begun(file, change.at, world.nowMs);
    case "gap": {
      const gap: VaultGap = { from: change.from, to: change.to, foundAtMs: world.nowMs };
      const what = `WAL from ${change.from.lsn} (timeline ${change.from.timeline}) to ${change.to.lsn} (timeline ${change.to.timeline}) is gone`;
      return {
        ...withFault(withoutRun(file), { code: "TM-VAULT-GAP", what, range: { from: change.from, to: change.to } }, world.nowMs),
        // Whoever waits for the old identity's acknowledgement must not take a later position for what is missing (R6).
        identity: vaultIdentity(file.vault, world.random),
        gaps: [...file.gaps, gap].slice(-MOST_RECORDED),
        newRunBecause: "gap",
      };
    }
    case "timeline":
      return file.run === undefined ? file : { ...file, run: { ...file.run, timeline: change.timeline } };
    case "cut": {
      const range = { from: change.at ?? file.run?.from ?? change.end, to: change.end };
      const what = `WAL from ${range.from.lsn} to ${range.to.lsn} of timeline ${range.to.timeline} lies past the fork`;
      const kept = change.alarm
        ? withFault(file, { code: "TM-VAULT-DIVERGED", what, range, evidence: change.evidence }, world.nowMs)
        : file;
      if (change.at === undefined)
        return { ...withoutRun(kept), identity: vaultIdentity(file.vault, world.random), newRunBecause: "diverged" };
      const { repair: _past, ...rest } = kept;
      return {
        ...rest,
        ...(kept.run === undefined ? {} : { run: { ...kept.run, timeline: change.at.timeline } }),
        // A mark beyond the cut would make the next start call the cut a damage.
        ...(kept.mark === undefined || isWithin(kept.mark, change.at) ? {} : { mark: change.at }),
      };
    }
    case "damage": {
      const range = { from: change.from, to: change.to };
      // The mark is beyond what is left; from now on the range to repair says what was there.
      const { vote: _void, mark: _beyond, ...rest } = file;
      return {
        ...withFault(rest, { code: "TM-VAULT-CORRUPT", what: change.what, range, evidence: change.evidence }, world.nowMs),
        ...(file.run === undefined ? {} : { run: { ...file.run, timeline: change.from.timeline } }),
        repair: range,
      };
    }
    case "repaired": {
      const { repair: _done, ...rest } = file;
      return rest;
    }
    case "mark":
      return { ...file, mark: change.at };
    case "fault":
      return withFault(file, change.fault, world.nowMs);
  }
}

/** A run begins where the slot of its identity reserves; after a gap that may be beyond what the gap's slot had said. */
function begun(file: VaultFile, at: StoredPoint, nowMs: number): VaultFile {
  const { newRunBecause: why, ...rest } = withoutRun(file);
  const run = { from: at, timeline: at.timeline };
  if (why === undefined) return { ...rest, run };
  const words = why === "gap" ? "WAL before it is missing" : "everything before it was on a timeline that was left";
  const last = file.gaps.at(-1);
  return {
    ...rest,
    run,
    gaps: why === "gap" && last !== undefined ? [...file.gaps.slice(0, -1), { ...last, to: at }] : file.gaps,
    baseBackupWanted: { from: at, why: words, sinceMs: nowMs },
  };
}

function withoutRun(file: VaultFile): VaultFile {
  const { run: _run, mark: _mark, repair: _repair, vote: _vote, ...rest } = file;
  return rest;
}

/** The same fault of the same range is recorded once. */
function withFault(file: VaultFile, fault: Omit<RecordedFault, "sinceMs">, nowMs: number): VaultFile {
  const key = JSON.stringify([fault.code, fault.range ?? fault.what]);
  if (file.faults.some((one) => JSON.stringify([one.code, one.range ?? one.what]) === key)) return file;
  return { ...file, faults: [...file.faults, { ...fault, sinceMs: nowMs }].slice(-MOST_RECORDED) };
}

/** Whether `mark` is not beyond `end`; on a later timeline it is. */
function isWithin(mark: StoredPoint, end: StoredPoint): boolean {
  return mark.timeline < end.timeline || (mark.timeline === end.timeline && parseLsn(mark.lsn) <= parseLsn(end.lsn));
}

/**
 * The file in `directory`; undefined when there is none. Rejects with TM-VAULT-FILE when it cannot be read as one, and with
 * TM-VAULT-FOREIGN-FOLDER when it is another vault's.
 */
export async function readVaultFile(directory: string, owner: { store: string; vault: string }): Promise<VaultFile | undefined> {
  const path = join(directory, VAULT_FILE);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const file = parseVaultFile(text, path);
  if (file.store !== owner.store || file.vault !== owner.vault) {
    throw new TidemarkError(
      "TM-VAULT-FOREIGN-FOLDER",
      `opened ${directory} for ${owner.store}/${owner.vault}: it is that of ${file.store}/${file.vault}`,
    );
  }
  return file;
}

function parseVaultFile(text: string, path: string): VaultFile {
  let file: Partial<VaultFile> | undefined;
  try {
    file = JSON.parse(text) as Partial<VaultFile>;
  } catch (cause) {
    throw new TidemarkError("TM-VAULT-FILE", `read ${path}: it is no JSON`, { cause });
  }
  if (file?.formatVersion !== 1)
    throw new TidemarkError("TM-VAULT-FILE", `read ${path}: its format version is ${String(file?.formatVersion)}, known is 1`);
  const texts = [file.store, file.vault, file.identity];
  if (!texts.every((value) => typeof value === "string" && value !== "") || !Array.isArray(file.gaps) || !Array.isArray(file.faults))
    throw new TidemarkError("TM-VAULT-FILE", `read ${path}: a part of it is missing`);
  for (const point of [file.run?.from, file.mark, file.repair?.from, file.repair?.to]) if (point !== undefined) parseLsn(point.lsn);
  return file as VaultFile;
}

/** Durable when it resolves. One at a time: the caller sees to it. */
export async function writeVaultFile(directory: string, file: VaultFile): Promise<void> {
  const path = join(directory, VAULT_FILE);
  const handle = await open(`${path}.new`, "w", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(file, undefined, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
  await syncFolder(directory);
}

/** Makes the vault's folders durably: nobody else may read WAL, it holds the data. */
export async function makeVaultFolders(directory: string, parts: readonly string[]): Promise<void> {
  const made = await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const part of parts) await mkdir(part, { recursive: true, mode: 0o700 });
  await syncFolder(directory);
  if (made !== undefined) await syncFolder(join(made, ".."));
}
