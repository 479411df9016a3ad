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
import { faultOfReport, type Answer, type DatabaseConnection, type PreparedStatement } from "./database-connection.ts";
import { resultValue } from "./result-value.ts";
import { WireBatch } from "./wire-batch.ts";

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

/** What a transaction is put together from; each is described once per connection. */
const OWN_STATEMENTS = [BEGIN, MOVE, KEYS, BARRIER, BURY, SETTLE, "COMMIT", AFTER];

/** How the keys of a unit stand: not inserted yet, or inserted, with these steps to be left out as duplicates. */
type Keys = { readonly inserted: false } | { readonly inserted: true; readonly skipped: ReadonlySet<Sequence> };

/** One statement of a batch, for its answer. */
interface Sent {
  readonly step: number | undefined;
  /** Where its rows go, if somebody waits for them. */
  readonly rows: Record<string, unknown>[] | undefined;
  readonly statement: PreparedStatement;
}

/**
 * Runs a unit as one pipeline: everything is sent before the first answer is read. That is safe because the position and
 * the keys raise where they do not fit (docs/write-protocol.md, section 3): the server then discards what follows.
 */
export class TransactionPipeline {
  readonly #connection: DatabaseConnection;
  /** Initially deferred constraints, checked after each write; undefined: to be read. */
  #deferred: readonly string[] | undefined;

  constructor(connection: DatabaseConnection) {
    this.#connection = connection;
  }

  /** Never rejects. */
  async run(unit: ApplyUnit, barrier: boolean): Promise<ApplyOutcome> {
    try {
      const unfit = await this.#prepare(unit);
      if (unfit !== undefined) return unfit;
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

  /** Prepares what this connection has not seen. Answers the trouble of a statement that does not fit the database. */
  async #prepare(unit: ApplyUnit): Promise<ApplyOutcome | undefined> {
    if (this.#deferred === undefined) {
      await this.#connection.prepare(OWN_STATEMENTS);
      this.#deferred = (await this.#connection.query(DEFERRED, [])).map((row) => row["name"] as string);
      await this.#connection.prepare(this.#checks());
    }
    for (const [index, step] of unit.steps.entries()) {
      if (step.kind !== "write") continue;
      for (const { text } of step.command.statements) {
        if (this.#connection.prepared(text) !== undefined) continue;
        try {
          await this.#connection.prepare([text]);
        } catch (error) {
          const outcome = this.#outcomeOf(error);
          return outcome.kind === "failed" ? { ...outcome, step: index } : outcome;
        }
      }
    }
    return undefined;
  }

  /** What checks the deferred constraints behind a write, and defers them again. */
  #checks(): string[] {
    if (this.#deferred === undefined || this.#deferred.length === 0) return [];
    const names = this.#deferred.join(", ");
    return [`SET CONSTRAINTS ${names} IMMEDIATE`, `SET CONSTRAINTS ${names} DEFERRED`];
  }

  async #attempt(unit: ApplyUnit, barrier: boolean, keys: Keys): Promise<ApplyOutcome> {
    const batch = new WireBatch();
    const sent: Sent[] = [];
    const rows = new Map<Sequence, WriteRows>();
    const send: Send = (text, values, more = {}) => {
      const statement = this.#connection.prepared(text);
      if (statement === undefined) throw new Error(`not prepared: ${text}`);
      sent.push({ step: more.step, rows: more.rows, statement });
      batch.execute(statement.name, values);
    };
    if (!keys.inserted) {
      send(BEGIN, []);
      for (const values of moveValues(unit)) send(MOVE, values);
      if (barrier) send(BARRIER, [unit.journal, String(unit.epoch)]);
      const writes = writesOf(unit);
      if (writes.length > 0) send(KEYS, keyArrays(unit, writes));
    }
    const checks = this.#checks();
    for (const [index, step] of unit.steps.entries()) {
      if (step.kind === "bury") send(BURY, buryValues(unit, step), { step: index });
      else if (step.kind === "settle") send(SETTLE, settleValues(unit, step), { step: index });
      else if (!keys.inserted || !keys.skipped.has(step.sequence)) {
        const wanted = this.#sendWrite(send, step, index);
        if (wanted !== undefined) rows.set(step.sequence, wanted);
        for (const check of checks) send(check, [], { step: index });
      }
    }
    send("COMMIT", []);
    batch.sync();
    const after: Record<string, unknown>[] = [];
    send(AFTER, [], { rows: after });
    batch.sync();
    const answer = await this.#exchange(batch, sent);
    if (answer.commit === "COMMIT" && answer.fault === undefined) {
      const duplicates = keys.inserted ? [...keys.skipped] : [];
      return { kind: "committed", facts: this.#facts(after[0]), rows, duplicates };
    }
    await this.#connection.query("ROLLBACK", []);
    const fallback: Trouble = {
      reaction: "wait",
      code: "TM-APPLIER-DATABASE-FAULT",
      message: `COMMIT was answered with ${answer.commit || "nothing"}`,
    };
    return { kind: "failed", trouble: answer.fault ?? fallback, step: answer.step };
  }

  /** Reads the answers. The first error counts; everything up to the first Sync is discarded by the server behind it. */
  async #exchange(
    batch: WireBatch,
    sent: readonly Sent[],
  ): Promise<{ commit: string; fault: Trouble | undefined; step: number | undefined }> {
    const answer: { commit: string; fault: Trouble | undefined; step: number | undefined } = {
      commit: "",
      fault: undefined,
      step: undefined,
    };
    let at = 0;
    await this.#connection.exchange(batch, 2, {
      get wantsRows() {
        return sent[at]?.rows !== undefined;
      },
      row: (values) => {
        const one = sent[at];
        if (one?.rows !== undefined) one.rows.push(rowObject(one.statement, values));
      },
      complete: (tag) => {
        if (at === sent.length - 2) answer.commit = tag;
        at++;
      },
      error: (fields) => {
        if (answer.fault === undefined) {
          answer.fault = troubleOf(faultOfReport(fields));
          answer.step = sent[at]?.step;
        }
        at = sent.length - 1;
      },
    });
    return answer;
  }

  #facts(after: Record<string, unknown> | undefined): CommitFacts {
    const proof = this.#connection.cancelledWait ? "cancelled" : after?.["guarded"] === true ? "replicated" : "asynchronous";
    return { proof, lsn: parseLsn(after?.["lsn"] as string) };
  }

  /** Answers where the rows will be, if the write asks for them. */
  #sendWrite(send: Send, step: WriteStep, index: number): Record<string, unknown>[][] | undefined {
    const { write, command } = step;
    const bound = { id: write.id, acceptedAtMs: step.acceptedAtMs, key: step.key, args: write.args };
    const wanted = write.rows === true ? command.statements.map((): Record<string, unknown>[] => []) : undefined;
    for (const [number, statement] of command.statements.entries()) {
      const types = this.#connection.prepared(statement.text)?.types ?? [];
      const values = boundValues(statement, bound).map((value, parameter) => argumentText(value, types[parameter] ?? 0));
      send(statement.text, values, { step: index, rows: wanted?.[number] });
    }
    return wanted;
  }

  /** R15: some keys were taken. Same content: the write takes no effect. Other content: it is at fault. */
  async #withoutDuplicates(unit: ApplyUnit): Promise<ApplyOutcome> {
    const connection = this.#connection;
    const writes = writesOf(unit);
    connection.clearWarnings();
    let fresh: ReadonlySet<unknown>;
    try {
      await connection.query(BEGIN, []);
      for (const values of moveValues(unit)) await connection.query(MOVE, values);
      fresh = new Set((await connection.query(NEW_KEYS, keyArrays(unit, writes))).map((row) => row["sequence"]));
    } catch (error) {
      const outcome = this.#outcomeOf(error);
      return outcome.kind === "lost" ? outcome : await this.#rollBack(outcome);
    }
    const doubtful = writes.filter((step) => !fresh.has(String(step.sequence)));
    const taken = await connection.query(TAKEN_KEYS, [
      arrayLiteral(doubtful.map((step) => step.write.scope)),
      arrayLiteral(doubtful.map((step) => step.write.idempotencyKey)),
    ]);
    for (const step of doubtful) {
      const trouble = keyTrouble(step, taken);
      if (trouble !== undefined) return await this.#rollBack({ kind: "failed", trouble, step: unit.steps.indexOf(step) });
    }
    return await this.#attempt(unit, false, { inserted: true, skipped: new Set(doubtful.map((step) => step.sequence)) });
  }

  async #rollBack(outcome: ApplyOutcome): Promise<ApplyOutcome> {
    await this.#connection.query("ROLLBACK", []);
    return outcome;
  }
}

type Send = (
  text: string,
  values: readonly (string | null)[],
  more?: { step?: number; rows?: Record<string, unknown>[] | undefined },
) => void;

function rowObject(statement: PreparedStatement, values: readonly (string | null)[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const [index, { name, type }] of statement.columns.entries()) row[name] = resultValue(values[index] ?? null, type);
  return row;
}

/** What is wrong with a write whose key was there; undefined when it is the same write once more. */
function keyTrouble(step: WriteStep, taken: Answer): Trouble | undefined {
  const row = taken.find((candidate) => candidate["scope"] === step.write.scope && candidate["key"] === step.write.idempotencyKey);
  if (row === undefined) return { reaction: "retry", code: "TM-APPLIER-CONTENTION", message: "an idempotency key was there and is gone" };
  if (row["content_hash"] === step.write.contentHash) return undefined;
  const message = `its idempotency key was taken with other content by record ${String(row["sequence"])} of journal ${String(row["journal"])}`;
  return { reaction: "dead-letter", code: "TM-APPLIER-KEY-CONFLICT", message };
}

function moveValues(unit: ApplyUnit): (string | null)[][] {
  return unit.moves.map(({ generation, partition, from, to }) => [
    unit.journal,
    String(generation),
    String(partition),
    from === undefined ? null : String(from),
    String(to),
    String(from === undefined),
    String(unit.epoch),
  ]);
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
