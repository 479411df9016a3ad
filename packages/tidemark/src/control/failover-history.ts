// What happened to a store's reigns, kept in the lease store beside the record: the newest events, and for each failover how
// long its phases took.
import type { Clock } from "@tidemark/kernel/clock";
import { hasCode } from "@tidemark/kernel/errors";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { Logger } from "@tidemark/kernel/logger";
import type { ClusterRecord, StatedLoss, SynchronousSet } from "../cluster/cluster-record.ts";
import type { FailoverState, Phase } from "../cluster/failover-state.ts";
import type { LeaseStore } from "../cluster/lease-store.ts";
import type { SetKind } from "../cluster/quorum.ts";
import { kindOf } from "../cluster/quorum.ts";

/** Events kept per store; older ones stand in the audit log. */
export const MOST_EVENTS = 100;

export interface FailoverEvent {
  readonly kind: "failover" | "re-election" | "blocked" | "set";
  readonly atMs: number;
  readonly epoch: number;
  readonly from?: string;
  readonly to?: string;
  readonly reason: string;
  /** Milliseconds of each phase, in order, and of the whole. */
  readonly phasesMs?: Readonly<Record<string, number>>;
  readonly totalMs?: number;
  readonly loss?: StatedLoss;
  /** What the new primary lacked and a vault gave it before it was promoted. */
  readonly completion?: CompletionAccount;
}

export interface CompletionAccount {
  /** The vault. */
  readonly from: string;
  /** Where the new primary's own WAL ended, by its vote, and where it had to get to: LSN text. */
  readonly lsn: string;
  readonly target: string;
  /** Between the two, bytes of WAL. */
  readonly bytes: number;
}

const WORDS: Readonly<Record<SetKind, string>> = {
  counted: "wait for another copy",
  closed: "wait until there is another copy",
  asynchronous: "return without another copy",
};

/** What the candidate was given, by its own vote and the vault's. */
function completionOf({ candidate, completed }: FailoverState): CompletionAccount | undefined {
  if (completed === undefined || completed.node !== candidate?.node) return undefined;
  const { from, lsn, target } = completed;
  return { from, lsn, target, bytes: Math.max(0, Number(parseLsn(target) - parseLsn(lsn))) };
}

export class FailoverHistory {
  readonly #store: LeaseStore;
  readonly #key: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #events: FailoverEvent[] = [];
  #revision = 0;
  #writing: Promise<void> = Promise.resolve();
  #marks: { phase: Phase; atMs: number }[] = [];
  #from: ClusterRecord | undefined;
  #completion: CompletionAccount | undefined;
  /** The last set that stood alone in the record. */
  #settled: SynchronousSet | undefined;
  #last: { phase: Phase; record: ClusterRecord | undefined } = { phase: "unknown", record: undefined };

  constructor(options: { store: LeaseStore; storeName: string; clock: Clock; logger: Logger }) {
    this.#store = options.store;
    this.#key = `history/${options.storeName}`;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** Oldest first. */
  get events(): readonly FailoverEvent[] {
    return this.#events;
  }

  get lastFailover(): FailoverEvent | undefined {
    return this.#events.findLast((event) => event.kind === "failover" || event.kind === "re-election");
  }

  async load(): Promise<void> {
    const entry = await this.#store.read(this.#key);
    this.#revision = entry?.revision ?? 0;
    this.#events = (entry?.value as { events: FailoverEvent[] } | undefined)?.events ?? [];
  }

  /** To be told of every state of the decision. Answers the event that it completes. */
  follow(state: FailoverState): FailoverEvent | undefined {
    const before = this.#last;
    this.#last = { phase: state.phase, record: state.record };
    this.#completion = completionOf(state) ?? this.#completion;
    if (before.phase === state.phase) return this.#setChange(before.record, state.record);
    const atMs = this.#clock.monotonicMs();
    if (state.phase === "claiming" && (before.phase === "steady" || before.phase === "opening" || before.phase === "watching")) {
      this.#marks = [];
      this.#from = state.record;
      this.#completion = undefined;
    }
    this.#marks.push({ phase: state.phase, atMs });
    if (this.#marks.length > MOST_EVENTS) this.#marks.shift();
    this.#logger.info(
      { phase: state.phase, epoch: state.record?.epoch, claim: state.record?.claim?.epoch },
      "the decision's phase changed",
    );
    if (state.phase === "blocked")
      return this.#note({
        kind: "blocked",
        atMs: this.#clock.wallMs(),
        epoch: state.record?.claim?.epoch ?? 0,
        reason: state.obstacle ?? "",
      });
    return state.phase === "steady" && this.#from !== undefined ? this.#complete(state) : undefined;
  }

  /** A reign that goes from waiting for copies to not waiting, or back. */
  #setChange(before: ClusterRecord | undefined, record: ClusterRecord | undefined): FailoverEvent | undefined {
    if (before === undefined || record === undefined || before.epoch !== record.epoch || record.sets.length !== 1) return undefined;
    const [was, is] = [this.#settled ?? before.sets[0], record.sets[0]];
    this.#settled = is;
    if (was === undefined || is === undefined || kindOf(was) === kindOf(is)) return undefined;
    return this.#note({ kind: "set", atMs: this.#clock.wallMs(), epoch: record.epoch, reason: `commits ${WORDS[kindOf(is)]}` });
  }

  #complete(state: FailoverState): FailoverEvent | undefined {
    const from = this.#from;
    const { record } = state;
    this.#from = undefined;
    if (from === undefined || record === undefined || record.epoch === from.epoch) return undefined;
    const phasesMs: Record<string, number> = {};
    for (const [index, mark] of this.#marks.entries()) {
      const next = this.#marks[index + 1];
      if (next !== undefined) phasesMs[mark.phase] = Math.round(((phasesMs[mark.phase] ?? 0) + next.atMs - mark.atMs) * 10) / 10;
    }
    const totalMs = Math.round((this.#marks.at(-1)?.atMs ?? 0) - (this.#marks[0]?.atMs ?? 0));
    const event: FailoverEvent = {
      kind: from.primary === record.primary ? "re-election" : "failover",
      atMs: this.#clock.wallMs(),
      epoch: record.epoch,
      from: from.primary,
      to: record.primary,
      reason: state.reason ?? "",
      phasesMs,
      totalMs,
      ...(record.loss === undefined ? {} : { loss: record.loss }),
      ...(this.#completion === undefined ? {} : { completion: this.#completion }),
    };
    this.#logger.info({ ...event }, `${event.kind}: ${from.primary} to ${record.primary} in ${totalMs} ms`);
    return this.#note(event);
  }

  #note(event: FailoverEvent): FailoverEvent {
    const last = this.#events.at(-1);
    if (event.kind === "blocked" && last?.kind === "blocked" && last.epoch === event.epoch && last.reason === event.reason) return event;
    this.#events = [...this.#events, event].slice(-MOST_EVENTS);
    this.#writing = this.#writing.then(() => this.#save());
    return event;
  }

  /** The history is an account, not a part of the protocol: a fault here is logged, and the next event writes it again. */
  async #save(): Promise<void> {
    try {
      this.#revision = (await this.#store.compareAndSet(this.#key, this.#revision, { formatVersion: 1, events: this.#events })).revision;
    } catch (error) {
      this.#logger.warn({ err: error }, "the history of failovers could not be written");
      if (hasCode(error, "TM-CLUSTER-CONFLICT")) this.#revision = (await this.#store.read(this.#key))?.revision ?? 0;
    }
  }
}
