// The vault's main thread: it decides whom the receiver follows, keeps vault.json, promises and votes (R3, R4), and says how
// it stands. The promise is read before anybody is followed: whoever has promised an epoch follows no primary of a lower one.
import type { Epoch } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { Random } from "@tidemark/kernel/random";
import { FileLock } from "../audit/file-lock.ts";
import { OperationLock } from "../cluster/agent/operation-lock.ts";
import { join } from "node:path";
import type { ArchivedWal, ReceiverHost, ReceiverReport, ReceiverTarget, ReceiverWarning } from "./receiver/receiver-port.ts";
import { receiveSegment } from "./receiver/receive-segment.ts";
import { ReceiverThread } from "./receiver/receiver-thread.ts";
import { SharedFrontier } from "./receiver/shared-frontier.ts";
import type { WalPoint } from "./receiver/stream-plan.ts";
import type { VaultFile, VaultFileChange, VaultVote } from "./vault-file.ts";
import { changed, makeVaultFolders, newVaultFile, readVaultFile, stored, unstored, writeVaultFile } from "./vault-file.ts";
import { castVote, refuseDamage } from "./vault-vote.ts";
import { WalReach } from "./wal-reach.ts";
import type { WalSource, WalTarget } from "./wal-source.ts";
import { WalFolder } from "./wal-folder.ts";

/** Time between two looks at what is kept in vault.json as it goes: the mark, a repair. Milliseconds. */
const TICK_MS = 1_000;
const LOCK_WAIT_MS = 2_000;

/** Reads the records of the WAL as it comes. Without one, records are looked for when their end is asked for. */
export interface RecordReader {
  /** End of the last whole record that was read; undefined before the first. */
  position(): WalPoint | undefined;
}

export interface VaultOptions {
  readonly store: string;
  readonly name: string;
  readonly directory: string;
  readonly source: WalSource;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: Random;
  readonly step?: (step: VaultStep) => void;
}

/** A place between two things that must be done in this order, at which a test ends the process. */
export type VaultStep = "halting" | "voting" | "voted";

export type VaultEvent =
  | { readonly kind: "sealed"; readonly segment: { readonly timeline: WalPoint["timeline"]; readonly start: bigint } }
  /** The folder changed in another way: a history came, a timeline ended, something was put aside. */
  | { readonly kind: "changed" }
  | { readonly kind: "file"; readonly change: VaultFileChange; readonly file: VaultFile }
  /** The state that `status()` tells is another one. */
  | { readonly kind: "state" };

export class Vault {
  readonly options: VaultOptions;
  readonly frontier = new SharedFrontier();
  readonly reach: WalReach;
  readonly #lock: FileLock;
  readonly #operations = new OperationLock();
  readonly #writes = new OperationLock();
  readonly #listeners = new Set<(event: VaultEvent) => void>();
  #file: VaultFile;
  #thread: ReceiverThread | undefined;
  #opened: Promise<unknown> | undefined;
  #isOpen = false;
  #following: { readonly key: string; readonly target: WalTarget } | undefined;
  #report: ReceiverReport & { readonly sinceMs: number };
  #warnings: readonly (ReceiverWarning & { readonly sinceMs: number })[] = [];
  #fullSinceMs: number | undefined;
  #stopping = false;
  #recall: (place: WalPoint) => Promise<ArchivedWal> = () => Promise.resolve({ kind: "none" });
  readonly #startedMs: number;

  private constructor(options: VaultOptions, file: VaultFile, lock: FileLock) {
    this.options = options;
    this.#file = file;
    this.#lock = lock;
    this.#startedMs = options.clock.monotonicMs();
    this.#report = { state: "idle", sinceMs: options.clock.wallMs() };
    this.reach = new WalReach({ frontier: this.frontier, file: () => this.#file, directory: options.directory });
    options.source.onChange(() => this.#decide());
  }

  /** Takes the folder. Rejects with TM-VAULT-LOCKED, TM-VAULT-FILE, TM-VAULT-FOREIGN-FOLDER. */
  static async open(options: VaultOptions): Promise<Vault> {
    const { directory } = options;
    const folder = new WalFolder(directory, 1);
    await makeVaultFolders(directory, [folder.wal, folder.diverged]);
    const lock = new FileLock(join(directory, "lock.sqlite"), options.clock);
    if (!(await lock.acquire(LOCK_WAIT_MS))) {
      lock.close();
      throw new TidemarkError("TM-VAULT-LOCKED", `another process works in ${directory}`);
    }
    try {
      const known = await readVaultFile(directory, { store: options.store, vault: options.name });
      const file = known ?? newVaultFile(options.store, options.name, options.random);
      // A wiped folder is a new member: its identity is durable before anybody hears of it (R6).
      if (known === undefined) await writeVaultFile(directory, file);
      return new Vault(options, file, lock);
    } catch (error) {
      lock.release();
      lock.close();
      throw error;
    }
  }

  get file(): VaultFile {
    return this.#file;
  }

  get report(): ReceiverReport & { readonly sinceMs: number } {
    return this.#report;
  }

  get following(): WalTarget | undefined {
    return this.#following?.target;
  }

  /** What the server that is followed gives reason to. */
  get warnings(): readonly (ReceiverWarning & { readonly sinceMs: number })[] {
    return this.#warnings;
  }

  /** Wall time since when the disk is full; undefined while it is not. */
  get fullSinceMs(): number | undefined {
    return this.#fullSinceMs;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isStopping(): boolean {
    return this.#stopping;
  }

  get uptimeMs(): number {
    return this.options.clock.monotonicMs() - this.#startedMs;
  }

  /** A promise whose epoch has no primary yet that this vault knows of. */
  get isRevoked(): boolean {
    const promised = this.#file.promise?.epoch;
    return promised !== undefined && (this.options.source.record()?.epoch ?? this.#file.epoch ?? 0) < promised;
  }

  /** Who gives archived WAL back to the receiver when the server has no more of it. Without one nothing is archived. */
  recallBy(recall: (place: WalPoint) => Promise<ArchivedWal>): void {
    this.#recall = recall;
  }

  /** A whole segment once more from the server that is followed; undefined when nobody is, or it has it no more. */
  async receiveAgain(place: WalPoint): Promise<Uint8Array | undefined> {
    const { segmentBytes, systemIdentifier } = this.#file;
    const target = this.#following?.target;
    if (target === undefined || segmentBytes === undefined || systemIdentifier === undefined || this.#stopping) return undefined;
    const { directory, clock } = this.options;
    return receiveSegment({ directory, segmentBytes, systemIdentifier, target: receiverTarget(target), place, clock });
  }

  /** Called at each change, until the vault ends. */
  onEvent(listener: (event: VaultEvent) => void): void {
    this.#listeners.add(listener);
  }

  /** Runs until `signal` aborts. Rejects with TM-VAULT-FAIL-STOP, and when the receiver cannot go on. */
  async run(signal: AbortSignal): Promise<void> {
    const { source, directory, clock, logger } = this.options;
    const inner = new AbortController();
    const host: ReceiverHost = {
      save: (change) => this.#save(change),
      report: (report) => this.#reported(report),
      warn: (warnings) => this.#warned(warnings),
      sealed: (segment) => this.#tell(segment === undefined ? { kind: "changed" } : { kind: "sealed", segment }),
      full: (full) => this.#diskIsFull(full),
      archived: (place) => this.#recall(place),
    };
    const thread = new ReceiverThread({ directory, frontier: this.frontier, host, clock, logger });
    this.#thread = thread;
    this.#opened = thread.open(this.#file);
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    const watching = source.run(inner.signal);
    try {
      await Promise.race([this.#opened, aborted, thread.failed]);
      if (!signal.aborted) {
        await this.reach.learn();
        this.#isOpen = true;
        this.#decide();
        this.#tell({ kind: "state" });
        await Promise.race([aborted, thread.failed, this.#tickOn(inner.signal)]);
      }
    } finally {
      this.#stopping = true;
      await thread.stop();
      inner.abort();
      await watching.catch(() => undefined);
      await this.#operations.run(() => this.#keepMark()).catch((error: unknown) => logger.warn({ err: error }, "the mark was not kept"));
    }
  }

  /** Gives the folder back. To be called once, after `run`. */
  async close(): Promise<void> {
    await this.#writes.run(() => Promise.resolve());
    this.#lock.release();
    this.#lock.close();
  }

  // ── Promise and vote ──────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Promises `epoch` and answers the vote: the promise is durable first, then the receiver is halted and seen to be, then the end
   * of the last whole record is read, stored, and answered (R3, R4). Idempotent. Rejects with TM-CLUSTER-STALE-EPOCH when a higher
   * epoch was promised or is followed, TM-CLUSTER-ABSTAINED when the vault cannot say what it has; the promise holds all the same.
   */
  revoke(epoch: Epoch): Promise<VaultVote> {
    return this.#operations.run(async () => {
      const startedMs = this.options.clock.monotonicMs();
      const least = Math.max(this.#file.promise?.epoch ?? 0, this.#following?.target.epoch ?? 0, this.#file.epoch ?? 0);
      if (epoch < least) throw new TidemarkError("TM-CLUSTER-STALE-EPOCH", `asked to promise epoch ${epoch}, this vault is at ${least}`);
      const { vote, promise } = this.#file;
      // Asked again. Once that epoch's primary is followed, the answer of then is the answer.
      if (promise?.epoch === epoch && vote?.epoch === epoch) {
        refuseDamage(this.reach);
        return vote;
      }
      if (promise?.epoch !== epoch) await this.#write((file) => ({ ...file, promise: { epoch } }));
      const thread = this.#thread;
      if (thread === undefined || this.#stopping) throw new TidemarkError("TM-CLUSTER-ABSTAINED", "this vault is not running");
      await this.#opened;
      this.#following = undefined;
      this.options.step?.("halting");
      await thread.halt();
      this.options.step?.("voting");
      const cast = await castVote({ file: this.#file, epoch, reach: this.reach, record: this.options.source.record() });
      await this.#write((file) => ({ ...file, vote: cast, mark: { timeline: cast.timeline, lsn: cast.end } }));
      this.options.step?.("voted");
      const tookMs = Math.round((this.options.clock.monotonicMs() - startedMs) * 10) / 10;
      this.options.logger.info({ epoch, end: cast.end, timeline: cast.timeline, tookMs }, "promised and voted");
      this.#tell({ kind: "state" });
      this.#decide();
      return cast;
    });
  }

  /** Forgets the recorded faults of a code, and with TM-VAULT-GAP the wish for a base backup: an operator has seen to them. */
  async clearFaults(code: string): Promise<number> {
    const before = this.#file.faults.length;
    await this.#write((file) => {
      const { baseBackupWanted, ...rest } = file;
      return {
        ...rest,
        faults: file.faults.filter((fault) => fault.code !== code),
        ...(baseBackupWanted === undefined || code === "TM-VAULT-GAP" ? {} : { baseBackupWanted }),
      };
    });
    const cleared = before - this.#file.faults.length;
    this.options.logger.warn({ code, cleared }, "recorded faults were cleared");
    return cleared;
  }

  // ── Whom to follow ────────────────────────────────────────────────────────────────────────────────────────────────

  #decide(): void {
    if (!this.#isOpen || this.#stopping) return;
    const target = this.options.source.current();
    // Nobody known, or the lease store away: whoever is followed is followed on.
    if (target === undefined) return;
    const key = JSON.stringify([target.epoch, target.node, target.host, target.port, target.expected?.timeline]);
    if (this.#following?.key === key) return;
    if (!this.#mayFollow(target)) return;
    this.#following = { key, target };
    this.options.logger.info({ node: target.node, epoch: target.epoch }, "follows");
    this.#thread?.follow(receiverTarget(target));
    this.#tell({ kind: "state" });
  }

  /** The promise is read before any connection is made (R3). */
  #mayFollow(target: WalTarget): boolean {
    const promised = this.#file.promise?.epoch;
    if (target.epoch === 0) return promised === undefined;
    if (target.epoch < (this.#file.epoch ?? 0)) return false;
    return promised === undefined || (target.epoch >= promised && !target.claimed);
  }

  #reported(report: ReceiverReport): void {
    const same = report.state === this.#report.state && report.code === this.#report.code;
    // Attempts come and go; what the last one met stands until WAL arrives.
    if (report.state === "connecting" && this.#report.code !== undefined) return;
    this.#report = { ...report, sinceMs: same ? this.#report.sinceMs : this.options.clock.wallMs() };
    if (!same) this.#tell({ kind: "state" });
  }

  #warned(warnings: readonly ReceiverWarning[]): void {
    const known = this.#warnings;
    const sinceMs = this.options.clock.wallMs();
    this.#warnings = warnings.map(
      (warning) => known.find((one) => one.code === warning.code && one.what === warning.what) ?? { ...warning, sinceMs },
    );
    for (const warning of this.#warnings) if (!known.includes(warning)) this.options.logger.warn({ code: warning.code }, warning.what);
  }

  #diskIsFull(full: boolean): void {
    this.#fullSinceMs = full ? (this.#fullSinceMs ?? this.options.clock.wallMs()) : undefined;
    if (full) this.options.logger.error({}, "the disk is full: nothing is acknowledged until there is room (trap 13)");
    else this.options.logger.info({}, "the disk has room again");
    this.#tell({ kind: "state" });
  }

  // ── vault.json ────────────────────────────────────────────────────────────────────────────────────────────────────

  async #save(change: VaultFileChange): Promise<VaultFile> {
    const { clock, random } = this.options;
    const file = await this.#write((before) => changed(before, change, { nowMs: clock.wallMs(), random }));
    await this.reach.learn();
    this.#tell({ kind: "file", change, file });
    return file;
  }

  /** Durable when it resolves; one at a time. */
  #write(edit: (file: VaultFile) => VaultFile): Promise<VaultFile> {
    return this.#writes.run(async () => {
      const next = edit(this.#file);
      if (next !== this.#file) await writeVaultFile(this.options.directory, next);
      this.#file = next;
      this.#thread?.take(next);
      return next;
    });
  }

  async #tickOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.options.clock, TICK_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      await this.#operations.run(async () => {
        await this.#keepMark();
        await this.#endRepair();
      });
      this.#decide();
    }
  }

  /** So that a later start knows what was durable, and calls its absence damage. Only what a record reader has seen whole. */
  async #keepMark(): Promise<void> {
    const read = this.reach.recordEnd();
    const { mark, run } = this.#file;
    if (read === undefined || run === undefined || read.timeline !== run.timeline) return;
    const at = stored(read);
    if (mark?.timeline === at.timeline && mark.lsn === at.lsn) return;
    if (mark !== undefined && mark.timeline === at.timeline && unstored(mark).lsn > read.lsn) return;
    await this.#save({ kind: "mark", at });
  }

  /** What was damaged is whole again once it was received again to its end. */
  async #endRepair(): Promise<void> {
    const { repair } = this.#file;
    const here = this.reach.position();
    if (repair === undefined || here === undefined) return;
    const to = unstored(repair.to);
    if (here.lsn < to.lsn || here.timeline < to.timeline) return;
    await this.#save({ kind: "repaired" });
    this.options.logger.info({ from: repair.from, to: repair.to, here: formatLsn(here.lsn) }, "what was damaged was received again");
  }

  #tell(event: VaultEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

function receiverTarget(target: WalTarget): ReceiverTarget {
  const { node, host, port, login, epoch, expected } = target;
  return {
    node,
    host,
    port,
    user: login.user,
    password: login.password.reveal(),
    epoch,
    ...(expected === undefined ? {} : { expected }),
  };
}
