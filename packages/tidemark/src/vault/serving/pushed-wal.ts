// Takes in WAL files that a server archives by archive_command. A file counts as taken once its bytes, its name and its folder are
// durable; the order is: write a file of another name, fsync it, link it under its name (which never replaces one), fsync the folder,
// answer. What is there already is answered for after an fsync of its folder too: whoever named it may not have come to that before
// it was killed. The receiver's folder stays the receiver's: a file that came by another way must not move what the vault votes with.
import { createHash } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import { errorCatalogue } from "@tidemark/kernel/error-catalogue";
import { TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn, type Lsn } from "@tidemark/kernel/lsn";
import type { Random } from "@tidemark/kernel/random";
import { parseTimelineHistory } from "@tidemark/postgres/timeline-history";
import type { VaultFault } from "../vault-status.ts";
import type { WalFolder } from "../wal-folder.ts";
import type { SegmentCheck } from "./segment-check.ts";
import type { ServingState } from "./serving-rules.ts";
import { parseWalFileName, type WalFileName } from "./wal-file-name.ts";
import { pushedFolder } from "./wal-library.ts";

/** `new`: taken in. `same`: the vault had these bytes. `evidence`: of a timeline past its fork; kept, never served (trap 11). */
export type PushOutcome = "new" | "same" | "evidence";

export interface PushedWalParts {
  readonly folder: WalFolder;
  /** Rejects with TM-VAULT-UNSURE while it is not known yet. */
  readonly state: () => Promise<ServingState>;
  readonly check: SegmentCheck;
  readonly random: Random;
}

/** The largest history or label file that is taken, bytes; real ones have a line for each failover. */
const MOST_TEXT_BYTES = 1_048_576;
/** Files of which another copy was found are looked at again at each push, at most so many. */
const MOST_COMPARED = 16;

/** Conflicts that are shown, the last by name. */
const MOST_FAULTS = 128;

const CONFLICT = /^(.+)\.conflict-([0-9a-f]{16})$/;

export class PushedWal {
  readonly #parts: PushedWalParts;
  readonly #conflicts: string;

  constructor(parts: PushedWalParts) {
    this.#parts = parts;
    this.#conflicts = join(parts.folder.directory, "conflicts");
  }

  /**
   * Makes a file durable here. Idempotent: the same bytes again are "same". Rejects with TM-VAULT-OTHER-BYTES (both are kept, trap 10),
   * TM-VAULT-PUSH, TM-VAULT-OTHER-SYSTEM, TM-VAULT-WAL-NAME, TM-VAULT-PUSH-STORAGE (nothing was taken; push it again).
   */
  async take(fileName: string, bytes: Uint8Array): Promise<PushOutcome> {
    const { folder } = this.#parts;
    const name = parseWalFileName(fileName, folder.segmentBytes);
    const state = await this.#parts.state();
    await this.#refuseNonsense(name, bytes, state);
    try {
      if (isPastFork(name, state, folder.segmentBytes)) {
        const place = join(folder.diverged, "pushed", `${fileName}.${digest(bytes).slice(0, 16)}`);
        await this.#keep(place, bytes);
        return "evidence";
      }
      for (const taken of this.#placesOf(name)) {
        const there = await readIfThere(taken);
        if (there === undefined) continue;
        if (!sameBytes(there, bytes)) throw await this.#conflict(fileName, bytes, taken);
        await syncFoldersOf(taken);
        return "same";
      }
      const place = join(pushedFolder(folder), fileName);
      if (await this.#keep(place, bytes)) {
        await this.#forgetDoubles();
        return "new";
      }
      // Somebody pushed the same name at the same time.
      const there = await readIfThere(place);
      if (there !== undefined && sameBytes(there, bytes)) return "same";
      throw await this.#conflict(fileName, bytes, place);
    } catch (cause) {
      if (cause instanceof TidemarkError) throw cause;
      throw new TidemarkError("TM-VAULT-PUSH-STORAGE", `could not keep ${fileName}`, { cause });
    }
  }

  /** Names whose other bytes are kept: open until somebody has looked into them and removed the file. */
  async faults(): Promise<VaultFault[]> {
    const { folder } = this.#parts;
    const files = await readdir(this.#conflicts).catch(noFolder);
    const faults: VaultFault[] = [];
    for (const file of files.sort().slice(-MOST_FAULTS)) {
      const name = CONFLICT.exec(file)?.[1];
      const evidence = join(this.#conflicts, file);
      const kept = name === undefined ? undefined : await stat(evidence).catch(ifThere);
      if (name === undefined || kept === undefined) continue;
      const parsed = parseWalFileName(name, folder.segmentBytes);
      faults.push({
        code: "TM-VAULT-OTHER-BYTES",
        part: "push",
        what: `${name} was pushed with other bytes than those that are here; the others are in ${evidence}`,
        ...("start" in parsed ? { range: rangeOf(parsed, folder.segmentBytes) } : {}),
        evidence,
        sinceMs: Math.floor(kept.mtimeMs),
        hint: errorCatalogue["TM-VAULT-OTHER-BYTES"].hint,
      });
    }
    return faults;
  }

  async #refuseNonsense(name: WalFileName, bytes: Uint8Array, state: ServingState): Promise<void> {
    const { folder, check } = this.#parts;
    if (name.kind === "segment" || name.kind === "partial") {
      if (bytes.length !== folder.segmentBytes)
        throw new TidemarkError("TM-VAULT-PUSH", `${name.name} came with ${bytes.length} bytes instead of ${folder.segmentBytes}`);
      refuseOtherSystem(name.name, bytes, state);
      if (name.kind === "partial") return;
      const upTo = (name.start + BigInt(folder.segmentBytes)) as Lsn;
      const damage = await check(bytes, { timeline: name.timeline, start: name.start, upTo, systemIdentifier: state.systemIdentifier });
      if (damage !== undefined) throw new TidemarkError("TM-VAULT-PUSH", `${name.name}: ${damage}`);
      return;
    }
    if (bytes.length === 0 || bytes.length > MOST_TEXT_BYTES)
      throw new TidemarkError("TM-VAULT-PUSH", `${name.name} came with ${bytes.length} bytes`);
    if (name.kind === "history" && parseTimelineHistory(Buffer.from(bytes).toString("utf8")).length === 0)
      throw new TidemarkError("TM-VAULT-PUSH", `${name.name} names no timeline`);
  }

  /** Where bytes under this name may be already. */
  #placesOf(name: WalFileName): string[] {
    const { folder } = this.#parts;
    const pushed = join(pushedFolder(folder), name.name);
    if (name.kind === "segment") return [folder.segment({ timeline: name.timeline, lsn: name.start }, true), pushed];
    if (name.kind === "history") return [folder.history(name.timeline), pushed];
    return [pushed];
  }

  /** Keeps both (trap 10) and makes the error that says so. */
  async #conflict(name: string, bytes: Uint8Array, taken: string): Promise<TidemarkError> {
    const place = join(this.#conflicts, `${name}.conflict-${digest(bytes).slice(0, 16)}`);
    await this.#keep(place, bytes);
    return new TidemarkError("TM-VAULT-OTHER-BYTES", `${name} is in ${taken} with other bytes; what came now is kept in ${place}`);
  }

  /** Durable under its name when it resolves. Answers false, having changed nothing, when the name is taken. */
  async #keep(place: string, bytes: Uint8Array): Promise<boolean> {
    const folder = join(place, "..");
    await mkdir(folder, { recursive: true });
    const temporary = join(folder, `.${Buffer.from(this.#parts.random.bytes(8)).toString("hex")}.new`);
    try {
      const file = await open(temporary, "wx", 0o600);
      try {
        await file.writeFile(bytes);
        // After a failed fsync this file is given up and its bytes are asked for again: never retried (FAIL-STOP).
        await file.sync();
      } finally {
        await file.close();
      }
      try {
        await link(temporary, place);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        await syncFoldersOf(place);
        return false;
      }
    } finally {
      await rm(temporary, { force: true });
    }
    await syncFoldersOf(place);
    return true;
  }

  /** What the receiver sealed since need not be here twice. Other bytes under the same name are a conflict. */
  async #forgetDoubles(): Promise<void> {
    const { folder } = this.#parts;
    const names = (await readdir(pushedFolder(folder))).sort().slice(0, MOST_COMPARED);
    for (const file of names) {
      if (file.startsWith(".")) continue;
      const name = parseWalFileName(file, folder.segmentBytes);
      const received = this.#placesOf(name)[0];
      const pushed = join(pushedFolder(folder), file);
      if (received === undefined || received === pushed) continue;
      const [there, here] = [await readIfThere(received), await readIfThere(pushed)];
      if (there === undefined || here === undefined) continue;
      if (!sameBytes(there, here)) await this.#conflict(file, here, received);
      await rm(pushed);
    }
  }
}

function rangeOf(place: { timeline: Timeline; start: Lsn }, segmentBytes: number): NonNullable<VaultFault["range"]> {
  const { timeline, start } = place;
  return { from: { timeline, lsn: formatLsn(start) }, to: { timeline, lsn: formatLsn((start + BigInt(segmentBytes)) as Lsn) } };
}

/** WAL that the recorded history does not have: of a branch that was left, or beyond a fork. A timeline that is not known yet may become one. */
function isPastFork(name: WalFileName, state: ServingState, segmentBytes: number): boolean {
  if (name.kind !== "segment" || name.timeline >= state.timeline) return false;
  const fork = state.history.find((entry) => entry.timeline === name.timeline)?.switchLsn;
  return fork === undefined || name.start + BigInt(segmentBytes) > fork;
}

/** The first page of a segment has the cluster's system identifier at byte 24. Source: XLogLongPageHeaderData. */
const SYSTEM_IDENTIFIER_AT = 24;

function refuseOtherSystem(name: string, bytes: Uint8Array, state: ServingState): void {
  const found = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(SYSTEM_IDENTIFIER_AT, true).toString();
  if (found !== state.systemIdentifier)
    throw new TidemarkError(
      "TM-VAULT-OTHER-SYSTEM",
      `${name} is of cluster ${found}; this vault keeps the WAL of ${state.systemIdentifier}`,
    );
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  return readFile(path).catch(ifThere);
}

function ifThere(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT") return undefined;
  throw error;
}

/** The folder that names the file, and the one that names the folder. */
async function syncFoldersOf(file: string): Promise<void> {
  await syncFolder(join(file, ".."));
  await syncFolder(join(file, "..", ".."));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function noFolder(error: NodeJS.ErrnoException): string[] {
  if (error.code === "ENOENT") return [];
  throw error;
}
