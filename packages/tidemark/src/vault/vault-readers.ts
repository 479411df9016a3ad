// Those who read what the receiver wrote, and what they add to the vault's HTTP and status: serving, commits, archive. A folder
// that has never met its cluster does not know the size of a segment; they begin once it does. Whatever happens to them, WAL is
// received and acknowledged all the same.
import type { SystemIdentifier } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError, assert } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { Random } from "@tidemark/kernel/random";
import { keepRunning } from "@tidemark/kernel/service";
import { segmentName } from "@tidemark/postgres/wal/segment-name";
import type { FastifyInstance } from "fastify";
import type { VaultConfig } from "../config/config.ts";
import type { Archive } from "./archive/archive.ts";
import type { WalRange } from "./archive/wal-range.ts";
import type { ArchiveLimits } from "./archive/archive-options.ts";
import type { StatusParts } from "./describe-vault.ts";
import { CommitTracker } from "./commits/commit-tracker.ts";
import { timeMs } from "./commits/commit-point.ts";
import type { SpareSegments } from "./commits/known-commits.ts";
import { openVaultArchive } from "./open-vault-archive.ts";
import { VaultShelf } from "./serving/vault-shelf.ts";
import type { CommitAtTime } from "./serving/wal-routes.ts";
import { addWalRoutes } from "./serving/wal-routes.ts";
import type { ArchivedWal } from "./receiver/receiver-port.ts";
import type { WalPoint } from "./receiver/stream-plan.ts";
import type { Vault, VaultEvent } from "./vault.ts";
import { WalFolder } from "./wal-folder.ts";

/** Pause before what failed is begun again, milliseconds: a missing key or a damaged catalogue is not mended within a moment. */
const AGAIN_MS = 5_000;

/** How long a stop waits for the object stores; less than the supervisor gives a vault to end. Milliseconds. */
const FINISH_MS = 10_000;

export interface ReadersWorld {
  readonly config: VaultConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly archiveLimits?: Partial<ArchiveLimits>;
}

export class VaultReaders {
  readonly #vault: Vault;
  readonly #world: ReadersWorld;
  readonly #shelf: VaultShelf;
  #archive: Archive | undefined;
  #commits: CommitTracker | undefined;
  /** What the last archive that was open knew to be damaged: until the next one is, nobody mends it. */
  #lastDamage: readonly WalRange[] | undefined;
  #trouble: { readonly code: string; readonly what: string; readonly sinceMs: number } | undefined;

  constructor(vault: Vault, world: ReadersWorld) {
    this.#vault = vault;
    this.#world = world;
    this.#shelf = new VaultShelf({
      vault,
      archive: () => this.#archive,
      archives: world.config.archive.stores.length > 0,
      timeToLsn: (atMs) => this.#timeToLsn(atMs),
    });
    vault.onEvent((event) => this.#hear(event));
    vault.recallBy((place) => this.#recall(place));
    vault.reach.doubtBy(() => this.#doubts());
  }

  /** What they add to the status. */
  get statusParts(): Pick<StatusParts, "archive" | "commits" | "trouble" | "pushed"> {
    const archive = this.#archive;
    const commits = this.#commits;
    return {
      ...(commits === undefined ? {} : { commits: () => describeCommits(commits) }),
      pushed: () => this.#shelf.faults,
      ...(archive === undefined ? {} : { archive: () => archive.status() }),
      ...(this.#trouble === undefined ? {} : { trouble: this.#trouble }),
    };
  }

  addRoutes(server: FastifyInstance): void {
    addWalRoutes(server, this.#shelf);
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#metCluster(signal);
    if (signal.aborted) return;
    const { clock, logger, config } = this.#world;
    const { folder, systemIdentifier } = this.#place();
    const commits = new CommitTracker({ frontier: this.#vault.frontier, folder, systemIdentifier, clock, logger });
    this.#commits = commits;
    this.#vault.reach.readBy(commits);
    const reading = keepRunning(commits, signal, { clock, logger });
    await Promise.all([reading, config.archive.stores.length > 0 ? this.#keepArchiving(signal) : undefined]);
  }

  /**
   * At a stop, when nothing is received any more: waits until the object stores have everything that is durable here, the last partial
   * segment too, at most `limitMs`. Whether they have; when not, the log says how much they lack, and the next start goes on with it.
   */
  async finish(limitMs = FINISH_MS): Promise<boolean> {
    const { clock, logger, config } = this.#world;
    const archive = this.#archive;
    if (config.archive.stores.length === 0 || this.#vault.file.run === undefined) return true;
    const late = new AbortController();
    const timer = clock.setTimer(limitMs, () => late.abort(new TidemarkError("TM-VAULT-NOT-ARCHIVED", `waited ${limitMs} ms`)));
    try {
      if (archive === undefined) throw new TidemarkError("TM-VAULT-NOT-ARCHIVED", "the archive is not open");
      await archive.settled(late.signal);
      logger.info({}, "the object stores have everything that was received");
      return true;
    } catch (error) {
      const stores = archive?.status().stores ?? [];
      const lacking = stores.map(({ name, lagBytes, recoveryPoint }) => ({ name, lagBytes, archivedTo: recoveryPoint?.lsn ?? "nothing" }));
      logger.warn(
        { code: "TM-VAULT-NOT-ARCHIVED", err: error, stores: lacking },
        "stops before the object stores have everything that is here",
      );
      return false;
    } finally {
      timer.clear();
    }
  }

  /** Where a time is in the WAL that was received; undefined when no commit that early is known. Rejects with TM-VAULT-UNSURE. */
  async #timeToLsn(atMs: number): Promise<CommitAtTime | undefined> {
    const commits = this.#commits;
    const facts = commits?.facts();
    if (commits === undefined || facts === undefined) throw new TidemarkError("TM-VAULT-UNSURE", "no commit was read yet");
    const spare: SpareSegments = (place) => this.#archivedSegment(place);
    let answer = await commits.timeToLsn(atMs, spare);
    // Everything that is known is later: the archive may reach further back than the index of commits does.
    if (answer.through === undefined && this.#world.config.archive.stores.length > 0) {
      const learnt = await commits.learnArchived(atMs, spare);
      answer = await commits.timeToLsn(atMs, spare);
      if (learnt === "more" && answer.through === undefined)
        throw new TidemarkError("TM-VAULT-UNSURE", `commits before ${formatLsn(answer.known.from)} are being read again from the archive`);
    }
    if (!answer.exact)
      throw new TidemarkError("TM-VAULT-UNSURE", "the WAL of that time is neither in the vault's folder nor, whole, in an object store");
    const { through } = answer;
    if (through === undefined) return undefined;
    const timeline = this.#vault.reach.history.find((step) => through.lsn < step.switchLsn)?.timeline ?? facts.position.timeline;
    // The beginning of its record: recovery stops right behind it, also when nothing follows (trap 36).
    return { lsn: formatLsn(through.lsn), timeline, timeMs: timeMs(through), xid: through.xid };
  }

  /** A segment that is not in the folder any more; undefined when no store has it whole. Rejects when that is not known. */
  async #archivedSegment(place: Parameters<SpareSegments>[0]): Promise<Uint8Array | undefined> {
    const archive = this.#archive;
    if (archive === undefined) {
      if (this.#world.config.archive.stores.length === 0) return undefined;
      throw new TidemarkError("TM-VAULT-UNSURE", "this vault's archive is not open");
    }
    const { folder } = this.#place();
    const found = await archive.fetch(segmentName({ timeline: place.timeline, lsn: place.start }, folder.segmentBytes));
    return found.kind === "file" && !found.partial ? found.bytes : undefined;
  }

  /** For the receiver. What cannot be read or opened in any store is none; what nobody knows at the moment is not. */
  async #recall(place: WalPoint): Promise<ArchivedWal> {
    if (this.#world.config.archive.stores.length === 0) return { kind: "none" };
    const archive = this.#archive;
    if (archive === undefined) return { kind: "unknown", why: "the archive is not open" };
    try {
      const found = await archive.fetch(segmentName(place, this.#place().folder.segmentBytes));
      return found.kind === "file" ? { kind: "bytes", bytes: found.bytes } : { kind: "none" };
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      const isLost = error.code === "TM-VAULT-ARCHIVE-DAMAGED" || error.code === "TM-VAULT-ARCHIVE-MISSING";
      return isLost ? { kind: "none" } : { kind: "unknown", why: error.message };
    }
  }

  async #keepArchiving(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#world;
    while (!signal.aborted) {
      try {
        const archive = await this.#openArchive();
        this.#archive = archive;
        this.#trouble = undefined;
        for (const gap of this.#vault.reach.gaps()) archive.recordGap({ ...gap, reason: "the primary no longer had it" });
        await archive.run(signal);
      } catch (error) {
        if (signal.aborted) break;
        const code = error instanceof TidemarkError ? error.code : "";
        const what = error instanceof Error ? error.message : String(error);
        logger.error({ err: error }, "the archive does not run; it is begun again");
        this.#trouble = { code, what, sinceMs: this.#trouble?.code === code ? this.#trouble.sinceMs : clock.wallMs() };
      }
      await this.#closeArchive();
      await sleep(clock, AGAIN_MS, signal).catch(() => undefined);
    }
    await this.#closeArchive();
  }

  /** Undefined while nobody knows: the segments here are watched by the archive, and it was not open yet. */
  #doubts(): readonly WalRange[] | undefined {
    const watched = this.#world.config.archive.stores.length > 0;
    const damage = watched ? (this.#archive?.damage() ?? this.#lastDamage) : [];
    const unread = this.#commits?.damage;
    if (damage === undefined || unread === undefined) return damage;
    return [...damage, { timeline: unread.to.timeline, start: unread.from.lsn, end: unread.to.lsn }];
  }

  async #closeArchive(): Promise<void> {
    const archive = this.#archive;
    this.#lastDamage = archive?.damage() ?? this.#lastDamage;
    this.#archive = undefined;
    await archive?.close();
  }

  #openArchive(): Promise<Archive> {
    return openVaultArchive({
      vault: this.#vault,
      config: this.#world.config,
      environment: this.#world.environment,
      ...(this.#world.archiveLimits === undefined ? {} : { limits: this.#world.archiveLimits }),
      receiveAgain: ({ timeline, start }) => this.#vault.receiveAgain({ timeline, lsn: start }),
      commitsOf: async (range) => this.#commits?.commitsOf(range),
      // Before the commits are read nobody knows what of it they need.
      neededFrom: () => this.#commits?.neededFrom() ?? (0n as Lsn),
    });
  }

  #place(): { folder: WalFolder; systemIdentifier: SystemIdentifier } {
    const { segmentBytes, systemIdentifier } = this.#vault.file;
    assert(segmentBytes !== undefined && systemIdentifier !== undefined, "the vault has met its cluster");
    return { folder: new WalFolder(this.#vault.options.directory, segmentBytes), systemIdentifier };
  }

  #hear(event: VaultEvent): void {
    const archive = this.#archive;
    if (archive === undefined) return;
    if (event.kind === "sealed") archive.sealed({ timeline: event.segment.timeline, start: event.segment.start as Lsn });
    if (event.kind === "changed") archive.changed();
    // The gap's end is known once the new run begins.
    if (event.kind === "file" && event.change.kind === "begin")
      for (const gap of this.#vault.reach.gaps()) archive.recordGap({ ...gap, reason: "the primary no longer had it" });
  }

  /** Resolves when it is known whose WAL this is. */
  #metCluster(signal: AbortSignal): Promise<void> {
    if (this.#vault.file.segmentBytes !== undefined || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#vault.onEvent((event) => {
        if (event.kind === "file" && event.change.kind === "cluster") resolve();
      });
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

function describeCommits(commits: CommitTracker): ReturnType<NonNullable<StatusParts["commits"]>> {
  const facts = commits.facts();
  const last = facts?.lastCommit;
  return {
    ...(last === undefined ? {} : { commit: { lsn: formatLsn(last.lsn), atMs: timeMs(last), xid: last.xid } }),
    ...(facts === undefined ? {} : { commits: facts.commits, commitsSinceLsn: formatLsn(facts.since) }),
    faults: commits.faults,
  };
}
