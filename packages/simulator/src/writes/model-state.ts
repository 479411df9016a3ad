// What a model database holds, and what the model's commands do to it. Immutable transactions are replayed on copies, as WAL.
import { KEY_TAKEN, OTHER_EPOCH, POSITION_CONFLICT } from "../../../tidemark/src/applier/schema.ts";
import type { ApplyUnit, BuryStep, PendingLetter, Step, WriteStep } from "../../../tidemark/src/applier/database.ts";
import { troubleOf, type Trouble } from "../../../tidemark/src/applier/trouble-table.ts";
import type { Mutation } from "./mutation.ts";

/** One write's effect as it stands in the model's table. */
export interface Effect {
  readonly journal: string;
  readonly sequence: bigint;
  readonly key: string;
  readonly idempotencyKey: string;
}

export class ModelState {
  readonly positions = new Map<string, bigint>();
  readonly keys = new Map<string, { readonly hash: string; readonly journal: string; readonly sequence: bigint }>();
  readonly letters = new Map<string, { letter: PendingLetter; state: string }>();
  readonly customers = new Set<string>();
  /** All effects in the order of their commits. */
  readonly effects: Effect[] = [];
  epoch = 0;

  copy(): ModelState {
    const copy = new ModelState();
    for (const [key, value] of this.positions) copy.positions.set(key, value);
    for (const [key, value] of this.keys) copy.keys.set(key, value);
    for (const [key, value] of this.letters) copy.letters.set(key, { ...value });
    for (const name of this.customers) copy.customers.add(name);
    copy.effects.push(...this.effects);
    copy.epoch = this.epoch;
    return copy;
  }
}

/** Where the position alone stands against doubling: the keys would hide what the other rule is for. */
const WITHOUT_KEYS: ReadonlySet<Mutation> = new Set(["keys-forgotten", "unconditional-move", "position-apart", "position-first-apart"]);

export type Effects =
  | { readonly ok: true; readonly duplicates: bigint[] }
  | { readonly ok: false; readonly trouble: Trouble; readonly step: number | undefined };

const fault = (sqlstate: string, message: string, step?: number): Effects => ({
  ok: false,
  trouble: troubleOf({ sqlstate, message }),
  step,
});

export function positionKey(journal: string, generation: number, partition: number, mutation: Mutation): string {
  return mutation === "journal-unnamed" ? `${generation}/${partition}` : `${journal}/${generation}/${partition}`;
}

/** Changes `state` by a unit, or says why not; then `state` is spoilt and must be thrown away. */
export function execute(state: ModelState, unit: ApplyUnit, mutation: Mutation): Effects {
  if (state.epoch !== unit.epoch) return fault(OTHER_EPOCH, "another epoch");
  const moved = movePositions(state, unit, mutation);
  if (moved !== undefined) return moved;
  return runSteps(state, unit, mutation);
}

export function movePositions(state: ModelState, unit: ApplyUnit, mutation: Mutation): Effects | undefined {
  for (const move of unit.moves) {
    const key = positionKey(unit.journal, move.generation, move.partition, mutation);
    if (mutation !== "unconditional-move" && state.positions.get(key) !== move.from)
      return fault(POSITION_CONFLICT, "the position is elsewhere");
    state.positions.set(key, move.to);
  }
  return undefined;
}

export function runSteps(state: ModelState, unit: ApplyUnit, mutation: Mutation): Effects {
  const duplicates: bigint[] = [];
  for (const [index, step] of unit.steps.entries()) {
    if (step.kind === "bury") bury(state, unit.journal, step);
    else if (step.kind === "settle") settle(state, unit.journal, step);
    else {
      const taken = state.keys.get(step.write.idempotencyKey);
      if (taken !== undefined && !WITHOUT_KEYS.has(mutation)) {
        if (taken.hash !== step.write.contentHash)
          return {
            ok: false,
            step: index,
            trouble: { reaction: "dead-letter", code: "TM-APPLIER-KEY-CONFLICT", sqlstate: KEY_TAKEN, message: "other content" },
          };
        duplicates.push(step.sequence);
        continue;
      }
      state.keys.set(step.write.idempotencyKey, { hash: step.write.contentHash, journal: unit.journal, sequence: step.sequence });
      const refused = runWrite(state, unit.journal, step, index);
      if (refused !== undefined) return refused;
    }
  }
  return { ok: true, duplicates };
}

function bury(state: ModelState, journal: string, step: BuryStep): void {
  const name = `${journal}/${step.letter.sequence}`;
  if (!state.letters.has(name)) state.letters.set(name, { letter: step.letter, state: step.state });
}

function settle(state: ModelState, journal: string, step: Extract<Step, { kind: "settle" }>): void {
  const letter = state.letters.get(`${journal}/${step.sequence}`);
  if (letter !== undefined && (letter.state === "rejected" || letter.state === "parked")) letter.state = step.as;
}

function runWrite(state: ModelState, journal: string, step: WriteStep, index: number): Effects | undefined {
  const name = step.write.args["name"] as string;
  if (step.command.name === "customer") {
    if (state.customers.has(name)) return fault("23505", `customer ${name} is there`, index);
    state.customers.add(name);
  } else if (step.command.name !== "add" && !state.customers.has(name)) return fault("23503", `no customer ${name}`, index);
  state.effects.push({ journal, sequence: step.sequence, key: step.key, idempotencyKey: step.write.idempotencyKey });
  return undefined;
}
