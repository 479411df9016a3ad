import type { Sequence } from "@tidemark/kernel/brands";
import { parseLsn } from "@tidemark/kernel/lsn";
import { boundValues } from "../../gateway/command-catalogue.ts";
import {
  DatabaseError,
  type ApplyOutcome,
  type ApplyUnit,
  type BuryStep,
  type CommitFacts,
  type SettleStep,
  type WriteRows,
  type WriteStep,
} from "../database.ts";
import { troubleOf, type Trouble } from "../trouble-table.ts";
import { argumentText, arrayLiteral } from "./argument-text.ts";
import { faultOf, type Answer, type DatabaseConnection } from "./database-connection.ts";

const BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED";
const MOVE = "SELECT tidemark.move_position($1::uuid, $2::int, $3::int, $4::bigint, $5::bigint, $6::boolean, $7::bigint)";
const KEYS = "SELECT tidemark.remember_keys($1::uuid, $2::text[], $3::text[], $4::bigint[], $5::text[])";
const BARRIER = "SELECT tidemark.write_barrier($1::uuid, $2::bigint)";
const BURY = `INSERT INTO tidemark.dead_letter (journal, sequence, generation, partition, key, origin, state, stops_key, command, scope, idempotency_key, sqlstate, constraint_name, reason, decided_by, accepted_at, payload)
VALUES ($1::uuid, $2::bigint, $3::int, $4::int, $5::text, $6::bigint, $7::text, $8::boolean, $9::text, $10::text, $11::text, $12::text, $13::text, $14::text, $15::text, $16::timestamptz, $17::json)
ON CONFLICT (journal, sequence) DO NOTHING`;
const SETTLE = `UPDATE tidemark.dead_letter SET state = $3::text, settled_as = $4::bigint, changed_at = clock_timestamp()
WHERE journal = $1::uuid AND sequence = $2::bigint AND state IN ('rejected', 'parked')`;
const AFTER = "SELECT pg_current_wal_flush_lsn()::text AS lsn, current_setting('synchronous_standby_names') <> '' AS guarded";
const NEW_KEYS = `INSERT INTO tidemark.idempotency (scope, key, journal, sequence, content_hash)
SELECT w.scope, w.key, $1::uuid, w.sequence, w.hash FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[]) AS w (scope, key, sequence, hash)
ON CONFLICT DO NOTHING RETURNING sequence::text AS sequence`;
const TAKEN_KEYS = `SELECT i.scope, i.key, i.content_hash, i.journal::text AS journal, i.sequence::text AS sequence
FROM tidemark.idempotency i JOIN unnest($1::text[], $2::text[]) AS w (scope, key) USING (scope, key)`;
const DEFERRED = `SELECT format('%I.%I', n.nspname, c.conname) AS name FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace WHERE c.condeferred`;

/** Errors of one attempt, first come first kept. */
interface Attempt {
  fault: Trouble | undefined;
  step: number | undefined;
  readonly rows: Map<Sequence, WriteRows>;
}

/** How the keys of a unit stand: not inserted yet, or inserted, with these steps to be left out as duplicates. */
type Keys = { readonly inserted: false } | { readonly inserted: true; readonly skipped: ReadonlySet<Sequence> };

/**
 * Runs a unit as one pipeline: everything is sent before the first answer is read. That is safe because the position and
 * the keys raise where they do not fit (docs/write-protocol.md, section 3): the server then refuses what follows.
 */
export class TransactionPipeline {
  readonly #connection: DatabaseConnection;
  /** Parameter types by statement text; each is described once per connection. */
  readonly #types = new Map<string, readonly number[]>();
  /** Initially deferred constraints, checked after each write; undefined: to be read. */
  #deferred: readonly string[] | undefined;

  constructor(connection: DatabaseConnection) {
    this.#connection = connection;
  }

  /** Never rejects. */
  async run(unit: ApplyUnit, barrier: boolean): Promise<ApplyOutcome> {
    try {
      const unknown = await this.#prepare(unit);
      if (unknown !== undefined) return unknown;
      this.#connection.clearWarnings();
      const outcome = await this.#attempt(unit, barrier, { inserted: false });
      if (outcome.kind === "failed" && outcome.trouble.reaction === "duplicates") return await this.#withoutDuplicates(unit);
      if (outcome.kind === "failed" && outcome.trouble.sqlstate === "42704") this.#deferred = undefined;
      return outcome;
    } catch (error) {
      return this.#outcomeOf(error);
    }
  }

  #outcomeOf(error: unknown): ApplyOutcome {
    if (!(error instanceof DatabaseError)) throw error;
    const { lost } = this.#connection;
    return lost === undefined ? { kind: "failed", trouble: error.trouble, step: undefined } : { kind: "lost", trouble: lost };
  }

  /** Learns the types of statements that this connection has not seen. Answers the trouble of one that does not fit the database. */
  async #prepare(unit: ApplyUnit): Promise<ApplyOutcome | undefined> {
    this.#deferred ??= (await this.#connection.query(DEFERRED, [])).map((row) => row["name"] as string);
    for (const [index, step] of unit.steps.entries()) {
      if (step.kind !== "write") continue;
      for (const { text, parameters } of step.command.statements) {
        if (this.#types.has(text)) continue;
        try {
          this.#types.set(text, await this.#connection.describe(text, parameters.length));
        } catch (error) {
          const outcome = this.#outcomeOf(error);
          return outcome.kind === "failed" ? { ...outcome, step: index } : outcome;
        }
      }
    }
    return undefined;
  }

  async #attempt(unit: ApplyUnit, barrier: boolean, keys: Keys): Promise<ApplyOutcome> {
    const attempt: Attempt = { fault: undefined, step: undefined, rows: new Map() };
    if (!keys.inserted) {
      void this.#send(attempt, BEGIN, []);
      this.#sendMoves(attempt, unit);
      if (barrier) void this.#send(attempt, BARRIER, [unit.journal, String(unit.epoch)]);
      const writes = writesOf(unit);
      if (writes.length > 0) void this.#send(attempt, KEYS, keyArrays(unit, writes));
    }
    for (const [index, step] of unit.steps.entries()) {
      if (step.kind === "bury") void this.#send(attempt, BURY, buryValues(unit, step), index);
      else if (step.kind === "settle") void this.#send(attempt, SETTLE, settleValues(unit, step), index);
      else if (!keys.inserted || !keys.skipped.has(step.sequence)) this.#sendWrite(attempt, step, index);
    }
    let tag = "";
    void this.#send(attempt, "COMMIT", []).then((answer) => (tag = answer?.command ?? ""));
    const after = await this.#connection.query(AFTER, []);
    if (tag === "COMMIT" && attempt.fault === undefined) {
      const duplicates = keys.inserted ? [...keys.skipped] : [];
      return { kind: "committed", facts: this.#facts(after), rows: attempt.rows, duplicates };
    }
    const trouble = attempt.fault ?? {
      reaction: "wait",
      code: "TM-APPLIER-DATABASE-FAULT",
      message: `COMMIT was answered with ${tag || "nothing"}`,
    };
    return { kind: "failed", trouble, step: attempt.step };
  }

  #facts(after: Answer): CommitFacts {
    const proof = this.#connection.cancelledWait ? "cancelled" : after[0]?.["guarded"] === true ? "replicated" : "asynchronous";
    return { proof, lsn: parseLsn(after[0]?.["lsn"] as string) };
  }

  #send(attempt: Attempt, text: string, values: readonly (string | null)[], step?: number): Promise<Answer | undefined> {
    return this.#connection.send(text, values).then(undefined, (error: unknown) => {
      const trouble = troubleOf(faultOf(error));
      // 25P02 says that an earlier one failed, and that one was first.
      if (attempt.fault === undefined && trouble.reaction !== "earlier") {
        attempt.fault = trouble;
        attempt.step = step;
      }
      return undefined;
    });
  }

  #sendMoves(attempt: Attempt, unit: ApplyUnit): void {
    for (const move of unit.moves) {
      const values = [unit.journal, String(move.generation), String(move.partition), move.from === undefined ? null : String(move.from)];
      void this.#send(attempt, MOVE, [...values, String(move.to), String(move.from === undefined), String(unit.epoch)]);
    }
  }

  #sendWrite(attempt: Attempt, step: WriteStep, index: number): void {
    const { write, command } = step;
    const bound = { id: write.id, acceptedAtMs: step.acceptedAtMs, key: step.key, args: write.args };
    const wanted = write.rows === true ? Array.from({ length: command.statements.length }, (): Record<string, unknown>[] => []) : undefined;
    for (const [number, statement] of command.statements.entries()) {
      const types = this.#types.get(statement.text) ?? [];
      const values = boundValues(statement, bound).map((value, parameter) => argumentText(value, types[parameter] ?? 0));
      const answer = this.#send(attempt, statement.text, values, index);
      if (wanted !== undefined) void answer.then((rows) => (wanted[number] = [...(rows ?? [])] as Record<string, unknown>[]));
    }
    if (wanted !== undefined) attempt.rows.set(step.sequence, wanted);
    if (this.#deferred !== undefined && this.#deferred.length > 0) {
      const names = this.#deferred.join(", ");
      void this.#send(attempt, `SET CONSTRAINTS ${names} IMMEDIATE`, [], index);
      void this.#send(attempt, `SET CONSTRAINTS ${names} DEFERRED`, [], index);
    }
  }

  /** R15: some keys were taken. Same content: the write takes no effect. Other content: it is at fault. */
  async #withoutDuplicates(unit: ApplyUnit): Promise<ApplyOutcome> {
    const attempt: Attempt = { fault: undefined, step: undefined, rows: new Map() };
    const writes = writesOf(unit);
    this.#connection.clearWarnings();
    void this.#send(attempt, BEGIN, []);
    this.#sendMoves(attempt, unit);
    const inserted = await this.#send(attempt, NEW_KEYS, keyArrays(unit, writes));
    if (attempt.fault !== undefined) return this.#rollBack({ kind: "failed", trouble: attempt.fault, step: undefined });
    const fresh = new Set(inserted?.map((row) => row["sequence"] as string));
    const doubtful = writes.filter((step) => !fresh.has(String(step.sequence)));
    const taken = await this.#connection.query(TAKEN_KEYS, [
      arrayLiteral(doubtful.map((step) => step.write.scope)),
      arrayLiteral(doubtful.map((step) => step.write.idempotencyKey)),
    ]);
    for (const step of doubtful) {
      const row = taken.find((candidate) => candidate["scope"] === step.write.scope && candidate["key"] === step.write.idempotencyKey);
      if (row?.["content_hash"] === step.write.contentHash) continue;
      const trouble: Trouble =
        row === undefined
          ? { reaction: "retry", code: "TM-APPLIER-CONTENTION", message: "an idempotency key was there and is gone" }
          : {
              reaction: "dead-letter",
              code: "TM-APPLIER-KEY-CONFLICT",
              message: `its idempotency key was taken with other content by record ${String(row["sequence"])} of journal ${String(row["journal"])}`,
            };
      return this.#rollBack({ kind: "failed", trouble, step: unit.steps.indexOf(step) });
    }
    return this.#attempt(unit, false, { inserted: true, skipped: new Set(doubtful.map((step) => step.sequence)) });
  }

  async #rollBack(outcome: ApplyOutcome): Promise<ApplyOutcome> {
    await this.#connection.query("ROLLBACK", []);
    return outcome;
  }
}

function writesOf(unit: ApplyUnit): WriteStep[] {
  return unit.steps.filter((step) => step.kind === "write");
}

function keyArrays(unit: ApplyUnit, writes: readonly WriteStep[]): string[] {
  const column = (of: (step: WriteStep) => string): string => arrayLiteral(writes.map(of));
  return [
    unit.journal,
    column((step) => step.write.scope),
    column((step) => step.write.idempotencyKey),
    column((step) => String(step.sequence)),
    column((step) => step.write.contentHash),
  ];
}

/** PostgreSQL's text holds no U+0000; the payload, as JSON, keeps it. */
const plain = (text: string): string => text.replaceAll("\u0000", "\uFFFD");

function buryValues(unit: ApplyUnit, step: BuryStep): (string | null)[] {
  const { letter, write } = step;
  const place = [
    unit.journal,
    String(letter.sequence),
    String(step.generation),
    String(letter.partition),
    plain(letter.key),
    String(letter.origin),
  ];
  const what = [step.state, String(letter.stopsKey), plain(write.command), plain(write.scope), plain(write.idempotencyKey)];
  const why = [step.sqlstate ?? null, step.constraint ?? null, plain(step.reason), plain(step.by)];
  return [...place, ...what, ...why, new Date(step.acceptedAtMs).toISOString(), JSON.stringify(write)];
}

function settleValues(unit: ApplyUnit, step: SettleStep): (string | null)[] {
  return [unit.journal, String(step.sequence), step.as, step.replayedAs === undefined ? null : String(step.replayedAs)];
}
