// What a running primary does besides serving: it opens its reign, keeps the synchronous set as the policy wants it, and
// clears away slots and connections that stand for nobody.
import type { Epoch } from "@tidemark/kernel/brands";
import { TidemarkError, hasCode } from "@tidemark/kernel/errors";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { MemberStatus } from "../agent-status.ts";
import type { ClusterRecord } from "../cluster-record.ts";
import { domainKey, placeOf, placesOf } from "../member-node.ts";
import type { MemberView } from "../synchronous-policy.ts";
import { nextStep } from "../synchronous-policy.ts";
import type { NodeFacts } from "./node-database.ts";
import { identityPrefix } from "./node-file.ts";
import { ensureObserver } from "./observer-role.ts";
import type { PostgresNode } from "./postgres-node.ts";
import { finish, writeReignRow } from "./promotion.ts";
import type { RecordWatch, Seen } from "../record-watch.ts";
import type { ReignLease } from "./reign-lease.ts";
import { ReplyClock } from "./reply-clock.ts";
import { settleSet } from "./set-change.ts";

/** Time between two clearings of slots, milliseconds. */
const CLEAR_MS = 5_000;
/** A member that streams and is at most so far behind may become synchronous, bytes; the change itself waits for the rest. */
const NEAR_BYTES = 67_108_864n;

/** Receivers reply once a second also when there is nothing new; one that has been silent for less is not taken for gone, milliseconds. */
const LEAST_SILENCE_MS = 2_000;

/** Roles and databases whose own setting of synchronous_commit is weaker than the cluster's. */
const WEAK_COMMIT_SQL = `
  SELECT concat_ws(' in ', nullif('role ' || coalesce(r.rolname, ''), 'role '), nullif('database ' || coalesce(d.datname, ''), 'database ')) AS who
  FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
  WHERE EXISTS (SELECT 1 FROM unnest(s.setconfig) c WHERE c ~* '^synchronous_commit=(off|local|remote_write)$')
  ORDER BY 1 LIMIT 10`;

export class PrimaryDuties {
  readonly #node: PostgresNode;
  readonly #watch: RecordWatch;
  readonly #lease: ReignLease;
  readonly #warn: (warning: string) => void;
  #openEpoch: Epoch | undefined;
  /** The reign in which the observer's role was seen to. */
  #observedEpoch: Epoch | undefined;
  #clearedMs = -Infinity;
  #startedMs: number;
  readonly #streamedMs = new Map<string, number>();
  readonly #replies = new ReplyClock();
  /** The highest position that a copy is known to have flushed, and since when the primary has been beyond it. */
  #covered = 0n;
  #beyondSinceMs: number | undefined;
  readonly #told = new Set<string>();

  constructor(node: PostgresNode, watch: RecordWatch, options: { lease: ReignLease; warn: (warning: string) => void }) {
    this.#node = node;
    this.#watch = watch;
    this.#lease = options.lease;
    this.#warn = options.warn;
    this.#startedMs = node.world.clock.monotonicMs();
  }

  /** The epoch whose reign is open here: its row stands and PostgreSQL accepts writes. */
  get openEpoch(): Epoch | undefined {
    return this.#openEpoch;
  }

  /** To be called when PostgreSQL stopped being a primary. */
  end(): void {
    this.#openEpoch = undefined;
    this.#streamedMs.clear();
    this.#covered = 0n;
    this.#beyondSinceMs = undefined;
  }

  /** Opens the reign of the record, once. Answers whether it opened just now. */
  async open(record: ClusterRecord): Promise<boolean> {
    if (this.#openEpoch === record.epoch) return false;
    // The timeline and the fork of the record, or stopped (R2).
    await finish(this.#node, record);
    await writeReignRow(this.#node, record);
    this.#openEpoch = record.epoch;
    this.#startedMs = this.#node.world.clock.monotonicMs();
    this.#node.world.logger.info({ epoch: record.epoch, timeline: record.timeline }, "the reign is open");
    return true;
  }

  /** One step towards the wanted set. Answers whether there is more to do at once. */
  async keepSet(seen: Seen, facts: NodeFacts, signal: AbortSignal): Promise<boolean> {
    const { record } = seen;
    if (record === undefined || record.claim !== undefined) return false;
    const { store, logger, node } = this.#node.world;
    const step = nextStep({
      sets: record.sets,
      required: store.required,
      policy: store.policy,
      members: this.#views(facts),
      primaryDomain: domainKey(node.domain),
      exposureMs: this.#exposureMs(facts),
      goneAfterMs: store.failover.suspectAfterMs,
    });
    if (step.kind === "keep") return false;
    try {
      if (step.kind === "begin") {
        logger.info({ why: step.why, sets: step.sets }, "changing the synchronous set");
        this.#lease.renew(await this.#watch.change(seen, { ...record, sets: step.sets }));
      } else {
        const from = record.sets.filter((set) => set !== step.to);
        await settleSet(this.#node, { from, to: step.to }, signal);
        this.#lease.renew(await this.#watch.change(seen, { ...record, sets: [step.to] }));
        logger.info({ why: step.why, set: step.to }, "changed the synchronous set");
      }
      return true;
    } catch (error) {
      // Another revision stands, or a member went away meanwhile: decided anew at the next look.
      if (hasCode(error, "TM-CLUSTER-CONFLICT")) {
        await this.#watch.confirm();
        return false;
      }
      if (hasCode(error, "TM-CLUSTER-NOT-READY") || hasCode(error, "TM-CLUSTER-LEASE-STORE-AWAY")) {
        logger.warn({ err: error }, "the change of the synchronous set waits");
        return false;
      }
      throw error;
    }
  }

  /** Slots of former identities, and connections that share one (R6). */
  async clear(record: ClusterRecord, facts: NodeFacts): Promise<void> {
    await this.#endDoubles(facts.members);
    const nowMs = this.#node.world.clock.monotonicMs();
    if (nowMs - this.#clearedMs < CLEAR_MS) return;
    this.#clearedMs = nowMs;
    const here = facts.members.map((member) => member.identity);
    const kept = new Set([...here, ...record.sets.flatMap((set) => set.members.map((member) => member.identity))]);
    await this.#node.dropSlots(kept, here.map(identityPrefix));
    await this.#auditRoles();
    this.#keepObserver();
  }

  /** Once a reign, beside everything else: a server that does not answer must not hold the duties up, and a fault is no reason to do less. */
  #keepObserver(): void {
    if (this.#observedEpoch === this.#openEpoch) return;
    this.#observedEpoch = this.#openEpoch;
    ensureObserver(this.#node).catch((error: unknown) => {
      this.#node.world.logger.warn({ err: error }, "the observer's role could not be made: what would be lost here is not measured");
    });
  }

  /** A role or database that sets synchronous_commit weaker acknowledges by itself (trap 19). Said once for each. */
  async #auditRoles(): Promise<void> {
    const weak = await this.#node.database.ask<{ who: string }>(WEAK_COMMIT_SQL, [], 2_000);
    for (const { who } of weak) {
      if (this.#told.has(who)) continue;
      this.#told.add(who);
      this.#warn(`${who} sets synchronous_commit below "on": its commits do not wait for another copy`);
    }
  }

  async #endDoubles(members: readonly MemberStatus[]): Promise<void> {
    const ours = members.filter((member) => /_[0-9a-f]{32}$/.test(member.identity));
    const doubles = ours.filter((member) => ours.some((other) => other.identity === member.identity && other.pid !== member.pid));
    for (const identity of new Set(doubles.map((double) => double.identity))) {
      this.#warn(`two connections are called ${identity}; both were ended (R6)`);
    }
    for (const double of doubles) {
      await this.#node.database.ask("SELECT pg_terminate_backend($1)", [double.pid], 2_000);
    }
  }

  #views(facts: NodeFacts): MemberView[] {
    const nowMs = this.#node.world.clock.monotonicMs();
    const own = parseLsn(facts.lsn);
    const places = placesOf(this.#node.world.store, this.#node.world.node.name);
    for (const member of facts.members) {
      const flushed = typeof member.flushLsn === "string" ? parseLsn(member.flushLsn) : 0n;
      if (member.state !== "streaming" || own - flushed > NEAR_BYTES) continue;
      // A connection that stays open proves nothing: commits must not wait for a receiver that hangs until it times out.
      const heardMs = this.#replies.heardMs(member, nowMs);
      const isSilent = nowMs - heardMs >= Math.max(this.#node.world.store.failover.suspectAfterMs, LEAST_SILENCE_MS);
      this.#streamedMs.set(member.identity, isSilent ? heardMs : nowMs);
    }
    const recorded = (this.#watch.seen?.record?.sets ?? []).flatMap((set) => set.members);
    const identities = new Set([...this.#streamedMs.keys(), ...recorded.map((member) => member.identity)]);
    return [...identities].flatMap((identity): MemberView[] => {
      const place = placeOf(places, identity);
      if (place === undefined) return [];
      // A recorded member that was never seen since this agent started may just have lost its connection with it.
      const lastMs = this.#streamedMs.get(identity) ?? this.#startedMs;
      const streaming = this.#streamedMs.has(identity) && lastMs === nowMs;
      return [{ node: place.node, identity, domain: place.domain, streaming, goneForMs: nowMs - lastMs }];
    });
  }

  /** For how long the primary has had WAL that no copy has flushed, at most: since the look at which it was first seen to be beyond. */
  #exposureMs(facts: NodeFacts): number {
    const nowMs = this.#node.world.clock.monotonicMs();
    const own = parseLsn(facts.lsn);
    for (const member of facts.members) {
      const flushed = typeof member.flushLsn === "string" ? parseLsn(member.flushLsn) : 0n;
      if (flushed > this.#covered) {
        this.#covered = flushed;
        this.#beyondSinceMs = undefined;
      }
    }
    if (own <= this.#covered) this.#beyondSinceMs = undefined;
    else this.#beyondSinceMs ??= nowMs;
    return this.#beyondSinceMs === undefined ? 0 : nowMs - this.#beyondSinceMs;
  }
}

/** Whether an error means that this node must not go on as it is: it was stopped already. */
export function isFinalForReign(error: unknown): error is TidemarkError {
  return hasCode(error, "TM-CLUSTER-TIMELINE");
}
