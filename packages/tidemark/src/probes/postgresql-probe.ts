// Looks at one PostgreSQL, primary or standby, whichever it is at the moment: over one kept connection, read-only, with the smallest
// grants (postgresql/grants-script.ts). What this user may not see is unknown, with the grant that is missing; it is never 0.
import type { Clock } from "@tidemark/kernel/clock";
import { ClockComparison } from "../canary/clock-comparison.ts";
import { awayReading } from "./away-reading.ts";
import type { CopyFacts, Figure } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { Answer } from "./postgresql/answer.ts";
import { CopyMemory } from "./postgresql/copy-memory.ts";
import { KeptConnection } from "./postgresql/kept-connection.ts";
import type { Look, WatchedNode } from "./postgresql/node-looks.ts";
import { notGrantedTo } from "./postgresql/node-looks.ts";
import type { PrimaryAnswer, ServerSettingsAnswer, StandbyAnswer } from "./postgresql/postgresql-answers.ts";
import { readPrimary, readSettings, readStandby, readWalFolder } from "./postgresql/postgresql-answers.ts";
import { ProbeFault, sqlState } from "./postgresql/postgresql-fault.ts";
import {
  CLOCK_SQL,
  SETTINGS_ASKED,
  SETTINGS_SQL,
  SIZE_SQL,
  WAL_FOLDER_SQL,
  primarySql,
  standbySql,
} from "./postgresql/postgresql-questions.ts";
import type { PostgresqlTarget } from "./postgresql/postgresql-target.ts";
import { formerPrimary, primaryCopies, primaryFigures, primaryStore } from "./postgresql/primary-facts.ts";
import { serverFigures } from "./postgresql/server-figures.ts";
import { standbyCopy, standbyFigures } from "./postgresql/standby-facts.ts";
import { SynchronousWatch } from "./postgresql/synchronous-watch.ts";
import type { StoreObservation } from "./store-observation.ts";

/** Between two looks at what hardly changes, milliseconds. */
const SETTINGS_EVERY_MS = 15_000;
const WAL_FOLDER_EVERY_MS = 15_000;
const SIZE_EVERY_MS = 600_000;
/** Between two comparisons of clocks with a question of their own, milliseconds; meanwhile every answer brings the server's time, less exactly. */
const CLOCK_EVERY_MS = 10_000;
/** The server gives up a statement after this, milliseconds; the runner gives the turn up a little earlier or later. */
const STATEMENT_TIMEOUT_MS = 2_000;

export interface PostgresqlProbeOptions extends WatchedNode {
  readonly target: PostgresqlTarget;
  /** Shared by all probes of the store. */
  readonly observation: StoreObservation;
  readonly clock: Clock;
}

/** What the server said, for findings that no figure carries. */
export interface PostgresqlDetails {
  readonly major: number;
  readonly settings: ServerSettingsAnswer;
  readonly primary?: PrimaryAnswer;
  readonly standby?: StandbyAnswer;
}

export type PostgresqlReading =
  | (Extract<ProbeReading, { ok: true }> & { readonly details: PostgresqlDetails })
  | Extract<ProbeReading, { ok: false }>;

/** What a server answered to the question for its part, and when by the observer's clocks. */
type SaidNode = { readonly sentMs: number; readonly sentMonotonicMs: number; readonly receivedMonotonicMs: number } & (
  | { readonly kind: "primary"; readonly answer: PrimaryAnswer }
  | { readonly kind: "standby"; readonly answer: StandbyAnswer }
);

/** object_not_in_prerequisite_state: a function of a primary was called on a standby, or the other way round. */
const NOT_IN_THIS_STATE = "55000";

/** Something that is asked seldom, and kept meanwhile. */
interface Seldom<T> {
  readonly value: T;
  readonly dueMs: number;
}

export class PostgresqlProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: PostgresqlProbeOptions;
  readonly #connection: KeptConnection;
  readonly #clocks: ClockComparison;
  readonly #synchronous = new SynchronousWatch();
  readonly #memory = new CopyMemory();
  /** Whether it is a standby, as it said last. */
  #recovering: Seldom<boolean> | undefined;
  #settings: Seldom<ServerSettingsAnswer> | undefined;
  #walFolder: Seldom<Figure<{ bytes: number; ready: number }>> | undefined;
  #dataBytes: Seldom<Figure<number>> | undefined;
  #lastCommit: { transactions: bigint; ms: number; errorMs: number; seenMs: number } | undefined;

  constructor(options: PostgresqlProbeOptions) {
    this.#options = options;
    this.name = `postgresql ${options.name}`;
    this.store = options.observation.store;
    this.#connection = new KeptConnection(options.target, {
      applicationName: "tidemark-probe",
      readOnly: true,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    });
    this.#clocks = new ClockComparison(options.clock.wallMs());
  }

  async probe(signal: AbortSignal): Promise<PostgresqlReading> {
    try {
      return await this.#look(signal);
    } catch (error) {
      // The login may have other rights the next time, and the server other settings and another part.
      this.#settings = undefined;
      this.#recovering = undefined;
      if (!(error instanceof ProbeFault)) throw error;
      // The driver keeps how a statement's answer is described: read wrong once, it would be read wrong at every turn.
      if (error.code === "TM-PROBE-GARBAGE") this.#connection.drop();
      return awayReading(this.#options.clock, error.code, error.message);
    }
  }

  close(): Promise<void> {
    this.#connection.close();
    return Promise.resolve();
  }

  async #look(signal: AbortSignal): Promise<PostgresqlReading> {
    const { clock, name, domain, copyKnownAs, observation } = this.#options;
    const beganMs = clock.monotonicMs();
    if (!this.#connection.isOpen || this.#recovering === undefined || this.#recovering.dueMs <= beganMs) await this.#compareClocks(signal);
    const settings = await this.#seldomSettings(signal);
    const walFolder = await this.#seldomWalFolder(settings, signal);
    const dataBytes = await this.#seldomSize(signal);
    const said = await this.#askNode(settings, signal);
    const { sentMs, sentMonotonicMs } = said;
    const look: Look = {
      node: { name, domain, ...(copyKnownAs === undefined ? {} : { copyKnownAs }) },
      observation,
      settings,
      sentMs,
      // By the monotonic clock: the wall clock may have been set meanwhile.
      atMs: sentMs + (said.receivedMonotonicMs - sentMonotonicMs),
      serverMs: said.answer.clockMs,
      clockOffset: this.#clocks.offset(said.receivedMonotonicMs),
      walFolder,
      dataBytes,
    };
    const facts = said.kind === "standby" ? this.#standby(look, said.answer) : this.#primary(look, said.answer, sentMonotonicMs);
    const { freshForMs } = observation;
    return {
      ok: true,
      atMs: look.atMs,
      roundTripMs: clock.monotonicMs() - beganMs,
      ...facts,
      ...(freshForMs === undefined ? {} : freshFor(facts, freshForMs)),
      details: { major: this.#connection.major as number, settings, ...facts.details },
    };
  }

  /** Asks what can be asked of its part. It may have been promoted since it said which it has: then it refuses, and is asked anew. */
  async #askNode(settings: ServerSettingsAnswer, signal: AbortSignal): Promise<SaidNode> {
    try {
      return await this.#askPart(settings, signal);
    } catch (error) {
      if (!(error instanceof ProbeFault) || sqlState(error) !== NOT_IN_THIS_STATE || !this.#connection.isOpen) throw error;
      await this.#compareClocks(signal);
      return this.#askPart(settings, signal);
    }
  }

  async #askPart(settings: ServerSettingsAnswer, signal: AbortSignal): Promise<SaidNode> {
    const { clock, observation } = this.#options;
    const kind = this.#recovering?.value === true ? "standby" : "primary";
    const question = (kind === "standby" ? standbySql : primarySql)(this.#connection.major as number, settings.canary);
    const sentMs = clock.wallMs();
    const sentMonotonicMs = clock.monotonicMs();
    const [row] = await this.#connection.ask(question, [observation.store], signal);
    const receivedMonotonicMs = clock.monotonicMs();
    const times = { sentMs, sentMonotonicMs, receivedMonotonicMs };
    const said: SaidNode = kind === "standby" ? { kind, answer: readStandby(row), ...times } : { kind, answer: readPrimary(row), ...times };
    this.#clocks.add({ sentWallMs: sentMs, sentMonotonicMs, receivedMonotonicMs, serverWallMs: said.answer.clockMs });
    return said;
  }

  #primary(look: Look, answer: PrimaryAnswer, sentMonotonicMs: number) {
    const { observation, settings, sentMs, atMs } = look;
    if (observation.isPrimary(settings.systemIdentifier)) {
      this.#synchronous.forget();
      this.#lastCommit = undefined;
    }
    const restart = observation.positions.record({
      timeline: answer.timeline,
      lsn: answer.flushLsn,
      sentWallMs: sentMs,
      sentMonotonicMs,
      transactions: answer.transactions,
      canaryBeats: answer.canary?.sequence ?? 0n,
    });
    if (restart === "ignored") return this.#formerPrimary(look, answer);
    observation.primaryClock = look.clockOffset;
    if (restart === "failover" || restart === "went-back") this.#synchronous.forget();
    const standings = this.#synchronous.take(answer, settings, atMs);
    const primary = {
      ...look,
      answer,
      standings,
      releasedAtMs: this.#synchronous.releasedAtMs,
      lastCommit: this.#seeCommits(answer.transactions, sentMs, restart !== undefined),
    };
    const copies: CopyFacts[] = this.#memory.withGone(primaryCopies(primary), atMs);
    return { store: primaryStore(primary), copies, figures: primaryFigures(primary), details: { primary: answer } };
  }

  /** The store is on a newer timeline: what this server says of the store and of its replicas counts no more (ONE-WRITER). */
  #formerPrimary(look: Look, answer: PrimaryAnswer) {
    this.#synchronous.forget();
    this.#memory.forget();
    this.#lastCommit = undefined;
    return {
      copies: [formerPrimary(look, answer)],
      figures: { ...serverFigures(look, answer), postgresql_former_primary: known(1, { atMs: look.atMs, method: "reported", errorMs: 0 }) },
      details: { primary: answer },
    };
  }

  #standby(look: Look, answer: StandbyAnswer) {
    this.#synchronous.forget();
    this.#memory.forget();
    const standby = { ...look, answer };
    return {
      // The clock of a standby is not the one that commit times are by.
      copies: [standbyCopy(standby)],
      figures: standbyFigures(standby),
      details: { standby: answer },
    };
  }

  /** Before the first change nobody knows when the newest commit was: at the latest when the primary was looked at first. */
  #seeCommits(transactions: bigint, sentMs: number, anew: boolean): { ms: number; errorMs: number } {
    const last = this.#lastCommit;
    if (last === undefined || anew) this.#lastCommit = { transactions, ms: sentMs, errorMs: 0, seenMs: sentMs };
    else if (last.transactions !== transactions)
      this.#lastCommit = { transactions, ms: sentMs, errorMs: Math.max(0, sentMs - last.seenMs), seenMs: sentMs };
    else this.#lastCommit = { ...last, seenMs: sentMs };
    return this.#lastCommit;
  }

  async #compareClocks(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    // The login is no part of the round trip.
    if (!this.#connection.isOpen) await this.#connection.ask(CLOCK_SQL, [], signal);
    const sentWallMs = clock.wallMs();
    const sentMonotonicMs = clock.monotonicMs();
    const [row] = await this.#connection.ask(CLOCK_SQL, [], signal);
    const receivedMonotonicMs = clock.monotonicMs();
    const answer = new Answer(row);
    this.#clocks.add({ sentWallMs, sentMonotonicMs, receivedMonotonicMs, serverWallMs: answer.number("clockMs") });
    this.#recovering = { value: answer.flag("recovering"), dueMs: receivedMonotonicMs + CLOCK_EVERY_MS };
  }

  async #seldomSettings(signal: AbortSignal): Promise<ServerSettingsAnswer> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#settings === undefined || this.#settings.dueMs <= nowMs) {
      const [row] = await this.#connection.ask(SETTINGS_SQL, [SETTINGS_ASKED.join(",")], signal);
      this.#settings = { value: readSettings(row), dueMs: nowMs + SETTINGS_EVERY_MS };
    }
    return this.#settings.value;
  }

  async #seldomWalFolder(settings: ServerSettingsAnswer, signal: AbortSignal): Promise<Figure<{ bytes: number; ready: number }>> {
    const { clock } = this.#options;
    if (!settings.listsWal) return unknown(notGrantedTo(settings, "pg_monitor"), clock.wallMs());
    const nowMs = clock.monotonicMs();
    if (this.#walFolder === undefined || this.#walFolder.dueMs <= nowMs) {
      const value = await this.#figure(WAL_FOLDER_SQL, readWalFolder, signal);
      this.#walFolder = { value, dueMs: nowMs + WAL_FOLDER_EVERY_MS };
    }
    return this.#walFolder.value;
  }

  async #seldomSize(signal: AbortSignal): Promise<Figure<number>> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#dataBytes === undefined || this.#dataBytes.dueMs <= nowMs) {
      const value = await this.#figure(SIZE_SQL, (row) => Number(new Answer(row).whole("bytes")), signal);
      this.#dataBytes = { value, dueMs: nowMs + SIZE_EVERY_MS };
    }
    return this.#dataBytes.value;
  }

  /** A figure that the others do not wait for: refused, it is unknown. */
  async #figure<T>(sql: string, read: (row: unknown) => T, signal: AbortSignal): Promise<Figure<T>> {
    const { clock } = this.#options;
    const sentMs = clock.monotonicMs();
    try {
      const [row] = await this.#connection.ask(sql, [], signal);
      return known(read(row), { atMs: clock.wallMs(), method: "reported", errorMs: clock.monotonicMs() - sentMs });
    } catch (error) {
      if (!(error instanceof ProbeFault) || !this.#connection.isOpen) throw error;
      return unknown(error.message, clock.wallMs());
    }
  }
}

/** Of servers that are asked seldom. */
function freshFor(
  { copies, store }: { copies: readonly CopyFacts[]; store?: NonNullable<Extract<ProbeReading, { ok: true }>["store"]> },
  freshForMs: number,
): Pick<Extract<ProbeReading, { ok: true }>, "copies" | "store"> {
  return {
    copies: copies.map((copy) => ({ ...copy, freshForMs })),
    ...(store === undefined ? {} : { store: { ...store, freshForMs } }),
  };
}
