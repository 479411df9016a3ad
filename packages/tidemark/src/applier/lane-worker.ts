import type { Partition, Sequence } from "@tidemark/kernel/brands";
import { sleep } from "@tidemark/kernel/clock";
import { assert, TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import type { VerdictPayload } from "../gateway/write-payload.ts";
import type { RunControl } from "./apply-world.ts";
import { buryStep, planBatch, type Plan, type PlanContext } from "./batch-planner.ts";
import { watched } from "./commit-watch.ts";
import type { ApplyOutcome, BuryStep, DatabaseSession, SettleStep, Step } from "./database.ts";
import type { PartitionLane } from "./partition-lane.ts";
import type { Trouble } from "./trouble-table.ts";
import type { Wakeup } from "./wakeup.ts";

/** Delays up to this are not shown, ms. */
const SHOWN_DELAY_MS = 100;
/** Verdicts asked for at one time by one lane. */
const MOST_DECIDED = 500;

type ApplyPlan = Extract<Plan, { kind: "apply" }>;
type Failure = Extract<ApplyOutcome, { kind: "failed" }>;

/** Applies on one connection: takes a lane, makes one transaction of it, gives it back. */
export class LaneWorker {
  readonly #run: RunControl;
  readonly #session: DatabaseSession;
  readonly #wakeup: Wakeup;
  readonly #isPaused: () => boolean;

  constructor(run: RunControl, session: DatabaseSession, turn: { wakeup: Wakeup; isPaused: () => boolean }) {
    this.#run = run;
    this.#session = session;
    this.#wakeup = turn.wakeup;
    this.#isPaused = turn.isPaused;
  }

  async work(): Promise<void> {
    const { board, world } = this.#run;
    while (!this.#run.isOver) {
      const turn = this.#isPaused() ? {} : board.next(world.clock.monotonicMs(), (candidate) => this.#mayJudge(candidate));
      const { lane, againMs } = turn;
      if (lane === undefined) {
        if (againMs !== undefined) this.#run.wakeAt(againMs);
        await this.#wakeup.wait();
        continue;
      }
      lane.busy = true;
      const keeps = await this.#advance(lane);
      if (!keeps) this.#release(lane);
    }
  }

  #release(lane: PartitionLane): void {
    lane.busy = false;
    this.#run.wake();
  }

  /** R13: have all other partitions passed the suspect? */
  #mayJudge(lane: PartitionLane): boolean {
    const { board, world } = this.#run;
    return lane.suspect !== undefined && world.rules.mayJudge(lane.suspect, board.others(lane), board.placedUpTo);
  }

  #context(lane: PartitionLane): PlanContext {
    const { world, board } = this.#run;
    return {
      command: (name) => {
        const command = world.commands.get(name);
        return command === undefined || command.store === world.store ? command : "elsewhere";
      },
      verdict: (sequence) => (world.rules.obeysVerdicts() ? world.verdicts.of(sequence) : undefined),
      letters: board.letters,
      limits: lane.limits(),
    };
  }

  /** One transaction of the lane, or one request. Answers whether the lane stays busy. */
  async #advance(lane: PartitionLane): Promise<boolean> {
    if (lane.decided !== undefined) return this.#apply(lane, { kind: "apply", ...lane.decided }, false);
    const plan = planBatch(lane.records(), this.#context(lane));
    switch (plan.kind) {
      case "nothing":
        return false;
      case "unknown-command": {
        const message = `record ${plan.sequence} is of the command "${plan.name}", which the configuration does not have`;
        this.#delay(lane, "TM-APPLIER-UNKNOWN-COMMAND", message);
        return false;
      }
      case "park":
        this.#park(lane, plan.parks.slice(0, MOST_DECIDED));
        return true;
      case "apply":
        return this.#apply(lane, plan, this.#mayJudge(lane));
    }
  }

  async #apply(lane: PartitionLane, plan: ApplyPlan, judgeable: boolean): Promise<boolean> {
    const { world, reign } = this.#run;
    const startedMs = world.clock.monotonicMs();
    const unit = { journal: world.reader.id, epoch: reign.epoch, moves: [lane.move(plan.to)], steps: plan.steps };
    const outcome = await watched(world, `the transaction of partition ${lane.partition}`, this.#session.apply(unit));
    switch (outcome.kind) {
      case "committed":
        this.#committed(lane, plan, { ...outcome, tookMs: world.clock.monotonicMs() - startedMs });
        return false;
      case "lost":
        this.#run.finish({ kind: "trouble", trouble: outcome.trouble });
        return false;
      case "failed":
        return this.#failed(lane, plan, { outcome, judgeable });
    }
  }

  #committed(lane: PartitionLane, plan: ApplyPlan, done: Extract<ApplyOutcome, { kind: "committed" }> & { tookMs: number }): void {
    const { board, world } = this.#run;
    for (const step of plan.steps) {
      if (step.kind === "settle") board.letters.settle(step.sequence);
      if (step.kind === "bury" && step.state !== "discarded") board.letters.add(step.letter);
    }
    for (const [sequence, rows] of done.rows) lane.answers.push({ sequence: String(sequence), rows });
    if (done.duplicates.length > 0) {
      const facts = { partition: lane.partition, sequences: done.duplicates.map(String) };
      world.logger.info(facts, "writes whose key was applied before took no effect");
    }
    board.committed(lane, { to: plan.to, records: plan.records, tookMs: done.tookMs });
    this.#run.announce(lane, done.facts);
    this.#run.announceState();
  }

  #failed(lane: PartitionLane, plan: ApplyPlan, failure: { outcome: Failure; judgeable: boolean }): boolean {
    const { trouble, step } = failure.outcome;
    switch (trouble.reaction) {
      case "reconnect":
        this.#run.finish({ kind: "trouble", trouble });
        return false;
      case "stop": {
        const message = `applying partition ${lane.partition}: ${trouble.message}`;
        const error = new TidemarkError(trouble.code, message, { details: { sqlstate: trouble.sqlstate } });
        this.#run.finish({ kind: "final", error });
        return false;
      }
      case "retry":
      case "wait": {
        const state = trouble.sqlstate === undefined ? "" : ` (SQLSTATE ${trouble.sqlstate})`;
        this.#delay(lane, trouble.code, `partition ${lane.partition}: ${trouble.message}${state}`);
        return false;
      }
      case "duplicates":
      case "earlier":
        throw new Error(`a session must not answer with the reaction ${trouble.reaction}`);
      case "dead-letter":
        return this.#blame(lane, plan, {
          trouble,
          step: step === undefined ? undefined : plan.steps[step],
          judgeable: failure.judgeable,
        });
    }
  }

  /** Finds the write at fault, holds it, and judges it when R13 allows. */
  #blame(lane: PartitionLane, plan: ApplyPlan, fault: { trouble: Trouble; step: Step | undefined; judgeable: boolean }): boolean {
    const writes = plan.steps.filter((step) => step.kind === "write");
    const culprit = fault.step ?? (writes.length === 1 ? writes[0] : undefined);
    if (culprit === undefined && writes.length > 1) {
      lane.halve(plan.records, plan.to);
      return false;
    }
    if (culprit?.kind !== "write") {
      const message = `partition ${lane.partition}: a dead letter could not be kept: ${fault.trouble.message}`;
      this.#delay(lane, "TM-APPLIER-DATABASE-FAULT", message);
      return false;
    }
    lane.suspectWrite(culprit.sequence);
    if (plan.records > 1) return false;
    lane.held = fault.trouble;
    if (!fault.judgeable) return false;
    this.#judge(lane, fault.trouble);
    return true;
  }

  /** Asks for the verdict; the lane stays busy until it is durable. */
  #judge(lane: PartitionLane, trouble: Trouble): void {
    const { world } = this.#run;
    const item = lane.head;
    assert(item?.kind === "write", "a suspect is a write at the head of its lane");
    const { sequence } = item.record;
    const payload: VerdictPayload = {
      v: 1,
      sequence: String(sequence),
      verdict: "rejected",
      ...(trouble.sqlstate === undefined ? {} : { sqlstate: trouble.sqlstate }),
      ...(trouble.constraint === undefined ? {} : { constraint: trouble.constraint }),
      reason: trouble.message,
      by: "applier",
    };
    if (sequence <= world.announcer.highest(lane.partition)) {
      const message = `write ${sequence} had taken effect and is refused now: ${trouble.message}`;
      world.announcer.incident(String(sequence), "TM-APPLIER-OUTCOME-CHANGED", message);
    }
    const bury = buryStep(item, payload, this.#context(lane), "rejected");
    void world.desk.request(lane.partition as Partition, payload).then(() => {
      lane.decided = { to: sequence, records: 1, steps: [bury, ...settlementsOf([bury])] };
      this.#release(lane);
    });
  }

  #park(lane: PartitionLane, parks: readonly BuryStep[]): void {
    const last = parks.at(-1);
    assert(last !== undefined, "a parking has writes");
    const requests = parks.map(({ letter, reason, by }) =>
      this.#run.world.desk.request(letter.partition, {
        v: 1,
        sequence: String(letter.sequence),
        verdict: "parked",
        reason,
        by,
      }),
    );
    void Promise.all(requests).then(() => {
      lane.decided = {
        to: last.letter.sequence,
        records: parks.length,
        steps: [...parks, ...settlementsOf(parks)],
      };
      this.#release(lane);
    });
  }

  #delay(lane: PartitionLane, code: ErrorCode, message: string): void {
    const { world, over } = this.#run;
    const delayMs = lane.delay(world.clock.monotonicMs());
    world.logger.warn({ partition: lane.partition, code, delayMs }, message);
    if (delayMs > SHOWN_DELAY_MS) {
      world.announcer.state({ state: "waiting", code, message, sinceMs: world.clock.wallMs() });
    }
    void sleep(world.clock, delayMs, over).then(
      () => {
        // Not left to the comparison of clocks: a timer may fire a fraction early, and nothing would wake the lane again.
        lane.notBeforeMs = 0;
        this.#run.wake();
      },
      () => undefined, // the run is over
    );
  }
}

/** A record that replays another settles it, also where it is buried itself. */
function settlementsOf(buried: readonly BuryStep[]): SettleStep[] {
  return buried.flatMap(({ write, letter }) =>
    write.replayOf === undefined
      ? []
      : [
          {
            kind: "settle",
            sequence: BigInt(write.replayOf) as Sequence,
            as: "replayed",
            replayedAs: letter.sequence,
          },
        ],
  );
}
