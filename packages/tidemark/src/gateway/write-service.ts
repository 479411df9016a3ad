import type { Clock } from "@tidemark/kernel/clock";
import { hasCode } from "@tidemark/kernel/errors";
import type { Sequence } from "@tidemark/kernel/brands";
import type { Config } from "../config/config.ts";
import type { AppendedRecord, Journal, JournalRecord } from "../journal/journal.ts";
import { partitionOfKey } from "../journal/partition-of-key.ts";
import type { Acceptance, AcceptedWrite, AppendGroup, Decision } from "./acceptance.ts";
import type { CompiledCommand } from "./command-catalogue.ts";
import type { Outcome, Outcomes, WritePlace } from "./outcomes.ts";
import type { PartitionHeads } from "./partition-heads.ts";
import { problem, problemOf, type Problem } from "./problem.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { ReceiptFacts, ReceiptWriter } from "./receipt.ts";
import type { VerdictIndex } from "./verdict-index.ts";
import type { WriteLives } from "./write-lives.ts";
import type { VerdictPayload } from "./write-payload.ts";
import { readVerdictPayload, readWritePayload } from "./write-record.ts";
import type { ReadWrite } from "./write-text.ts";

/** A store that acknowledges once applied waits so long, where the request does not say. */
const DEFAULT_APPLIED_WAIT_MS = 30_000;

/** The answer to one write: an HTTP status and its JSON. */
export interface WriteResult {
  readonly status: number;
  readonly json: string;
  /** For the Retry-After header, where it applies. */
  readonly retryAfterSeconds?: number;
}

/** What the HTTP side knows of a request. */
export interface WriteRequestFacts {
  readonly scope: string;
  readonly headerKey: string | undefined;
  /** `Prefer: wait=N` in milliseconds. */
  readonly waitMs: number | undefined;
}

interface WriteServiceParts {
  readonly config: Config;
  readonly commands: ReadonlyMap<string, CompiledCommand>;
  readonly acceptance: Acceptance;
  readonly journal: Journal;
  readonly outcomes: Outcomes;
  readonly verdicts: VerdictIndex;
  readonly heads: PartitionHeads;
  readonly receipts: ReceiptWriter;
  readonly rates: RateLimits;
  readonly lives: Pick<WriteLives, "journalled">;
  readonly clock: Clock;
}

/** Counts of what was answered, since the start. */
export interface WriteCounts {
  acknowledged: number;
  duplicates: number;
  refused: number;
  unknown: number;
}

/**
 * The shell of acceptance: limits, the journal, waiting, answers. Acknowledges nothing before the journal says that it is
 * durable (ACK-DURABLE), and pushes back before acceptance, never after.
 */
export class WriteService {
  readonly #parts: WriteServiceParts;
  readonly counts: WriteCounts = { acknowledged: 0, duplicates: 0, refused: 0, unknown: 0 };
  #pending = 0;
  #requests = 0;
  #draining = false;
  #drained: (() => void) | undefined;

  constructor(parts: WriteServiceParts) {
    this.#parts = parts;
  }

  /** Writes that are appended and not yet durable. */
  get pending(): number {
    return this.#pending;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Takes no new writes from now on; resolves when every request in hand has its result. */
  drain(): Promise<void> {
    this.#draining = true;
    if (this.#requests === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  /** Accepts the writes of one request: either a problem of the whole request, with nothing accepted, or one result each, in order. */
  async accept(writes: readonly ReadWrite[], facts: WriteRequestFacts): Promise<WriteResult[] | Problem> {
    const refused = this.#refusal(writes.length, facts.scope);
    if (refused !== undefined) {
      this.counts.refused += writes.length;
      return refused;
    }
    this.#requests++;
    try {
      return await this.#accept(writes, facts);
    } finally {
      this.#requests--;
      if (this.#requests === 0) this.#drained?.();
    }
  }

  /** Backpressure, before anything is accepted. */
  #refusal(count: number, scope: string): Problem | undefined {
    const { pendingWrites } = this.#parts.config.gateway.limits;
    if (this.#draining) return problem("TM-GATEWAY-DRAINING", "the gateway is stopping", { retryAfterSeconds: 1 });
    if (this.#parts.verdicts.full)
      return problem("TM-GATEWAY-DEAD-LETTERS-FULL", `${this.#parts.verdicts.openCount} dead letters are open`, { retryAfterSeconds: 60 });
    if (this.#pending > 0 && this.#pending + count > pendingWrites) {
      return problem("TM-GATEWAY-BUSY", `${this.#pending} writes are not yet durable; at most ${pendingWrites} may be`, {
        retryAfterSeconds: 1,
      });
    }
    const waitSeconds = this.#parts.rates.take(scope, count);
    if (waitSeconds > 0)
      return problem("TM-GATEWAY-RATE", `the token "${scope}" is beyond its writes a second`, { retryAfterSeconds: waitSeconds });
    return undefined;
  }

  async #accept(writes: readonly ReadWrite[], facts: WriteRequestFacts): Promise<WriteResult[]> {
    const { acceptance, clock } = this.#parts;
    const startedMs = clock.monotonicMs();
    const { decisions, group } = acceptance.decide(writes, {
      scope: facts.scope,
      nowMs: Math.floor(clock.wallMs()),
      headerKey: facts.headerKey,
      rows: facts.waitMs !== undefined,
    });
    if (group.entries.length > 0) {
      const times = { startedMs, acceptedMs: clock.monotonicMs() };
      await this.#append(group);
      const appended = appendedOf.get(group);
      if (appended !== undefined) this.#parts.lives.journalled(group.writes, appended, times);
    }
    const results: (WriteResult | Promise<WriteResult>)[] = decisions.map((decision, index) =>
      this.#result(decision, { line: writes[index]?.line, waitMs: facts.waitMs }),
    );
    return results.every(isSettled) ? results : Promise.all(results.map(async (result) => result));
  }

  /** Appends the group and tells acceptance what came of it; never rejects, the outcome is in `group.appended`. */
  async #append(group: AppendGroup): Promise<void> {
    this.#pending += group.entries.length;
    group.appended = this.#parts.journal.append(group.entries);
    try {
      const appended = await group.appended;
      this.counts.acknowledged += appended.length;
      appendedOf.set(group, appended);
      for (const record of appended) this.#parts.heads.saw(record);
      this.#parts.acceptance.settle(group, "durable", appended);
    } catch (error) {
      const unknown = !isRefusal(error);
      this.counts[unknown ? "unknown" : "refused"] += group.entries.length;
      this.#parts.acceptance.settle(group, unknown ? "unknown" : "refused");
    } finally {
      this.#pending -= group.entries.length;
    }
  }

  #result(decision: Decision, request: { line: number | undefined; waitMs: number | undefined }): WriteResult | Promise<WriteResult> {
    if (decision.kind === "refused") {
      this.counts.refused++;
      return problemResult(decision.problem);
    }
    if (decision.kind === "remembered") return this.#remembered(decision, request);
    if (decision.duplicate) this.counts.duplicates++;
    const appended = appendedOf.get(decision.write.group)?.[decision.write.index];
    const waits = request.waitMs !== undefined || this.#appliedFirst(decision.write.command.store);
    if (appended !== undefined && !waits)
      return { status: 202, json: this.#parts.receipts.receipt(receiptFacts(decision.write, appended)) };
    return this.#pendingResult(decision.write, request);
  }

  async #pendingResult(write: AcceptedWrite, request: { line: number | undefined; waitMs: number | undefined }): Promise<WriteResult> {
    let appended;
    try {
      appended = (await write.group.appended)[write.index];
    } catch (error) {
      return problemResult(problemOf(error, { line: request.line, ...(isRefusal(error) ? { retryAfterSeconds: 1 } : {}) }));
    }
    if (appended === undefined)
      return problemResult(
        problem("TM-GATEWAY-INTERNAL", "the journal answered for fewer writes than it was given", { line: request.line }),
      );
    return this.#answer(receiptFacts(write, appended), request);
  }

  /** A duplicate gets the receipt of the record that its key stands for (R15); it is read back rather than kept. */
  async #remembered(
    decision: Extract<Decision, { kind: "remembered" }>,
    request: { line: number | undefined; waitMs: number | undefined },
  ): Promise<WriteResult> {
    this.counts.duplicates++;
    try {
      const record = await this.record(decision.sequence);
      if (record === undefined)
        return problemResult(
          problem("TM-GATEWAY-INTERNAL", `the record ${decision.sequence} of the idempotency key is not in the journal`, {
            line: request.line,
          }),
        );
      return await this.#answer(this.factsOf(record), request);
    } catch (error) {
      return hasCode(error, "TM-JOURNAL-TRIMMED") ? this.#forgotten(decision) : problemResult(problemOf(error, { line: request.line }));
    }
  }

  /** The key is remembered longer than its record: what the journal has forgotten is in every demanded copy, or was settled (TRIM-SAFE). */
  #forgotten({ sequence, acceptedAtMs, command, key }: Extract<Decision, { kind: "remembered" }>): WriteResult {
    const partition = partitionOfKey(key, this.#parts.journal.partitions);
    const facts: ReceiptFacts = { sequence, partition, acceptedAtMs, frozenId: undefined, command: command.name, store: command.store };
    return { status: 200, json: `{${this.#parts.receipts.members(facts)},${appliedMembers({ kind: "applied" })},"trimmed":true}` };
  }

  /** The record at `sequence` when it is a durable write, undefined otherwise. Rejects with TM-JOURNAL-TRIMMED when it is forgotten. */
  async record(sequence: bigint): Promise<JournalRecord | undefined> {
    const at = sequence as Sequence;
    const [record] = await this.#parts.journal.read(at, at, { records: 1, bytes: 1 });
    return record?.kind === "write" ? record : undefined;
  }

  factsOf(record: JournalRecord): ReceiptFacts {
    const payload = readWritePayload(record.payload);
    const store = this.#parts.commands.get(payload.command)?.store ?? "";
    return {
      sequence: record.sequence,
      partition: record.partition,
      acceptedAtMs: record.acceptedAtMs,
      frozenId: payload.id,
      command: payload.command,
      store,
    };
  }

  #appliedFirst(store: string): boolean {
    return this.#parts.config.stores[store]?.acknowledge === "applied";
  }

  async #answer(facts: ReceiptFacts, request: { line: number | undefined; waitMs: number | undefined }): Promise<WriteResult> {
    const appliedFirst = this.#appliedFirst(facts.store);
    if (request.waitMs === undefined && !appliedFirst) return { status: 202, json: this.#parts.receipts.receipt(facts) };
    const outcome = await this.#outcome(facts, request.waitMs ?? DEFAULT_APPLIED_WAIT_MS);
    return this.#outcomeResult(outcome, { facts, appliedFirst, line: request.line });
  }

  /** What came out of a write; of one that an operator replayed, what came out of the last replay. */
  async #outcome(facts: ReceiptFacts, waitMs: number): Promise<Outcome> {
    const place: WritePlace = { store: facts.store, partition: facts.partition, sequence: facts.sequence };
    for (let { sequence } = place; ;) {
      const known = this.#parts.verdicts.find(sequence);
      if (known === undefined) return this.#parts.outcomes.wait({ ...place, sequence }, waitMs);
      const verdict = await this.verdict(known.verdictSequence);
      if (verdict.replayedAs === undefined) return { kind: "verdict", verdict };
      sequence = BigInt(verdict.replayedAs);
    }
  }

  /** The verdict that stands at `sequence`. */
  async verdict(sequence: bigint): Promise<VerdictPayload> {
    const at = sequence as Sequence;
    const [record] = await this.#parts.journal.read(at, at, { records: 1, bytes: 1 });
    return readVerdictPayload(record);
  }

  #outcomeResult(outcome: Outcome, write: { facts: ReceiptFacts; appliedFirst: boolean; line: number | undefined }): WriteResult {
    const { receipts } = this.#parts;
    const id = receipts.id(write.facts.sequence);
    if (outcome.kind === "applied") return { status: 200, json: `{${receipts.members(write.facts)},${appliedMembers(outcome)}}` };
    if (outcome.kind === "verdict") return this.#verdictResult(outcome.verdict, { ...write, id });
    if (!write.appliedFirst) return { status: 202, json: receipts.receipt(write.facts) };
    return problemResult(
      problem("TM-GATEWAY-NOT-APPLIED-YET", `the write ${id} is journalled and not applied yet`, {
        line: write.line,
        write: id,
        retryAfterSeconds: 1,
      }),
    );
  }

  #verdictResult(
    verdict: VerdictPayload,
    write: { facts: ReceiptFacts; appliedFirst: boolean; line: number | undefined; id: string },
  ): WriteResult {
    const { receipts } = this.#parts;
    if (verdict.verdict === "rejected") {
      return problemResult(
        problem("TM-GATEWAY-REJECTED", verdict.reason, {
          line: write.line,
          write: write.id,
          status: isConflict(verdict.sqlstate) ? 409 : 422,
        }),
      );
    }
    if (verdict.verdict === "parked" && write.appliedFirst)
      return problemResult(problem("TM-GATEWAY-PARKED", verdict.reason, { line: write.line, write: write.id }));
    if (write.appliedFirst)
      return problemResult(
        problem("TM-GATEWAY-REJECTED", `the write was ${verdict.verdict}: ${verdict.reason}`, {
          line: write.line,
          write: write.id,
          status: 409,
        }),
      );
    return {
      status: 202,
      json: `{${receipts.members(write.facts)},"status":"${verdict.verdict}","verdict":${JSON.stringify(verdictFacts(verdict))}}`,
    };
  }
}

/** The records of groups whose append has come back, so that their receipts need no further promise. */
const appendedOf = new WeakMap<AppendGroup, readonly AppendedRecord[]>();

function isSettled(result: WriteResult | Promise<WriteResult>): result is WriteResult {
  return !(result instanceof Promise);
}

/** Whether nothing was written; everything else may have been, and is *unknown* (R15). */
function isRefusal(error: unknown): boolean {
  return (
    hasCode(error, "TM-JOURNAL-FULL") ||
    hasCode(error, "TM-JOURNAL-BUSY") ||
    hasCode(error, "TM-JOURNAL-TOO-LARGE") ||
    hasCode(error, "TM-JOURNAL-STOPPED")
  );
}

/** Uniqueness and exclusion: the write collides with another, it is not wrong in itself. */
function isConflict(sqlstate: string | undefined): boolean {
  return sqlstate === "23505" || sqlstate === "23P01";
}

function receiptFacts(write: AcceptedWrite, appended: AppendedRecord): ReceiptFacts {
  return {
    sequence: appended.sequence,
    partition: appended.partition,
    acceptedAtMs: write.acceptedAtMs,
    frozenId: write.frozenId,
    command: write.command.name,
    store: write.command.store,
  };
}

/** A problem as the result of one write. */
function problemResult(one: Problem): WriteResult {
  return {
    status: one.status,
    json: JSON.stringify(one),
    ...(one.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: one.retryAfterSeconds }),
  };
}

/** The members of an answer that say that and how a write was applied. */
export function appliedMembers(outcome: Extract<Outcome, { kind: "applied" }>): string {
  const { facts, rows } = outcome;
  const applied =
    facts === undefined
      ? '"applied":{"lsn":null,"note":"the commit is no longer remembered"}'
      : `"applied":{"lsn":"${facts.lsn}","timeline":${facts.timeline},"epoch":${facts.epoch},"at":"${new Date(facts.committedAtMs).toISOString()}","provisional":${facts.provisional}}`;
  return `"status":"applied",${applied}${rows === undefined ? "" : `,"rows":${JSON.stringify(rows)}`}`;
}

/** What the API shows of a verdict. */
export function verdictFacts(verdict: VerdictPayload): object {
  const { reason, by, sqlstate, constraint } = verdict;
  return { reason, by, ...(sqlstate === undefined ? {} : { sqlstate }), ...(constraint === undefined ? {} : { constraint }) };
}
