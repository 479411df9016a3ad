// A vault's WAL as those who recover may have it: what the vault's main thread knows, turned into what the rules of serving ask for.
import { setImmediate } from "node:timers/promises";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { Archive } from "../archive/archive.ts";
import type { VaultFault } from "../vault-status.ts";
import type { Vault } from "../vault.ts";
import { WalFolder } from "../wal-folder.ts";
import { PushedWal } from "./pushed-wal.ts";
import { segmentCheck } from "./segment-check.ts";
import type { ServingState } from "./serving-rules.ts";
import { parseWalFileName } from "./wal-file-name.ts";
import { WalLibrary } from "./wal-library.ts";
import type { CommitAtTime, WalRouteParts, WalShelf } from "./wal-routes.ts";

/** How often the end of WAL that grows is looked for, and the pause between two looks, milliseconds. */
const MOST_LOOKS = 100;
const LOOK_AGAIN_MS = 20;

export interface VaultShelfParts {
  readonly vault: Vault;
  /** Undefined where nothing is archived, and while the archive is not open. */
  readonly archive: () => Archive | undefined;
  /** Whether there is to be one: while it is not open, what it has is not known. Default false. */
  readonly archives?: boolean;
  readonly timeToLsn?: (timeMs: number) => Promise<CommitAtTime | undefined>;
}

export class VaultShelf implements WalRouteParts {
  readonly #parts: VaultShelfParts;
  readonly timeToLsn: (timeMs: number) => Promise<CommitAtTime | undefined>;
  #shelf: WalShelf | undefined;
  #faults: readonly VaultFault[] = [];

  constructor(parts: VaultShelfParts) {
    this.#parts = parts;
    this.timeToLsn =
      parts.timeToLsn ?? (() => Promise.reject(new TidemarkError("TM-VAULT-UNSURE", "this vault does not read commit times")));
  }

  get clock(): WalRouteParts["clock"] {
    return this.#parts.vault.options.clock;
  }

  /** The identity and the size of segments never change once they are known. */
  shelf(): WalShelf {
    if (this.#shelf !== undefined) return this.#shelf;
    const { vault, archive } = this.#parts;
    const { segmentBytes, systemIdentifier } = vault.file;
    if (segmentBytes === undefined || systemIdentifier === undefined)
      throw new TidemarkError("TM-VAULT-UNSURE", "this vault was never connected to a primary: whose WAL it will keep is not known yet");
    const folder = new WalFolder(vault.options.directory, segmentBytes);
    const check = segmentCheck(() => setImmediate());
    const state = (upTo?: Lsn): Promise<ServingState> => this.#state(systemIdentifier, segmentBytes, upTo);
    const fetch = async (name: string): ReturnType<Archive["fetch"]> => {
      const open = archive();
      if (open === undefined && this.#parts.archives === true)
        throw new TidemarkError("TM-VAULT-UNSURE", "this vault's archive is not open");
      return open === undefined ? { kind: "missing" } : open.fetch(name);
    };
    this.#shelf = {
      library: new WalLibrary({ folder, check, state, archive: { fetch } }),
      pushed: new PushedWal({ folder, check, state, random: vault.options.random }),
      state: () => state(),
    };
    return this.#shelf;
  }

  /** What was pushed and may not stay so, as of the last look; each asking looks again. */
  get faults(): readonly VaultFault[] {
    const look = async (): Promise<void> => void (this.#faults = (await this.#shelf?.pushed.faults()) ?? []);
    look().catch((error: unknown) => this.#parts.vault.options.logger.warn({ err: error }, "the conflicts of pushed WAL cannot be read"));
    return this.#faults;
  }

  async rebuildCatalogue(): Promise<void> {
    const archive = this.#parts.archive();
    if (archive === undefined) throw new TidemarkError("TM-VAULT-NOT-ARCHIVED", "this vault has no object stores");
    await archive.rebuildCatalogue();
  }

  /** Whether every store has it. A label file is kept in the vault only, and waits for nothing. */
  async isArchived(name: string): Promise<boolean> {
    const archive = this.#parts.archive();
    if (archive === undefined) throw new TidemarkError("TM-VAULT-NOT-ARCHIVED", `${name} is durable here; this vault has no object stores`);
    const kind = parseWalFileName(name, this.shelf().library.segmentBytes).kind;
    return kind === "label" || kind === "partial" || archive.isArchived(name);
  }

  async #state(systemIdentifier: string, segmentBytes: number, upTo: Lsn | undefined): Promise<ServingState> {
    const { vault } = this.#parts;
    const before = vault.file.run;
    if (!vault.isOpen) throw new TidemarkError("TM-VAULT-UNSURE", "this vault has just started and reads where its WAL ends");
    if (before === undefined) throw new TidemarkError("TM-VAULT-UNSURE", "this vault has no WAL yet");
    const { end, unsure } = await this.#end(before.timeline, segmentBytes, upTo);
    // Nothing below waits: the claim, the vote and the timeline are those of one moment.
    const { run, vote, promise, repair } = vault.file;
    if (run?.timeline !== before.timeline || run.from.lsn !== before.from.lsn)
      throw new TidemarkError("TM-VAULT-UNSURE", "this vault has gone to another timeline while its end was looked for");
    const record = vault.options.source.record();
    const revoked = vault.isRevoked;
    const claimed = revoked || record?.claim !== undefined;
    // Before the vote of a claim nobody knows where the fork will be: the newest segment is withheld (R9).
    const bound =
      revoked && vote !== undefined && vote.epoch === promise?.epoch ? { timeline: vote.timeline, lsn: parseLsn(vote.end) } : undefined;
    const doubt = repair === undefined ? unsure : `WAL from ${repair.from.lsn} on was damaged here and is being received again`;
    return {
      systemIdentifier,
      timeline: run.timeline,
      history: vault.reach.history,
      end,
      gaps: vault.reach.gaps(),
      ...(claimed ? { vote: bound ?? { timeline: run.timeline, lsn: segmentStart(end, segmentBytes) } } : {}),
      ...(doubt === undefined ? {} : { unsure: doubt }),
    };
  }

  /**
   * End of the last whole record that is durable. Where the reader of records is behind, and it matters, it is waited for, or the file is
   * read. A file that is read while it grows may look damaged, and may hold what is not durable yet: then it is read again.
   */
  async #end(timeline: number, segmentBytes: number, upTo: Lsn | undefined): Promise<{ end: Lsn; unsure?: string }> {
    const { reach } = this.#parts.vault;
    const target = reach.position()?.lsn ?? 0n;
    for (let look = 0; look < MOST_LOOKS; look++) {
      const before = reach.position()?.lsn;
      const read = reach.recordEnd();
      if (read?.timeline === timeline && ((upTo ?? 0n) <= read.lsn || read.lsn >= target)) return { end: read.lsn };
      const scan = await reach.scan();
      if (scan === undefined) throw new TidemarkError("TM-VAULT-UNSURE", "this vault has no WAL yet");
      const here = reach.position()?.lsn;
      const stands = here !== undefined && here === before;
      // A timeline of which nothing came yet: its first segment begins with the bytes before the fork.
      const end = scan.whole.timeline === timeline ? scan.whole.lsn : segmentStart(scan.whole.lsn, segmentBytes);
      if (stands && scan.damage !== undefined) return { end, unsure: `the newest WAL here is damaged: ${scan.damage.what}` };
      if (scan.damage === undefined && (here === undefined || scan.whole.lsn <= here)) return { end };
      await sleep(this.clock, LOOK_AGAIN_MS);
    }
    throw new TidemarkError("TM-VAULT-UNSURE", "WAL arrives faster here than its end can be found");
  }
}
