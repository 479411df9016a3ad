import type { Epoch, Sequence, Timeline } from "@tidemark/kernel/brands";
import { sleep, type Clock } from "@tidemark/kernel/clock";
import { assert, TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { PrimaryRoute } from "../cluster/cluster-record.ts";
import type { CompiledCommand } from "../gateway/command-catalogue.ts";
import type { JournalReader } from "../journal/journal.ts";
import type { Announcer } from "./announcer.ts";
import type { ApplyRules, PartitionProgress } from "./apply-rules.ts";
import { buryStep, planBatch, type Plan, type PlanContext } from "./batch-planner.ts";
import type { ApplyOutcome, CommitFacts, DatabaseSession, PositionMove, Step } from "./database.ts";
import { DeadLetterBook } from "./dead-letter-book.ts";
import { JournalFeed, MOST_BYTES_IN_HAND, MOST_RECORDS_IN_HAND, type Frontier } from "./journal-feed.ts";
import { PartitionLane } from "./partition-lane.ts";
import { loadPositions } from "./position-load.ts";
import { TrimBarrier } from "./trim-barrier.ts";
import type { Trouble } from "./trouble-table.ts";
import type { VerdictDesk } from "./verdict-desk.ts";
import type { VerdictIndex } from "./verdict-index.ts";
import { Wakeup } from "./wakeup.ts";

/** A transaction that has no answer after so long is shown as waiting, ms. It is not cancelled (R14). */
export const COMMIT_WAITS_AFTER_MS = 2_000;
/** The steps of one transaction that settles verdicts. */
const MOST_DECIDED = 500;

/** What outlives a run. */
export interface ApplyWorld {
  readonly store: string;
  readonly reader: JournalReader;
  readonly frontier: Frontier;
  readonly commands: ReadonlyMap<string, CompiledCommand>;
  readonly verdicts: VerdictIndex;
  readonly desk: VerdictDesk;
  readonly announcer: Announcer;
  readonly rules: ApplyRules;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The newest route, which may be newer than the run's. */
  readonly route: () => PrimaryRoute | undefined;
}

/** Why a run ended. `trouble`: connect again. `final`: FAIL-STOP. */
export type RunEnd =
  | { readonly kind: "stopped" }
  | { readonly kind: "trouble"; readonly trouble: Trouble }
  | { readonly kind: "final"; readonly error: TidemarkError };

/**
 * Everything from one connection to its loss: reads the positions, then applies what lies behind them. Nothing that it
 * knows of the database outlives it; that is how commits in doubt are decided.
 */
export class ApplyRun {
  readonly world: ApplyWorld;
  readonly epoch: Epoch;
  readonly timeline: Timeline;
  /** The epoch of the route that led here: the same as `epoch`, but where an operator accepted another database (R17). */
  readonly routeEpoch: Epoch;
  readonly lanes = new Map<number, PartitionLane>();
  /** Where partitions without a row stand. */
  base: Sequence = 0n as Sequence;
  generation = 1;
  letters = new DeadLetterBook();
  readonly #sessions: readonly DatabaseSession[];
  readonly #barrierSession: DatabaseSession;
  readonly #wakeup = new Wakeup();
  readonly #feedWakeup = new Wakeup();
  readonly #over = new AbortController();
  readonly #barrier: TrimBarrier;
  #feed: JournalFeed | undefined;
  #inHand = 0;
  #bytesInHand = 0;
  #end: RunEnd | undefined;
  #paused = false;
  /** Every record up to here is in a lane, or committed. Behind the feed's own mark while it hands out what it has read. */
  #placedUpTo = 0n;
  #healingFrom = 0n;

  /** @param sessions at least two; the first is the barrier's, the others apply. */
  constructor(world: ApplyWorld, sessions: readonly DatabaseSession[], reign: { epoch: Epoch; timeline: Timeline; routeEpoch: Epoch }) {
    const first = sessions[0];
    assert(first !== undefined && sessions.length > 1, "a run has a session for barriers and one to apply with");
    this.world = world;
    this.#sessions = sessions;
    this.#barrierSession = first;
    this.epoch = reign.epoch;
    this.timeline = reign.timeline;
    this.routeEpoch = reign.routeEpoch;
    this.#barrier = new TrimBarrier(this, first, this.#over.signal);
    for (const session of sessions) session.onLost((trouble) => this.#finish({ kind: "trouble", trouble }));
  }

  get readUpTo(): bigint {
    return this.#placedUpTo;
  }

  /** Records read and not committed, over all partitions. */
  get recordsInHand(): number {
    return this.#inHand;
  }

  /** Applies until `stop` (finishing what is in hand), {@link end}, or trouble. */
  async run(stop: AbortSignal): Promise<RunEnd> {
    const onStop = (): void => this.#finish({ kind: "stopped" });
    stop.addEventListener("abort", onStop, { once: true });
    if (stop.aborted) onStop();
    try {
      await this.#guard(() => this.#start());
      const workers = this.#sessions.slice(1).map((session) => this.#guard(() => this.#work(session)));
      await Promise.all([...workers, this.#guard(() => this.#feedLanes()), this.#guard(() => this.#barrier.run())]);
    } finally {
      stop.removeEventListener("abort", onStop);
    }
    return this.#end ?? { kind: "stopped" };
  }

  /** Ends the run from outside; what is under way is in doubt. */
  abandon(trouble: Trouble): void {
    this.#finish({ kind: "trouble", trouble });
  }

  /** The frontier has advanced. */
  advance(): void {
    this.#feedWakeup.ring();
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    this.#wakeup.ring();
    this.announceState();
  }

  wake(): void {
    this.#wakeup.ring();
    this.#feedWakeup.ring();
  }

  get isOver(): boolean {
    return this.#end !== undefined;
  }

  #finish(end: RunEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#over.abort(new Error("the run is over"));
    if (end.kind !== "stopped") for (const session of this.#sessions) session.abandon();
    this.wake();
  }

  /** Runs a part; a fault of the journal or a bug ends the run. */
  async #guard(part: () => Promise<void>): Promise<void> {
    try {
      await part();
    } catch (error) {
      if (this.#end !== undefined) return;
      if (error instanceof TidemarkError) this.#finish({ kind: "final", error });
      else if (error instanceof Error && "trouble" in error) this.#finish({ kind: "trouble", trouble: error.trouble as Trouble });
      else {
        this.#finish({ kind: "stopped" });
        throw error;
      }
    }
  }

  // --- start -------------------------------------------------------------------------------------------------------

  async #start(): Promise<void> {
    const { desk, reader, frontier, verdicts } = this.world;
    await desk.idle();
    const loaded = await loadPositions(this.#barrierSession, {
      journal: reader.id,
      epoch: this.epoch,
      durable: frontier.durable,
      announcer: this.world.announcer,
      reader,
    });
    this.generation = loaded.generation;
    this.base = loaded.base;
    for (const row of loaded.rows) this.lanes.set(row.partition, new PartitionLane({ ...row, hasRow: true, position: row.sequence }));
    for (const partition of this.world.announcer.partitions()) {
      // Known from before a rewind: it stands at the base again, and that has to be said.
      if (!this.lanes.has(partition)) this.#newLane(partition);
    }
    this.letters = new DeadLetterBook(await this.#barrierSession.pendingLetters(reader.id));
    this.#feed = new JournalFeed({ reader, frontier, verdicts }, this.#lowest());
    this.#placedUpTo = this.#feed.readUpTo;
    this.#healingFrom = this.#lowest();
    await this.#feed.learnVerdicts();
    await this.#barrier.confirm();
    this.announceState();
  }

  #lowest(): bigint {
    let lowest: bigint = this.base;
    for (const lane of this.lanes.values()) if (lane.position < lowest) lowest = lane.position;
    return lowest;
  }

  // --- feeding -----------------------------------------------------------------------------------------------------

  async #feedLanes(): Promise<void> {
    const feed = this.#feed;
    while (this.#end === undefined && feed !== undefined) {
      const full = this.#inHand >= MOST_RECORDS_IN_HAND || this.#bytesInHand >= MOST_BYTES_IN_HAND;
      if (!feed.behind || full) {
        await this.#feedWakeup.wait();
        continue;
      }
      for (const item of await feed.next()) {
        if (item.kind === "generation") await this.#beginGeneration(item.record.sequence, item.record.generation);
        else this.#place(item);
        if (this.#end !== undefined) return;
        this.#placedUpTo = item.record.sequence;
      }
      this.#wakeup.ring();
    }
  }

  #place(item: Parameters<PartitionLane["push"]>[0]): void {
    const { partition, generation, sequence, payload } = item.record;
    if (generation < this.generation) return;
    assert(generation === this.generation, `record ${sequence} is of generation ${generation}, the lanes of ${this.generation}`);
    const lane = this.lanes.get(partition) ?? this.#newLane(partition);
    if (sequence <= lane.position) return;
    lane.push(item);
    this.#inHand++;
    this.#bytesInHand += payload.length;
  }

  #newLane(partition: number): PartitionLane {
    const lane = new PartitionLane({ partition, generation: this.generation, position: this.base, hasRow: false });
    this.lanes.set(partition, lane);
    return lane;
  }

  /** R12: waits until every partition has reached the record, then moves all there in one transaction. */
  async #beginGeneration(at: Sequence, recorded: number): Promise<void> {
    const generation = Math.max(recorded, this.generation + 1);
    if (at <= this.base) return;
    this.#wakeup.ring();
    while (this.#inHand > 0 || this.#anyBusy()) {
      await this.#feedWakeup.wait();
      if (this.#end !== undefined) return;
    }
    const moves: PositionMove[] = [...this.lanes.values()].map((lane) => ({
      generation: this.generation,
      partition: lane.partition,
      from: lane.hasRow ? lane.position : undefined,
      to: at,
    }));
    moves.push(
      { generation: this.generation, partition: -1, from: this.base, to: at },
      { generation, partition: -1, from: undefined, to: at },
    );
    for (const lane of this.lanes.values()) lane.busy = true;
    const outcome = await this.#barrier.commit(moves);
    if (outcome.kind !== "committed") {
      this.#finish({ kind: "trouble", trouble: outcome.trouble });
      return;
    }
    this.lanes.clear();
    this.base = at;
    this.generation = generation;
  }

  #anyBusy(): boolean {
    for (const lane of this.lanes.values()) if (lane.busy) return true;
    return false;
  }

  // --- working -----------------------------------------------------------------------------------------------------

  async #work(session: DatabaseSession): Promise<void> {
    while (this.#end === undefined) {
      const lane = this.#paused ? undefined : this.#nextLane();
      if (lane === undefined) {
        await this.#wakeup.wait();
        continue;
      }
      lane.busy = true;
      const keep = await this.#advance(lane, session);
      if (!keep) this.release(lane);
    }
  }

  /** Gives a lane back. */
  release(lane: PartitionLane): void {
    lane.busy = false;
    this.#wakeup.ring();
    this.#feedWakeup.ring();
  }

  /** The lane that has waited longest of those that can go on: the map is in that order. */
  #nextLane(): PartitionLane | undefined {
    const nowMs = this.world.clock.monotonicMs();
    for (const lane of this.lanes.values()) {
      if (lane.busy || lane.length === 0 || lane.notBeforeMs > nowMs) continue;
      if (lane.held !== undefined && lane.decided === undefined && lane.head?.record.sequence === lane.suspect && !this.#mayJudge(lane))
        continue;
      this.lanes.delete(lane.partition);
      this.lanes.set(lane.partition, lane);
      return lane;
    }
    return undefined;
  }

  #mayJudge(lane: PartitionLane): boolean {
    const { suspect } = lane;
    if (suspect === undefined) return false;
    const others: PartitionProgress[] = [];
    for (const other of this.lanes.values()) {
      if (other !== lane) others.push({ partition: other.partition, position: other.position, head: other.head?.record.sequence });
    }
    return this.world.rules.mayJudge(suspect, others, this.readUpTo);
  }

  #context(lane: PartitionLane): PlanContext {
    const { commands, verdicts, rules, store } = this.world;
    return {
      command: (name) => {
        const command = commands.get(name);
        return command === undefined || command.store === store ? command : "elsewhere";
      },
      verdict: (sequence) => (rules.obeysVerdicts() ? verdicts.of(sequence) : undefined),
      letters: this.letters,
      limits: lane.limits(),
    };
  }

  /** One transaction of a lane, or one request. Answers whether the lane stays busy. */
  async #advance(lane: PartitionLane, session: DatabaseSession): Promise<boolean> {
    if (lane.decided !== undefined) {
      const { to, records, steps } = lane.decided;
      await this.#apply(lane, session, { kind: "apply", to, records, steps }, false);
      return false;
    }
    const plan = planBatch(lane.records(), this.#context(lane));
    switch (plan.kind) {
      case "nothing":
        return false;
      case "unknown-command":
        this.#delay(
          lane,
          "TM-APPLIER-UNKNOWN-COMMAND",
          `record ${plan.sequence} is of the command "${plan.name}", which the configuration does not have`,
        );
        return false;
      case "park":
        this.#park(lane, plan.parks);
        return true;
      case "apply":
        return this.#apply(lane, session, plan, this.#mayJudge(lane));
    }
  }

  async #apply(
    lane: PartitionLane,
    session: DatabaseSession,
    plan: Extract<Plan, { kind: "apply" }>,
    judgeable: boolean,
  ): Promise<boolean> {
    const { clock, reader } = this.world;
    const startedMs = clock.monotonicMs();
    const hangs = clock.setTimer(COMMIT_WAITS_AFTER_MS, () => this.#sayHanging(lane), { keepAlive: false });
    const move: PositionMove = {
      generation: lane.generation,
      partition: lane.partition,
      from: lane.hasRow ? lane.position : undefined,
      to: plan.to,
    };
    const outcome = await session.apply({ journal: reader.id, epoch: this.epoch, moves: [move], steps: plan.steps });
    hangs.clear();
    if (outcome.kind === "committed") {
      this.#committed(lane, plan, outcome, clock.monotonicMs() - startedMs);
      return false;
    }
    if (outcome.kind === "lost") {
      this.#finish({ kind: "trouble", trouble: outcome.trouble });
      return false;
    }
    return this.#failed(lane, plan, outcome, judgeable);
  }

  #committed(
    lane: PartitionLane,
    plan: Extract<Plan, { kind: "apply" }>,
    outcome: Extract<ApplyOutcome, { kind: "committed" }>,
    tookMs: number,
  ): void {
    for (const step of plan.steps) {
      if (step.kind === "settle") this.letters.settle(step.sequence);
      if (step.kind === "bury" && step.state !== "discarded") this.letters.add(step.letter);
    }
    for (const [sequence, rows] of outcome.rows) lane.answers.push({ sequence: String(sequence), rows });
    if (outcome.duplicates.length > 0)
      this.world.logger.info(
        { partition: lane.partition, sequences: outcome.duplicates.map(String) },
        "writes whose key was applied before took no effect",
      );
    const bytes = lane.committed(plan.to, plan.records, { writes: plan.records, tookMs });
    this.#inHand -= plan.records;
    this.#bytesInHand -= bytes;
    this.announce(lane, outcome.facts);
    this.announceState();
    this.#wakeup.ring();
    this.#feedWakeup.ring();
  }

  #failed(
    lane: PartitionLane,
    plan: Extract<Plan, { kind: "apply" }>,
    outcome: Extract<ApplyOutcome, { kind: "failed" }>,
    judgeable: boolean,
  ): boolean {
    const { trouble, step } = outcome;
    switch (trouble.reaction) {
      case "reconnect":
        this.#finish({ kind: "trouble", trouble });
        return false;
      case "stop":
        this.#finish({
          kind: "final",
          error: new TidemarkError(trouble.code, `applying partition ${lane.partition}: ${trouble.message}`, {
            details: { sqlstate: trouble.sqlstate },
          }),
        });
        return false;
      case "retry":
      case "wait":
        this.#delay(
          lane,
          trouble.code,
          `partition ${lane.partition}: ${trouble.message}${trouble.sqlstate === undefined ? "" : ` (SQLSTATE ${trouble.sqlstate})`}`,
        );
        return false;
      case "duplicates":
      case "earlier":
        throw new Error(`the session must not answer with the reaction ${trouble.reaction}`);
      case "dead-letter":
        return this.#blame(lane, plan, { trouble, step: step === undefined ? undefined : plan.steps[step], judgeable });
    }
  }

  /** Finds the write at fault, holds it, and judges it when R13 allows. */
  #blame(
    lane: PartitionLane,
    plan: Extract<Plan, { kind: "apply" }>,
    fault: { trouble: Trouble; step: Step | undefined; judgeable: boolean },
  ): boolean {
    const writes = plan.steps.filter((step) => step.kind === "write");
    const culprit = fault.step ?? (writes.length === 1 ? writes[0] : undefined);
    if (culprit === undefined && writes.length > 1) {
      lane.halve(writes.length, plan.to);
      return false;
    }
    if (culprit?.kind !== "write") {
      this.#delay(
        lane,
        "TM-APPLIER-DATABASE-FAULT",
        `partition ${lane.partition}: a dead letter could not be kept: ${fault.trouble.message}`,
      );
      return false;
    }
    lane.suspectWrite(culprit.sequence);
    const alone = plan.records === 1;
    if (!alone) return false;
    lane.held = fault.trouble;
    if (!fault.judgeable) return false;
    this.#judge(lane, fault.trouble);
    return true;
  }

  /** Asks for the verdict; the lane stays busy until it is durable. */
  #judge(lane: PartitionLane, trouble: Trouble): void {
    const item = lane.head;
    assert(item?.kind === "write", "a suspect is a write at the head of its lane");
    const { sequence } = item.record;
    const fault = {
      reason: trouble.message,
      ...(trouble.sqlstate === undefined ? {} : { sqlstate: trouble.sqlstate }),
      ...(trouble.constraint === undefined ? {} : { constraint: trouble.constraint }),
    };
    const payload = { v: 1 as const, sequence: String(sequence), verdict: "rejected" as const, ...fault, by: "applier" };
    if (sequence <= this.world.announcer.highest(lane.partition)) {
      this.world.announcer.incident(
        String(sequence),
        "TM-APPLIER-OUTCOME-CHANGED",
        `write ${sequence} had taken effect and is refused now: ${trouble.message}`,
      );
    }
    const bury = buryStep(item, payload, this.#context(lane), "rejected");
    const settle: Step[] =
      item.write.replayOf === undefined
        ? []
        : [{ kind: "settle", sequence: BigInt(item.write.replayOf) as Sequence, as: "replayed", replayedAs: sequence }];
    void this.world.desk.request(lane.partition as never, payload).then(() => {
      lane.decided = { to: sequence, records: 1, steps: [bury, ...settle] };
      this.release(lane);
    });
  }

  #park(lane: PartitionLane, parks: Extract<Plan, { kind: "park" }>["parks"]): void {
    const now = parks.slice(0, MOST_DECIDED);
    const requests = now.map((bury) => {
      const { letter, reason, by } = bury;
      return this.world.desk.request(letter.partition, { v: 1, sequence: String(letter.sequence), verdict: "parked", reason, by });
    });
    void Promise.all(requests).then(() => {
      const last = now.at(-1);
      assert(last !== undefined, "a parking has writes");
      const settles: Step[] = now.flatMap((bury) =>
        bury.write.replayOf === undefined
          ? []
          : [
              {
                kind: "settle" as const,
                sequence: BigInt(bury.write.replayOf) as Sequence,
                as: "replayed" as const,
                replayedAs: bury.letter.sequence,
              },
            ],
      );
      lane.decided = { to: last.letter.sequence, records: now.length, steps: [...now, ...settles] };
      this.release(lane);
    });
  }

  #delay(lane: PartitionLane, code: ErrorCode, message: string): void {
    const { clock, announcer, logger } = this.world;
    const delayMs = lane.delay(clock.monotonicMs());
    logger.warn({ partition: lane.partition, code, delayMs }, message);
    if (delayMs > 100) announcer.state({ state: "waiting", code, message, sinceMs: clock.wallMs() });
    void sleep(clock, delayMs, this.#over.signal).then(
      () => this.#wakeup.ring(),
      () => undefined,
    );
  }

  // --- announcing --------------------------------------------------------------------------------------------------

  /** R14: a commit with proof covers the lane; one without waits for the barrier. */
  announce(lane: PartitionLane, facts: CommitFacts): void {
    const route = this.world.route();
    if (route?.epoch !== this.routeEpoch || facts.proof === "cancelled") {
      lane.unannounced = true;
      // Behind a newer route this run is about to end; the next one will say where the partition stands.
      if (route?.epoch === this.routeEpoch) this.#barrier.ask();
      return;
    }
    const provisional = facts.proof === "asynchronous" || route.guarantee === "asynchronous";
    this.world.announcer.applied(lane, {
      facts,
      epoch: this.epoch,
      timeline: this.timeline,
      committedAtMs: this.world.clock.wallMs(),
      provisional,
    });
  }

  announceState(): void {
    const { announcer } = this.world;
    if (this.#end !== undefined) return;
    if (this.#paused) return announcer.state({ state: "paused" });
    let healingUpTo = 0n;
    for (const partition of announcer.partitions()) {
      const highest = announcer.highest(partition);
      const position = this.lanes.get(partition)?.position ?? this.base;
      if (position < highest && highest > healingUpTo) healingUpTo = highest;
    }
    if (healingUpTo > 0n) return announcer.state({ state: "healing", from: String(this.#healingFrom), upTo: String(healingUpTo) });
    for (const lane of this.lanes.values()) if (lane.notBeforeMs > this.world.clock.monotonicMs()) return;
    announcer.state({ state: "applying" });
  }

  #sayHanging(lane: PartitionLane): void {
    if (this.#end !== undefined) return;
    const message = `the transaction of partition ${lane.partition} has had no answer for ${COMMIT_WAITS_AFTER_MS} ms: no copy confirms it, or it waits for a lock`;
    this.world.announcer.state({ state: "waiting", code: "TM-APPLIER-COMMIT-WAITS", message, sinceMs: this.world.clock.wallMs() });
  }
}
