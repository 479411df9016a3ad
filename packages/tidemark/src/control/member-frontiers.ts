// How far each member had come when it last said so, kept outside of its data: a member whose disk was set back (a restored snapshot) still has
// its identity (R6), and would vote over what it had acknowledged since. Its vote is not taken when it ends before what it had reported.
//
// This is sound in one direction. A position in a heartbeat is durable in the member's data (a standby replays what it has flushed, a vault reports
// whole records that it has flushed), and under one identity it never goes back on the recorded line: so a vote that is refused here is
// always one of older data. It is not complete: what was acknowledged after the last report that stands here is not seen, which is a heartbeat, or
// SAVE_MS where control itself was restarted since.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { hasCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { AgentStatus } from "../cluster/agent-status.ts";
import type { ClusterRecord } from "../cluster/cluster-record.ts";
import type { Vote } from "../cluster/failover-state.ts";
import type { LeaseStore } from "../cluster/lease-store.ts";
import { forkOf } from "../cluster/lineage.ts";

/** Time between two savings while positions move, milliseconds. */
export const SAVE_MS = 5_000;
/** Identities that are kept; those that were heard longest ago fall out. */
export const MOST_IDENTITIES = 128;

interface Reported {
  readonly timeline: Timeline;
  /** LSN text. */
  readonly lsn: string;
}

interface Stored {
  readonly formatVersion: 1;
  /** By identity, the one heard longest ago first. */
  readonly members: Readonly<Record<string, Reported>>;
}

export class MemberFrontiers {
  readonly #store: LeaseStore;
  readonly #key: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #members = new Map<string, Reported>();
  #revision = 0;
  #isSaved = true;

  constructor(options: { store: LeaseStore; storeName: string; clock: Clock; logger: Logger }) {
    this.#store = options.store;
    this.#key = `frontiers/${options.storeName}`;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  async load(): Promise<void> {
    const entry = await this.#store.read(this.#key);
    this.#revision = entry?.revision ?? 0;
    const { members } = (entry?.value ?? { members: {} }) as Stored;
    // What was heard meanwhile is newer.
    for (const [identity, reported] of Object.entries(members)) if (!this.#members.has(identity)) this.#members.set(identity, reported);
  }

  /** To be told of each heartbeat of the store. A primary's own position is not that of a member. */
  heard(status: AgentStatus): void {
    const { identity, timeline, inRecovery, vault } = status;
    // A vault that has not found the end of its last whole record reports what it received: its vote may rightly end before that (R4).
    const lsn = vault === undefined ? status.lsn : vault.recoveryPoint?.lastWholeRecordLsn;
    if (inRecovery !== true || identity === undefined || timeline === undefined || lsn === undefined) return;
    const known = this.#members.get(identity);
    const isNewer =
      known === undefined || timeline > known.timeline || (timeline === known.timeline && parseLsn(lsn) > parseLsn(known.lsn));
    this.#members.delete(identity);
    this.#members.set(identity, isNewer ? { timeline, lsn } : known);
    this.#isSaved &&= !isNewer;
    for (const oldest of this.#members.keys()) {
      if (this.#members.size <= MOST_IDENTITIES) break;
      this.#members.delete(oldest);
    }
  }

  /** Why a vote is not to be taken; undefined when nothing speaks against it. */
  objection(record: ClusterRecord, vote: Vote): string | undefined {
    const reported = this.#members.get(vote.identity);
    if (reported === undefined) return undefined;
    const fork = forkOf(record, reported.timeline);
    // Of a branch that was left nothing can be said.
    if (fork === "unknown") return undefined;
    const end = parseLsn(reported.lsn);
    // Past a fork it was cut, rightly.
    const least = fork !== undefined && fork < end ? fork : end;
    if (parseLsn(vote.end) >= least) return undefined;
    return `its data is older than it was: it ends at ${vote.end}, and had reported ${reported.lsn} on timeline ${reported.timeline}`;
  }

  /** Saves until `signal` aborts, and once more then. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#clock, SAVE_MS, signal).catch(() => undefined);
      if (!this.#isSaved) await this.#save();
    }
  }

  /** A fault is logged, and the next saving writes everything again. */
  async #save(): Promise<void> {
    this.#isSaved = true;
    const stored: Stored = { formatVersion: 1, members: Object.fromEntries(this.#members) };
    try {
      this.#revision = (await this.#store.compareAndSet(this.#key, this.#revision, stored)).revision;
    } catch (error) {
      this.#isSaved = false;
      this.#logger.warn({ err: error }, "the positions of the members could not be saved");
      if (hasCode(error, "TM-CLUSTER-CONFLICT")) this.#revision = (await this.#store.read(this.#key))?.revision ?? 0;
    }
  }
}
