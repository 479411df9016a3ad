// Runs one node: looks, decides with node-role.ts, does one action, looks again. Requests of the coordinator come between
// two actions. Stopping is the exception: it waits for nobody.
import type { Epoch } from "@tidemark/kernel/brands";
import { TidemarkError, hasCode } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { NodeConfig } from "../../config/config.ts";
import type { AgentStatus } from "../agent-status.ts";
import type { ClusterRecord } from "../cluster-record.ts";
import type { Vote } from "../failover-state.ts";
import type { LeaseStore } from "../lease-store.ts";
import { CLOSED_SET } from "../quorum.ts";
import { BackgroundClone } from "./background-clone.ts";
import { bootstrap } from "./bootstrap.ts";
import { describeNode } from "./describe-node.ts";
import { forgetHoldingBack, setHoldingBack } from "./holding-back.ts";
import { lookAtNode } from "./local-node.ts";
import { NodeCondition, faultWords } from "./node-condition.ts";
import { withoutBootstrapping } from "./node-file.ts";
import { NodeProbe } from "./node-probe.ts";
import type { LocalNode, NodeAction } from "./node-role.ts";
import { decideRole, followsKey } from "./node-role.ts";
import { OperationLock } from "./operation-lock.ts";
import type { PostgresNode } from "./postgres-node.ts";
import { PrimaryDuties, isFinalForReign } from "./primary-duties.ts";
import type { CompleteOrder } from "./completion.ts";
import type { PromoteOrder } from "./promotion.ts";
import { finish, recordReign } from "./promotion.ts";
import { RecordWatch } from "../record-watch.ts";
import { ReignLease } from "./reign-lease.ts";
import { revoke } from "./revocation.ts";
import { StandbyCompletion } from "./standby-completion.ts";
import { StandbyDuties } from "./standby-duties.ts";
import { WakeablePause } from "./wakeable-pause.ts";

const RETRY_MS = 300; // after an action failed
/** A first node is made from nothing again: a setup file that fails will not be mended within a moment. */
const BOOTSTRAP_RETRY_MS = 3_000;

export class NodeSupervisor {
  readonly #node: PostgresNode;
  readonly #store: LeaseStore;
  readonly #password: Redacted<string>;
  readonly #onStatus: () => void;
  readonly #lock = new OperationLock();
  readonly #watch: RecordWatch;
  readonly #probe: NodeProbe;
  readonly #lease: ReignLease;
  readonly #primary: PrimaryDuties;
  readonly #standby: StandbyDuties;
  readonly #clone: BackgroundClone;
  readonly #completion: StandbyCompletion;
  readonly #condition: NodeCondition;
  #crashedMs: number | undefined;
  #dataPresent = false;
  #stopping = false;
  #promotionMs: Record<string, number> | undefined;
  readonly #pause: WakeablePause;
  /** Aborts what is under way for the record that was current: a change of it makes that pointless. */
  #currentRecord = new AbortController();

  /** @param options.onStatus called when `status()` has news that should not wait for the next heartbeat. */
  constructor(node: PostgresNode, options: { store: LeaseStore; password: Redacted<string>; onStatus: () => void }) {
    const { clock, logger, storeName, store, node: own } = node.world;
    this.#node = node;
    this.#store = options.store;
    this.#password = options.password;
    this.#onStatus = options.onStatus;
    this.#pause = new WakeablePause(clock);
    this.#condition = new NodeCondition(logger, options.onStatus);
    this.#watch = new RecordWatch({ store: options.store, storeName, clock, logger, onChange: () => this.#recordChanged() });
    this.#probe = new NodeProbe(node, store.failover, () => this.#looked());
    this.#lease = new ReignLease({
      watch: this.#watch,
      clock,
      node: own.name,
      leaseMs: store.failover.leaseMs,
      // Also while it starts: it must not come up after the lease has ended.
      isWriting: () => node.server.pid !== undefined && this.#probe.last?.facts.inRecovery !== true,
      waitsForNobody: () => this.#probe.last?.facts.standbyNames === "",
      end: () => this.#endReign("the lease could not be renewed (R5)"),
    });
    this.#primary = new PrimaryDuties(node, this.#watch, { lease: this.#lease, warn: (warning) => this.#condition.warn(warning) });
    this.#standby = new StandbyDuties(node);
    this.#completion = new StandbyCompletion(node);
    this.#clone = new BackgroundClone(node, (error) => {
      if (error !== undefined) this.#failed(error);
      this.#kick();
    });
    node.server.onExit((exit) => {
      this.#node.database.close();
      this.#primary.end();
      this.#standby.restarted();
      if (!exit.expected) {
        this.#crashedMs = clock.monotonicMs();
        this.#condition.enter("down", `PostgreSQL ended: ${exit.signal ?? `exit code ${exit.code ?? "unknown"}`}`);
      }
      this.#kick();
    });
  }

  // ── What others ask for ───────────────────────────────────────────────────────────────────────────────────────────

  revoke(epoch: Epoch): Promise<Vote> {
    this.#completion.interrupt(epoch);
    return this.#lock.run(async () => {
      if (this.#clone.isRunning) throw new TidemarkError("TM-CLUSTER-ABSTAINED", "this node is being cloned");
      const vote = await revoke(this.#node, epoch, this.#standby.timeline);
      this.#condition.enter("revoked");
      return vote;
    });
  }

  /** Resolves when the target is replayed and nothing more is restored. */
  complete(order: CompleteOrder & { from: string }): Promise<void> {
    return this.#lock.run(async () => {
      await this.#completion.run(order, this.#standby.timeline);
      // Replay may have changed its timeline without a receiver.
      this.#standby.restarted();
    });
  }

  /** Resolves when the reign is open; for an incumbent that has to be started first, when it stands in the record. */
  promote(order: PromoteOrder): Promise<void> {
    return this.#lock.run(async () => {
      const { clock } = this.#node.world;
      const marks: Record<string, number> = this.#completion.timesOf(order.epoch);
      let lastMs = clock.monotonicMs();
      const mark = (name: string): void => {
        marks[name] = Math.round((clock.monotonicMs() - lastMs) * 10) / 10;
        lastMs = clock.monotonicMs();
      };
      const sentMs = clock.monotonicMs();
      const entry = await recordReign(this.#node, this.#store, order);
      mark("record");
      const seen = this.#watch.take(entry);
      this.#lease.renew({ ...seen, sentMs });
      this.#crashedMs = undefined;
      if (order.incumbent) await this.#reignAgain();
      else if (seen.record !== undefined) {
        this.#condition.enter("promoting");
        await finish(this.#node, seen.record);
        mark("promote");
        await this.#primary.open(seen.record);
        mark("reign");
        this.#promotionMs = marks;
        this.#node.follows = undefined;
        this.#condition.enter("primary");
        await this.#probe.look();
        await forgetHoldingBack(this.#node);
        await this.#completion.clear();
      }
      this.#kick();
    });
  }

  /** Re-elected (R8): a PostgreSQL that hangs is ended, and one that ended is started by the next step. */
  async #reignAgain(): Promise<void> {
    if (this.#probe.isUnresponsive(false)) await this.#node.server.kill();
    if (this.#node.server.pid === undefined) this.#condition.enter("starting", "re-elected");
  }

  /** Stops PostgreSQL and promises `epoch`. Resolves when both are done. A reign of that epoch or a later one is not stopped. */
  async fence(epoch: Epoch): Promise<void> {
    this.#completion.interrupt(epoch);
    const record = this.#watch.seen?.record;
    if (record !== undefined && record.epoch >= epoch && record.primary === this.#node.world.node.name) {
      throw new TidemarkError("TM-CLUSTER-STALE-EPOCH", `asked to be fenced for epoch ${epoch}, this node reigns in ${record.epoch}`);
    }
    const standby = this.#probe.last?.facts.inRecovery === true;
    // Waits for nobody: an operation that holds the lock may be waiting for a PostgreSQL that hangs.
    if (!standby && this.#node.server.pid !== undefined) {
      this.#condition.enter("fenced", `fenced for epoch ${epoch}`);
      await this.#node.server.stop("immediate", { timeoutMs: 300 });
    }
    await this.#lock.run(async () => {
      if (this.#node.file === undefined) return;
      if (this.#node.promised !== undefined && this.#node.promised > epoch) return;
      if (!standby && this.#node.server.pid !== undefined && !(await this.#isStandbyNow())) await this.#node.server.kill();
      await this.#node.promise(epoch);
    });
    this.#kick();
  }

  /** Reads the record and acts on it now instead of at the next look. Rejects when the lease store is away. */
  async lookAgain(): Promise<void> {
    this.#lease.renew(await this.#watch.confirm());
    this.#kick();
  }

  /** Makes a standby receive nothing, or lets it follow again. */
  holdBack(hold: boolean): Promise<void> {
    return this.#lock.run(async () => {
      await setHoldingBack(this.#node, hold, this.#probe.last?.facts);
      this.#kick();
    });
  }

  // ── The loop ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Runs until `signal` aborts, then stops PostgreSQL. */
  async run(signal: AbortSignal): Promise<void> {
    const inner = new AbortController();
    signal.addEventListener("abort", () => this.#kick(), { once: true });
    const helpers = Promise.all([this.#watch.run(inner.signal), this.#probe.run(inner.signal), this.#lease.run(inner.signal)]);
    try {
      while (!signal.aborted) {
        this.#pause.look();
        const pauseMs = await this.#lock.run(() => this.#step()).catch((error: unknown) => this.#failed(error));
        if (pauseMs > 0) await this.#pause.rest(pauseMs, signal);
      }
    } finally {
      this.#stopping = true;
      this.#condition.enter("stopping");
      this.#clone.abort();
      this.#completion.abort();
      await this.#lock.run(() => this.#node.server.stop("fast", { timeoutMs: 10_000 }));
      this.#node.database.close();
      inner.abort();
      await helpers;
    }
  }

  /** Looks, decides, acts once. Answers how long to rest. */
  async #step(): Promise<number> {
    const { failover } = this.#node.world.store;
    let action = decideRole({ ...(await this.#roleInput()), confirmed: false });
    const needsWord = action.kind === "wait" && (this.#watch.seen?.record === undefined || this.#mayStart());
    if (needsWord) {
      const seen = await this.#watch.confirm().catch(() => undefined);
      if (seen !== undefined) {
        this.#lease.renew(seen);
        action = decideRole({ ...(await this.#roleInput()), confirmed: true });
      }
    }
    const again = await this.#act(action);
    return again ? 0 : failover.probeMs;
  }

  #mayStart(): boolean {
    const record = this.#watch.seen?.record;
    return record?.primary === this.#node.world.node.name && this.#node.server.pid === undefined && this.#dataPresent;
  }

  async #roleInput(): Promise<{
    node: string;
    isFirst: boolean;
    record: ClusterRecord | undefined;
    local: LocalNode;
    restartAfterMs: number;
  }> {
    const { node, store } = this.#node.world;
    const record = this.#watch.seen?.record;
    const local = await lookAtNode({ node: this.#node, probe: this.#probe, standby: this.#standby, record, crashedMs: this.#crashedMs });
    this.#dataPresent = local.data === "present";
    return {
      node: node.name,
      isFirst: store.nodes[0]?.name === node.name,
      record,
      local,
      restartAfterMs: store.failover.suspectAfterMs,
    };
  }

  /** Performs one action. Answers whether to look again at once. */
  async #act(action: NodeAction): Promise<boolean> {
    const seen = this.#watch.seen;
    const record = seen?.record;
    switch (action.kind) {
      case "wait":
        if (this.#condition.state !== "down" && this.#condition.state !== "fenced") this.#condition.enter("waiting", action.why);
        return false;
      case "refuse":
        this.#refuse(action.why);
        return false;
      case "bootstrap":
        this.#condition.enter("bootstrapping");
        this.#watch.take(await bootstrap(this.#node, this.#store, this.#password));
        return true;
      case "discard-half-made":
        await this.#node.discard();
        return true;
      case "clone":
        if (record !== undefined && this.#clone.begin(this.#upstream(record).node))
          this.#condition.enter("cloning", `from ${record.primary}`);
        return false;
      case "clone-again":
        this.#condition.warn(`the data is put aside and cloned again: ${action.why}`);
        this.#node.world.logger.warn(
          { why: action.why, aside: await this.#node.putAside(record?.epoch ?? (0 as Epoch)) },
          "put diverged data aside",
        );
        return true;
      case "start-primary":
        return this.#startPrimary(record);
      case "finish-promotion":
        this.#condition.enter("promoting");
        if (record !== undefined) await finish(this.#node, record);
        await this.#probe.look();
        return true;
      case "be-primary":
        return this.#bePrimary();
      case "demote":
        await this.#endReign(`epoch ${record?.epoch ?? "?"} belongs to ${record?.primary ?? "another"}`);
        return true;
      case "start-standby":
        return this.#startStandby(record, action.follow);
      case "follow":
        if (record !== undefined) await this.#node.follow(this.#upstream(record));
        await this.#completion.clear();
        return true;
      case "follow-nobody":
        await this.#node.followNobody();
        return true;
      case "be-standby":
        return this.#beStandby(record);
    }
  }

  async #startPrimary(record: ClusterRecord | undefined): Promise<boolean> {
    this.#condition.enter("starting", "as the recorded primary");
    await this.#node.startPrimary(record?.sets.at(-1) ?? CLOSED_SET);
    this.#crashedMs = undefined;
    await this.#probe.look();
    return true;
  }

  async #bePrimary(): Promise<boolean> {
    const seen = this.#watch.seen;
    const facts = this.#probe.last?.facts;
    if (seen?.record === undefined || facts === undefined || facts.inRecovery) return false;
    const { record } = seen;
    if (this.#node.file?.bootstrapping === true) await this.#node.write(withoutBootstrapping(this.#node.file));
    if (await this.#primary.open(record)) {
      this.#condition.enter("primary");
      await this.#node.configureSynchronous(record.sets.at(-1) ?? CLOSED_SET);
    } else if (this.#condition.state !== "unresponsive") this.#condition.enter("primary");
    const again = await this.#primary.keepSet(seen, facts, this.#currentRecord.signal);
    if (!again) await this.#primary.clear(record, facts);
    if (again) await this.#probe.look();
    return again;
  }

  async #startStandby(record: ClusterRecord | undefined, follow: boolean): Promise<boolean> {
    this.#condition.enter("starting", "as a standby");
    const upstream = follow && record !== undefined ? this.#upstream(record) : undefined;
    try {
      await this.#node.startStandby(upstream);
    } catch (error) {
      // A node that follows nobody may be the one whose promotion is recorded: nobody else need have what it has.
      if (!follow || !this.#standby.startFailed() || record === undefined || record.claim !== undefined) throw error;
      // A standby's data can be had again; an operator finds the old one aside.
      const aside = await this.#node.putAside(record.epoch);
      this.#condition.warn(`the standby did not start and is cloned again; its data lies in ${aside}`);
      return true;
    }
    this.#crashedMs = undefined;
    await this.#probe.look();
    return true;
  }

  async #beStandby(record: ClusterRecord | undefined): Promise<boolean> {
    const facts = this.#probe.last?.facts;
    const promised = this.#node.promised;
    const revoked = record?.claim !== undefined && promised !== undefined && promised >= record.claim.epoch;
    if (this.#condition.state !== "unresponsive") this.#condition.enter(revoked ? "revoked" : "standby");
    if (record === undefined || facts === undefined || revoked || this.#node.follows === "nobody") return false;
    const why = await this.#standby.keep(facts, this.#upstream(record).node);
    if (why === undefined) return false;
    this.#condition.warn(`the standby is cloned again: ${why}`);
    await this.#node.putAside(record.epoch);
    return true;
  }

  // ── Small parts ───────────────────────────────────────────────────────────────────────────────────────────────────

  #upstream(record: ClusterRecord): { node: NodeConfig; key: string } {
    const node = this.#node.world.store.nodes.find((one) => one.name === record.primary);
    if (node === undefined)
      throw new TidemarkError("TM-CLUSTER-UNKNOWN-STORE", `the record's primary ${record.primary} is not in the configuration`);
    return { node, key: followsKey(record) };
  }

  /** Stops a PostgreSQL that must not acknowledge any more. */
  async #endReign(why: string): Promise<void> {
    if (this.#node.server.pid === undefined) return;
    this.#condition.enter("fenced", why);
    this.#primary.end();
    await this.#node.server.kill();
  }

  async #isStandbyNow(): Promise<boolean> {
    await this.#probe.look();
    return this.#probe.last?.facts.inRecovery === true;
  }

  #recordChanged(): void {
    this.#currentRecord.abort();
    this.#currentRecord = new AbortController();
    this.#kick();
  }

  #looked(): void {
    if (this.#stopping) return;
    const { state } = this.#condition;
    const unresponsive = this.#probe.isUnresponsive(state === "starting" || state === "promoting");
    if (unresponsive && state !== "unresponsive" && state !== "fenced") {
      this.#condition.enter("unresponsive", "PostgreSQL answers no probe");
    } else if (!unresponsive && state === "unresponsive") {
      this.#condition.enter(this.#probe.last?.facts.inRecovery === false ? "primary" : "standby");
    }
    this.#onStatus();
  }

  #refuse(why: string): void {
    if (this.#condition.detail !== why)
      this.#node.world.logger.error({ code: "TM-CLUSTER-STORE-EMPTY", why }, "this node does nothing until a person decides");
    this.#condition.enter("waiting", why);
  }

  #failed(error: unknown): number {
    if (this.#stopping) return 0;
    const message = faultWords(error);
    if (isFinalForReign(error)) this.#condition.warn(message);
    const normal = hasCode(error, "TM-CLUSTER-NOT-READY") || hasCode(error, "TM-CLUSTER-LEASE-STORE-AWAY");
    this.#node.world.logger[normal ? "info" : "warn"]({ err: error }, "an action on the node failed; it is decided anew");
    this.#condition.note(message);
    return hasCode(error, "TM-CLUSTER-BOOTSTRAP") ? BOOTSTRAP_RETRY_MS : RETRY_MS;
  }

  #kick(): void {
    this.#pause.kick();
  }

  status(): AgentStatus {
    return describeNode(this.#node, {
      state: this.#condition.state,
      detail: this.#condition.detail,
      seen: this.#watch.seen,
      facts: this.#probe.last?.facts,
      open: this.#primary.openEpoch !== undefined && this.#primary.openEpoch === this.#watch.seen?.record?.epoch,
      standbyTimeline: this.#standby.timeline,
      warnings: this.#condition.warnings,
      promotionMs: this.#promotionMs,
    });
  }
}
