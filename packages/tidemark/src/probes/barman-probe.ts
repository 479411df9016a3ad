import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { Answer, garbage } from "./answer.ts";
import { backupCopy, CATALOGUE_FRESH_FOR_MS, DEFAULT_SEGMENT_BYTES, endOfSegment, UNPROVEN, type WholeBackup } from "./backup-copy.ts";
import { readJson, type JsonSource } from "./json-source.ts";
import { ProbeFault } from "./postgresql/postgresql-fault.ts";
import type { PositionTimes } from "./position-times.ts";
import type { Figure } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { ProbeTurns, type Found } from "./probe-turns.ts";

export interface BarmanProbeOptions {
  readonly store: string;
  readonly copy: string;
  /** Barman's name of the server. */
  readonly server: string;
  readonly domain: FailureDomain;
  readonly sources: {
    /** What gives `barman --format json list-backups <server>`. */
    readonly backups: JsonSource;
    /** `barman --format json show-backup <server> latest`: where it ends, and the newest WAL behind it. Absent: neither is known. */
    readonly latest?: JsonSource;
    /** `barman --format json check <server>`. Absent: Barman's own judgement is not shown. */
    readonly check?: JsonSource;
  };
  /** Of the cluster, bytes. Default 16 MiB. */
  readonly segmentBytes?: number;
  readonly positions?: PositionTimes;
  /** Some periods of this probe, milliseconds. Default {@link CATALOGUE_FRESH_FOR_MS}. */
  readonly freshForMs?: number;
  readonly clock: Clock;
}

/** Barman's repository of one server, by its own catalogue. That says nothing about whether a backup can be restored. */
export class BarmanProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: BarmanProbeOptions;
  readonly #turns: ProbeTurns;

  constructor(options: BarmanProbeOptions) {
    this.name = `barman ${options.copy}`;
    this.store = options.store;
    this.#options = options;
    this.#turns = new ProbeTurns(options.clock);
  }

  probe(signal: AbortSignal): Promise<ProbeReading> {
    const { sources } = this.#options;
    return this.#turns.run(signal, async (turn) => {
      const backups = this.#mine(await readJson(sources.backups, { signal: turn.signal, anyExitCode: true })).list(this.#options.server);
      const done = backups.filter((backup) => backup.text("status") === "DONE");
      // Barman knows no "latest" before there is one.
      const latest =
        sources.latest === undefined || done.length === 0
          ? undefined
          : this.#mine(await readJson(sources.latest, { signal: turn.signal, anyExitCode: true })).object(this.#options.server);
      // A check that fails ends with code 1, and is an answer all the same.
      const check =
        sources.check === undefined
          ? undefined
          : this.#mine(await readJson(sources.check, { signal: turn.signal, anyExitCode: true })).object(this.#options.server);
      return this.#found({ backups, done, latest, check }, { atMs: turn.atMs, errorMs: turn.elapsedMs() });
    });
  }

  close(): Promise<void> {
    return this.#turns.close();
  }

  /** Barman tells an error in its JSON, and ends with a code other than 0 for lesser things too. */
  #mine(value: unknown): Answer {
    const answer = Answer.of(value, "barman");
    if (!answer.has(this.#options.server) && answer.has("_ERROR"))
      throw new ProbeFault("TM-PROBE-FAILED", "Barman answered with an error; run the command by hand to see what it says");
    return answer;
  }

  #found(
    told: { backups: readonly Answer[]; done: readonly Answer[]; latest: Answer | undefined; check: Answer | undefined },
    seen: { atMs: number; errorMs: number },
  ): Found {
    const { done, backups, latest, check } = told;
    const left = backups.length - done.length;
    const failing = check === undefined ? undefined : failingOf(check);
    const copy = backupCopy({
      name: this.#options.copy,
      domain: this.#options.domain,
      freshForMs: this.#options.freshForMs ?? CATALOGUE_FRESH_FOR_MS,
      backups: done.map((backup) => wholeBackup(backup, latest)),
      archivedTo: latest === undefined ? undefined : this.#archivedTo(latest),
      positions: this.#options.positions,
      ...seen,
      remarks: [
        UNPROVEN,
        ...(left > 0 ? [`${left} backups are not done (failed, under way, or waiting for WAL) and are left out.`] : []),
        ...(failing !== undefined && failing.length > 0 ? [`Barman's own check fails: ${failing.join(", ")}.`] : []),
        "WAL that Barman is still receiving is in no whole segment yet and is not counted.",
      ],
    });
    const measured = { ...seen, method: "reported" } as const;
    const figures: Record<string, Figure<number>> = {
      barman_backups: known(done.length, measured),
      barman_backups_not_done: known(left, measured),
      barman_bytes:
        done.length === 0
          ? unknown("there is no backup", seen.atMs)
          : known(
              done.reduce((sum, backup) => sum + backup.count("size_bytes"), 0),
              measured,
            ),
      barman_failed_checks: failing === undefined ? unknown("Barman's check is not asked", seen.atMs) : known(failing.length, measured),
    };
    return { copies: [copy], figures };
  }

  #archivedTo(latest: Answer) {
    const wal = latest.object("wal_information");
    if (!wal.has("last_available")) return undefined;
    const end = endOfSegment(wal.text("last_available"), this.#options.segmentBytes ?? DEFAULT_SEGMENT_BYTES);
    if (end === undefined) throw garbage("barman.wal_information.last_available is no WAL segment");
    return end;
  }
}

function wholeBackup(backup: Answer, latest: Answer | undefined): WholeBackup {
  const endedMs = backup.countText("end_time_timestamp") * 1_000;
  if (latest === undefined || latest.text("backup_id") !== backup.text("backup_id")) return { endedMs };
  const base = latest.object("base_backup_information");
  return { endedMs, end: { timeline: base.count("timeline") as Timeline, lsn: base.lsn("end_lsn") } };
}

/** The names of the checks that fail; Barman's hints may name hosts and connection strings. */
function failingOf(check: Answer): string[] {
  return check.fields
    .filter((field) => check.object(field).text("status") !== "OK")
    .map((field) => (/^[a-z0-9_]{1,60}$/.test(field) ? field : "one with an odd name"));
}
