// Writes the canary of one store: a row a second. It runs as a probe, so that it has the runner's pace, timeout and backoff. It waits for
// no copy: what it measures is what the copies lack, and a copy that stalls must not silence it.
import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { awayReading } from "../probes/away-reading.ts";
import { Answer } from "../probes/postgresql/answer.ts";
import { KeptConnection } from "../probes/postgresql/kept-connection.ts";
import { ProbeFault } from "../probes/postgresql/postgresql-fault.ts";
import type { PostgresqlTarget } from "../probes/postgresql/postgresql-target.ts";
import { known } from "../probes/probe-result.ts";
import type { Probe, ProbeReading } from "../probes/probe.ts";
import { BEAT_SQL, ENSURE_CANARY_SQL } from "./canary-table.ts";
import type { PositionHistory } from "./position-history.ts";

/** The server gives up a beat after this, milliseconds. */
const STATEMENT_TIMEOUT_MS = 2_000;

export interface CanaryProbeOptions {
  readonly store: string;
  /** The primary: where the address may lead to a standby, the beat is refused, and says so. */
  readonly target: PostgresqlTarget;
  /** Told where the primary's log was; absent: nobody wants to know. */
  readonly positions?: PositionHistory;
  readonly clock: Clock;
}

export class CanaryProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #clock: Clock;
  readonly #positions: PositionHistory | undefined;
  readonly #connection: KeptConnection;

  constructor(options: CanaryProbeOptions) {
    this.store = options.store;
    this.name = `canary ${options.store}`;
    this.#clock = options.clock;
    this.#positions = options.positions;
    this.#connection = new KeptConnection(options.target, {
      applicationName: "tidemark-canary",
      readOnly: false,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      synchronousCommit: "local",
    });
  }

  /** Makes the schema where this user may. Rejects with {@link ProbeFault} otherwise: the script of grants does it then. */
  async ensure(signal: AbortSignal): Promise<void> {
    for (const statement of ENSURE_CANARY_SQL.split(";\n")) await this.#connection.ask(statement, [], signal);
  }

  async probe(signal: AbortSignal): Promise<ProbeReading> {
    const sentWallMs = this.#clock.wallMs();
    const beganMs = this.#clock.monotonicMs();
    try {
      const [row] = await this.#connection.ask(BEAT_SQL, [this.store], signal);
      const atMs = this.#clock.wallMs();
      const roundTripMs = this.#clock.monotonicMs() - beganMs;
      // Another observer wrote this second's row: as good.
      if (row === undefined) return { ok: true, atMs, roundTripMs, copies: [], figures: {} };
      const answer = new Answer(row);
      this.#positions?.see({
        timeline: answer.number("timeline") as Timeline,
        lsn: answer.lsn("flushLsn"),
        sentWallMs,
        sentMonotonicMs: beganMs,
      });
      const measured = { atMs, method: "canary" as const, errorMs: roundTripMs };
      return {
        ok: true,
        atMs,
        roundTripMs,
        store: { newestCommit: known({ commitMs: answer.number("writtenMs") }, measured) },
        copies: [],
        figures: { canary_sequence: known(Number(answer.whole("sequence")), measured) },
      };
    } catch (error) {
      if (!(error instanceof ProbeFault)) throw error;
      // The driver keeps how a statement's answer is described: read wrong once, it would be read wrong at every turn.
      if (error.code === "TM-PROBE-GARBAGE") this.#connection.drop();
      return awayReading(this.#clock, error.code, hint(error));
    }
  }

  close(): Promise<void> {
    this.#connection.close();
    return Promise.resolve();
  }
}

function hint(fault: ProbeFault): string {
  if (/ (42P01|3F000):/.test(fault.message)) return `${fault.message} (the schema of the canary is not there: run the script of grants)`;
  if (/ 25006:/.test(fault.message)) return `${fault.message} (it is a standby, or read-only: the canary is written on the primary)`;
  return fault.message;
}
