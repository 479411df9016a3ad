// Puts a sealed segment that is damaged or gone in its place again: the right bytes from the archive or from the primary, and what
// was there instead kept as evidence. At no moment is the segment's name without a file.
import { createHash } from "node:crypto";
import { link, mkdir, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatLsn, type Lsn } from "@tidemark/kernel/lsn";
import { LOCAL, type ArchiveBook } from "./archive-book.ts";
import type { ArchiveWorld } from "./archive-options.ts";
import { isLocalFault, type LocalWal, type SegmentPlace } from "./local-wal.ts";
import { fileDigest } from "./object-sealer.ts";

export interface SegmentRepairParts {
  readonly book: ArchiveBook;
  readonly local: LocalWal;
  readonly receiveAgain: ((place: SegmentPlace) => Promise<Uint8Array | undefined>) | undefined;
  readonly damageOf: ((bytes: Uint8Array, place: SegmentPlace) => Promise<string | undefined>) | undefined;
  /** The bytes of a segment from whichever store gives it whole; undefined when none has it. */
  readonly fetchWhole: (place: SegmentPlace) => Promise<Uint8Array | undefined>;
  readonly world: ArchiveWorld;
}

/** The ending of what is being written, until it has its name. */
const UNFINISHED = ".repair";

export class SegmentRepair {
  readonly #parts: SegmentRepairParts;

  constructor(parts: SegmentRepairParts) {
    this.#parts = parts;
  }

  /** Takes away what a process left that was killed at it. Nobody repairs meanwhile. */
  async clearUnfinished(): Promise<void> {
    const { directory, wal } = this.#parts.local;
    for (const folder of [wal, join(directory, "diverged")]) {
      const names = await readdir(folder, { recursive: folder !== wal }).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return [];
        throw error;
      });
      for (const name of names.filter((one) => one.endsWith(UNFINISHED))) await rm(join(folder, name), { force: true });
    }
  }

  /** Whether the segment is as it was sealed when this resolves. Rejects with what its folder's file system says. */
  async repair(place: SegmentPlace): Promise<boolean> {
    const { book, local, world } = this.#parts;
    const recorded = book.catalogue.segment(place)?.sha256;
    const there = await local.sealedPath(place);
    // Somebody else has put it right meanwhile.
    if (there !== undefined && recorded !== undefined && (await this.#digestOf(there)) === recorded) return true;
    const bytes = await this.#rightBytes(place, recorded);
    // The receiver may have been set back meanwhile: then it is its own again.
    if (bytes === undefined || !local.isBehind(place)) return false;
    const path = local.receivedPath(place);
    world.step("repairing");
    if (there !== undefined) await this.#keepEvidence(there, place);
    world.step("kept");
    await writeDurably(path, bytes, () => world.step("written"));
    world.step("replaced");
    if (there !== undefined && there !== path) await unlink(there);
    if (!book.digested(place, await fileDigest({ path, bytes: local.segmentBytes }))) return false;
    world.step("repaired");
    world.logger.info({ segment: local.name(place) }, "a damaged or missing segment was put in its place again");
    return true;
  }

  /** Undefined where the file cannot be read whole: it is too short, or a sector is bad. Then it is not what was sealed either. */
  async #digestOf(path: string): Promise<string | undefined> {
    try {
      return await fileDigest({ path, bytes: this.#parts.local.segmentBytes });
    } catch (error) {
      if (!isLocalFault(error)) throw error;
      return undefined;
    }
  }

  /** The segment from whoever has it right: with the digest that it was sealed with, where that is known, and as WAL. */
  async #rightBytes(place: SegmentPlace, recorded: string | undefined): Promise<Uint8Array | undefined> {
    const { book, local, world, damageOf, fetchWhole, receiveAgain } = this.#parts;
    const name = local.name(place);
    const end = (place.start + BigInt(local.segmentBytes)) as Lsn;
    for (const [source, get] of [["the archive", fetchWhole] as const, ["the primary", receiveAgain] as const]) {
      const bytes = await get?.(place).catch((error: unknown) => {
        world.logger.warn({ err: error, segment: name }, `${source} could not give a damaged segment back yet`);
        return undefined;
      });
      if (bytes === undefined) continue;
      const digest = createHash("sha256").update(bytes).digest("hex");
      const why =
        recorded !== undefined && digest !== recorded
          ? `it has SHA-256 ${digest}, and was sealed with ${recorded}`
          : await damageOf?.(bytes, place);
      if (why === undefined) return bytes;
      // Nothing is replaced by what is not known to be right; the damaged file says more about what happened.
      const message = `what ${source} has of ${name} was not put in its place: ${why}`;
      book.fault({ where: LOCAL, subject: name, code: "TM-VAULT-OTHER-BYTES", message, range: { ...place, end } });
    }
    world.logger.error({ segment: name }, "a damaged segment is nowhere else");
    return undefined;
  }

  /** As docs/vault-format.md, "Evidence", says. Linked, not moved: at no moment is the segment's name without a file. */
  async #keepEvidence(path: string, place: SegmentPlace): Promise<void> {
    const { local, world } = this.#parts;
    const name = local.name(place);
    const stamp = new Date(world.clock.wallMs()).toISOString().replaceAll(/[-:]/g, "");
    const folder = join(local.directory, "diverged", `${stamp}-damaged`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await link(path, join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      // Kept already, by an attempt of this very millisecond.
      if (error.code !== "EEXIST") throw error;
    });
    world.step("linked");
    const end = (place.start + BigInt(local.segmentBytes)) as Lsn;
    const point = (lsn: Lsn): object => ({ timeline: place.timeline, lsn: formatLsn(lsn) });
    const facts = { formatVersion: 1, reason: "damaged", from: point(place.start), to: point(end), files: [name] };
    await writeDurably(join(folder, "evidence.json"), Buffer.from(`${JSON.stringify(facts, undefined, 2)}\n`));
    await syncFolder(dirname(folder));
  }
}

async function writeDurably(path: string, bytes: Uint8Array, onWritten?: () => void): Promise<void> {
  const temporary = `${path}${UNFINISHED}`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  onWritten?.();
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
