// What a figure of exposure does not cover, in sentences (HONEST-NUMBER). They stay the same while the facts do: no ages.
import type { Scenario } from "../objectives/failure-domain.ts";
import type { CopyFacts, CopyKind, StoreFacts } from "../probes/probe-result.ts";
import { figureAt } from "./figure-age.ts";

/** Copies that repeat what the primary does, right or wrong. */
const REPEATS: ReadonlySet<CopyKind> = new Set(["standby", "primary"]);

/** Copies that are fed as the store is written, and for which an acknowledgement may wait. */
const FED: ReadonlySet<CopyKind> = new Set(["standby", "vault", "journal"]);

/** Of the scenario, whatever is used. */
export function scenarioSentences(store: StoreFacts, about: { scenario: Scenario; nowMs: number }): string[] {
  const sentences: string[] = [];
  if (about.scenario === "bad-write") {
    const repeat = store.copies.filter(({ kind, pointInTime }) => kind !== "primary" && REPEATS.has(kind) && pointInTime === undefined);
    if (repeat.length > 0) sentences.push(`${names(store, repeat)} would repeat a bad write at once and cannot go back: not counted.`);
    sentences.push("Counted as if a bad write were noticed at once; what is written until it is noticed comes on top.");
  }
  if (about.scenario === "account-loss") {
    const open = store.copies.filter(
      ({ kind, lockedUntilMs }) => kind !== "primary" && !(lockedUntilMs !== undefined && lockedUntilMs > about.nowMs),
    );
    if (open.length > 0) sentences.push(`${names(store, open)} can be deleted now: not counted.`);
  }
  if (store.releasedWithoutCopiesAtMs !== undefined)
    sentences.push(
      `Commits of ${store.store} were acknowledged without the copies that they waited for at ${iso(store.releasedWithoutCopiesAtMs)}.`,
    );
  return sentences;
}

/** Of the copy that would be used. */
export function usedSentences(
  store: StoreFacts,
  used: { readonly copy: CopyFacts; readonly scenario: Scenario; readonly nowMs: number; readonly proven: boolean },
): string[] {
  const { copy, scenario, nowMs } = used;
  const name = `${store.store}/${copy.name}`;
  const sentences: string[] = [];
  if (FED.has(copy.kind)) {
    const synchronous = figureAt(copy.synchronous, nowMs, copy.freshForMs);
    if (!synchronous.known) sentences.push(`Whether an acknowledgement waits for ${name} is not known: ${synchronous.why}.`);
    else if (!synchronous.value)
      sentences.push(`No acknowledgement waits for ${name}: it promises nothing, and when it stalls the loss grows until it runs again.`);
  }
  if (scenario === "bad-write" && copy.kind === "journal")
    sentences.push(
      `A bad write that went through the gateway stands in ${name} too: whoever recovers has to say that it is not applied again.`,
    );
  if (!used.proven) sentences.push(`${name} was never restored, as far as is known: that it can be is not proven.`);
  if (scenario === "bad-write" && copy.pointInTime !== undefined && Number.isFinite(copy.pointInTime.fromMs))
    sentences.push(`A bad write before ${iso(copy.pointInTime.fromMs)} cannot be undone with ${name} any more.`);
  if (scenario === "account-loss" && copy.lockedUntilMs !== undefined && Number.isFinite(copy.lockedUntilMs))
    sentences.push(`${name} can be deleted from ${iso(copy.lockedUntilMs)} on.`);
  return [...sentences, ...copy.remarks.map((remark) => (/^\p{Ll}/u.test(remark) ? `${name}: ${remark}.` : remark))];
}

function names(store: StoreFacts, copies: readonly CopyFacts[]): string {
  return copies.map(({ name }) => `${store.store}/${name}`).join(", ");
}

/** The latest time that a Date can be, milliseconds. */
const LAST_TIME_MS = 8.64e15;

function iso(ms: number): string {
  return Math.abs(ms) <= LAST_TIME_MS ? new Date(ms).toISOString() : "a time that is none";
}
