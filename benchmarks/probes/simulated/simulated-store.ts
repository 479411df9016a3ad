// One simulated store: a primary that commits without pause and a standby that follows it. Its answers are the taped ones of a real pair with
// these values put in: clocks, positions, transactions, the canary. Everything else is as it was taped.
import { BEAT_SQL } from "../../../packages/tidemark/src/canary/canary-table.ts";
import { CLOCK_SQL, primarySql, SETTINGS_SQL, standbySql } from "../../../packages/tidemark/src/probes/postgresql/postgresql-questions.ts";
import type { AnswerTape } from "./answer-tape.ts";

export type SimulatedRole = "primary" | "standby";

/** Transactions a second of each store, and what each writes, bytes. */
const TRANSACTIONS_A_SECOND = 10;
const TRANSACTION_BYTES = 200;
/** The standby has what is older, milliseconds. */
const STANDBY_BEHIND_MS = 5;
/** One store in so many has a standby that stalls, every minute, for so long; at another moment than the next one's. */
const STALLING_EVERY = 50;
const STALL_MS = 10_000;

/** What the taped pair answered, by question, read once for all stores. */
export interface SimulatedAnswers {
  readonly rows: ReadonlyMap<string, readonly (string | null)[]>;
  readonly primary: TapedJson;
  readonly standby: TapedJson;
  readonly settings: TapedJson;
}

interface TapedJson {
  readonly sql: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** Throws when the tape lacks a question: then the probes ask others than when it was taped. */
export function simulatedAnswers(tape: AnswerTape): SimulatedAnswers {
  const rows = new Map(tape.answers.map(({ sql, row }) => [sql, row]));
  const major = Number.parseInt(tape.parameters.find(([name]) => name === "server_version")?.[1] ?? "", 10);
  const json = (sql: string): TapedJson => {
    const text = rows.get(sql)?.[0];
    if (text === undefined || text === null) throw new Error(`the tape has no answer to: ${sql}`);
    return { sql, value: JSON.parse(text) as Record<string, unknown> };
  };
  for (const sql of [CLOCK_SQL, BEAT_SQL]) if (!rows.has(sql)) throw new Error(`the tape has no answer to: ${sql}`);
  return { rows, primary: json(primarySql(major, true)), standby: json(standbySql(major, true)), settings: json(SETTINGS_SQL) };
}

interface Beat {
  readonly sequence: number;
  readonly writtenMs: number;
}

export class SimulatedStore {
  readonly #answers: SimulatedAnswers;
  readonly #index: number;
  readonly #startMs: number;
  /** The newest and the one before. */
  #beats: readonly [Beat, Beat];

  constructor(answers: SimulatedAnswers, index: number, startMs: number) {
    this.#answers = answers;
    this.#index = index;
    this.#startMs = startMs;
    const first = { sequence: 1, writtenMs: startMs };
    this.#beats = [first, first];
  }

  /** The values of the row that answers `sql`; undefined: it was not taped. */
  answer(role: SimulatedRole, sql: string, nowMs: number): readonly (string | null)[] | undefined {
    const { rows, primary, standby, settings } = this.#answers;
    if (sql === CLOCK_SQL) return [String(nowMs), role === "standby" ? "t" : "f"];
    if (sql === BEAT_SQL) return this.#beat(nowMs);
    if (sql === primary.sql) return [JSON.stringify({ ...primary.value, clockMs: nowMs, ...this.#primaryValues(nowMs) })];
    if (sql === standby.sql) return [JSON.stringify({ ...standby.value, clockMs: nowMs, ...this.#standbyValues(nowMs) })];
    if (sql === settings.sql) return [JSON.stringify({ ...settings.value, systemIdentifier: String(7_000_000_000 + this.#index) })];
    return rows.get(sql);
  }

  #beat(nowMs: number): readonly string[] {
    const [last] = this.#beats;
    const next = { sequence: last.sequence + 1, writtenMs: nowMs };
    this.#beats = [next, last];
    return [String(next.sequence), String(next.writtenMs), this.#lsnAt(nowMs), "1"];
  }

  #primaryValues(nowMs: number): Record<string, unknown> {
    const lsn = this.#lsnAt(nowMs);
    const flushed = this.#lsnAt(this.#standbyMs(nowMs));
    const [taped] = this.#answers.primary.value["replicas"] as Record<string, unknown>[];
    const [slot] = this.#answers.primary.value["slots"] as Record<string, unknown>[];
    return {
      flushLsn: lsn,
      insertLsn: lsn,
      transactions: String(this.#transactionsAt(nowMs)),
      canary: canaryOf(this.#beats[0]),
      replicas: [{ ...taped, sentLsn: lsn, writeLsn: flushed, flushLsn: flushed, replayLsn: flushed }],
      slots: [{ ...slot, restartLsn: flushed }],
    };
  }

  #standbyValues(nowMs: number): Record<string, unknown> {
    const asOfMs = this.#standbyMs(nowMs);
    const lsn = this.#lsnAt(asOfMs);
    const seen = this.#beats.find(({ writtenMs }) => writtenMs <= asOfMs) ?? this.#beats[1];
    return {
      receivedLsn: lsn,
      replayedLsn: lsn,
      replayedCommitMs: asOfMs - (asOfMs % (1_000 / TRANSACTIONS_A_SECOND)),
      canary: canaryOf(seen),
    };
  }

  /** The time of which the standby has everything. */
  #standbyMs(nowMs: number): number {
    const behindMs = nowMs - STANDBY_BEHIND_MS;
    if (this.#index % STALLING_EVERY !== 0) return behindMs;
    const phaseMs = (nowMs - this.#startMs + this.#index * 997) % 60_000;
    return phaseMs < STALL_MS ? behindMs - phaseMs : behindMs;
  }

  #transactionsAt(atMs: number): number {
    return Math.floor(((atMs - this.#startMs) * TRANSACTIONS_A_SECOND) / 1_000) + 100_000 + this.#beats[0].sequence;
  }

  #lsnAt(atMs: number): string {
    const bytes =
      0x3000000 +
      this.#index * 0x10000 +
      Math.max(0, Math.floor(((atMs - this.#startMs) * TRANSACTIONS_A_SECOND) / 1_000)) * TRANSACTION_BYTES;
    return `0/${bytes.toString(16).toUpperCase()}`;
  }
}

function canaryOf({ sequence, writtenMs }: Beat): { sequence: string; writtenMs: number } {
  return { sequence: String(sequence), writtenMs };
}
