// How a simulated primary keeps its synchronous set: the product's policy, and its way of telling PostgreSQL (R1).
import type { ClusterRecord, SynchronousSet } from "../../../tidemark/src/cluster/cluster-record.ts";
import { CLOSED_SET, kindOf } from "../../../tidemark/src/cluster/quorum.ts";
import { nextStep } from "../../../tidemark/src/cluster/synchronous-policy.ts";
import type { Process } from "./scheduler.ts";
import type { SimulatedPostgres } from "./simulated-postgres.ts";
import type { Entry } from "./simulated-store.ts";
import type { World } from "./world.ts";

export class SimulatedSetKeeper {
  readonly #world: World;
  readonly #postgres: SimulatedPostgres;
  readonly #record: (known: Entry, record: ClusterRecord) => Process;
  readonly #streamedMs = new Map<string, number>();

  constructor(world: World, postgres: SimulatedPostgres, record: (known: Entry, record: ClusterRecord) => Process) {
    this.#world = world;
    this.#postgres = postgres;
    this.#record = record;
  }

  /** One step towards the wanted set. */
  *keep(known: Entry, record: ClusterRecord): Process {
    const postgres = this.#postgres;
    if (record.claim !== undefined) return;
    const nowMs = this.#world.scheduler.nowMs;
    const own = postgres.position;
    for (const [identity, sender] of postgres.walsenders) if (own - sender.flushed < 64) this.#streamedMs.set(identity, nowMs);
    const recorded = record.sets.flatMap((set) => set.members);
    const identities = new Set([...postgres.walsenders.keys(), ...recorded.map((member) => member.identity)]);
    const step = nextStep({
      sets: record.sets,
      required: this.#world.options.required,
      policy: this.#world.options.policy,
      members: [...identities].map((identity) => {
        const lastMs = this.#streamedMs.get(identity) ?? -Infinity;
        const node = this.#world.nodeOf(identity);
        return { identity, node, domain: node, streaming: lastMs === nowMs, goneForMs: nowMs - lastMs };
      }),
      primaryDomain: postgres.name,
      exposureMs: 0,
      goneAfterMs: 300,
    });
    if (step.kind === "keep") return;
    if (this.#world.mutation === "R1-record-new-alone") {
      const to = step.kind === "begin" ? (step.sets.at(-1) ?? CLOSED_SET) : step.to;
      yield* this.#record(known, { ...record, sets: [to] });
      postgres.configure(to);
      return;
    }
    if (step.kind === "begin") {
      yield* this.#record(known, { ...record, sets: step.sets });
      return;
    }
    const from = record.sets.filter((set) => set !== step.to);
    if (yield* this.#settle(from, step.to)) yield* this.#record(known, { ...record, sets: [step.to] });
  }

  /** As set-change.ts: tell, prove, wait. Answers whether it came about in time. */
  *#settle(from: readonly SynchronousSet[], to: SynchronousSet): Process<boolean> {
    const postgres = this.#postgres;
    const { run } = postgres;
    const endMs = this.#world.scheduler.nowMs + 1_000;
    const inTime = (): boolean => this.#world.scheduler.nowMs < endMs && postgres.up && postgres.run === run;
    if (kindOf(to) === "asynchronous") {
      postgres.configure(to);
      return inTime();
    }
    if (this.#world.mutation === "R1-reload-is-told") {
      postgres.configure(to);
      yield 1;
      return inTime();
    }
    if (from.some((set) => kindOf(set) === "asynchronous")) {
      postgres.configure(CLOSED_SET);
      // The probe commit: seen to wait.
      while (!postgres.mustWait) {
        if (!inTime()) return false;
        yield 2;
      }
    }
    let barrier: number | undefined;
    postgres.configure(to);
    if (kindOf(to) === "closed") return inTime();
    let oldOnesLive = (): boolean => false;
    if (from.some((set) => kindOf(set) === "counted" && set.required !== to.required)) {
      yield 1;
      oldOnesLive = postgres.endWalsenders();
    }
    const names = new Set(to.members.map((member) => member.identity));
    for (;;) {
      if (!inTime()) return false;
      // Only when all are told: until then an old member releases commits that the new ones need not have.
      const told = postgres.walsendersTold(to) && !oldOnesLive();
      if (told) barrier ??= postgres.position;
      const reached = barrier;
      const covered = [...postgres.walsenders].filter(
        ([identity, sender]) =>
          names.has(identity) &&
          reached !== undefined &&
          sender.flushed >= reached &&
          sender.set.members.some((member) => member.identity === identity),
      );
      if (told && covered.length >= to.required) return true;
      yield 2;
    }
  }
}
