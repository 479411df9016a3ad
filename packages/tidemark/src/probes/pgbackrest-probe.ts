import type { Clock } from "@tidemark/kernel/clock";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { Answer, garbage } from "./answer.ts";
import { backupCopy, CATALOGUE_FRESH_FOR_MS, DEFAULT_SEGMENT_BYTES, endOfSegment, UNPROVEN, type WholeBackup } from "./backup-copy.ts";
import { readJson, type JsonSource } from "./json-source.ts";
import { ProbeFault } from "./postgresql/postgresql-fault.ts";
import type { PositionTimes } from "./position-times.ts";
import type { CopyFacts, Figure } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { ProbeTurns, type Found } from "./probe-turns.ts";

export interface PgbackrestProbeOptions {
  readonly store: string;
  /** The copies are `<copy>/repo1`, `<copy>/repo2`, …: each repository is a copy of its own. */
  readonly copy: string;
  readonly stanza: string;
  /** Where each repository is, by its number; what is not named here is in no known domain. */
  readonly repositories: Readonly<Record<number, FailureDomain>>;
  /** What gives `pgbackrest info --output=json`. */
  readonly source: JsonSource;
  /** Of the cluster, bytes; pgBackRest does not tell it. Default 16 MiB. */
  readonly segmentBytes?: number;
  readonly positions?: PositionTimes;
  /** Some periods of this probe, milliseconds. Default {@link CATALOGUE_FRESH_FOR_MS}. */
  readonly freshForMs?: number;
  readonly clock: Clock;
}

/**
 * The repositories of pgBackRest, by its own catalogue (its command reference, "info": the JSON form is kept stable). The catalogue says
 * nothing about whether a backup can be restored, nor whether the WAL behind it is unbroken.
 */
export class PgbackrestProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: PgbackrestProbeOptions;
  readonly #turns: ProbeTurns;

  constructor(options: PgbackrestProbeOptions) {
    this.name = `pgbackrest ${options.copy}`;
    this.store = options.store;
    this.#options = options;
    this.#turns = new ProbeTurns(options.clock);
  }

  probe(signal: AbortSignal): Promise<ProbeReading> {
    const { source, stanza } = this.#options;
    return this.#turns.run(signal, async (turn) => {
      const stanzas = Answer.listOf(await readJson(source, { signal: turn.signal }), "info");
      const mine = stanzas.find((one) => one.text("name") === stanza);
      if (mine === undefined) throw new ProbeFault("TM-PROBE-FAILED", "the repositories have no stanza of this name");
      return this.#found(mine, { atMs: turn.atMs, errorMs: turn.elapsedMs() });
    });
  }

  close(): Promise<void> {
    return this.#turns.close();
  }

  #found(stanza: Answer, seen: { atMs: number; errorMs: number }): Found {
    const figures: Record<string, Figure<number>> = {};
    const copies = stanza.list("repo").map((repository): CopyFacts => {
      const number = repository.count("key");
      const { copy, backups, spoiled, bytes } = this.#repository(stanza, { repository, number, ...seen });
      figures[`pgbackrest_repo${number}_backups`] = known(backups, { ...seen, method: "reported" });
      figures[`pgbackrest_repo${number}_backups_spoiled`] = known(spoiled, { ...seen, method: "reported" });
      figures[`pgbackrest_repo${number}_bytes`] =
        backups === 0 ? unknown("there is no backup", seen.atMs) : known(bytes, { ...seen, method: "reported" });
      return copy;
    });
    return { copies, figures };
  }

  #repository(stanza: Answer, at: { repository: Answer; number: number; atMs: number; errorMs: number }) {
    const { repository, number, atMs, errorMs } = at;
    const status = repository.object("status").count("code");
    // An upgraded or restored-anew cluster gets a new number; backups of an earlier one are of another database.
    const ids = stanza
      .list("db")
      .filter((db) => db.count("repo-key") === number)
      .map((db) => db.count("id"));
    const id = ids.length === 0 ? undefined : Math.max(...ids);
    const ofThis = (one: Answer): boolean => {
      const database = one.object("database");
      return database.count("repo-key") === number && database.count("id") === id;
    };
    const all = stanza.list("backup").filter(ofThis);
    // A catalogue with backups and without the cluster they are of contradicts itself: none of them may silently be nobody's.
    if (id === undefined && stanza.list("backup").some((backup) => backup.object("database").count("repo-key") === number))
      throw garbage("info.db does not name the cluster that the backups are of");
    const sound = all.filter((backup) => !backup.flag("error"));
    const archive = stanza.list("archive").find(ofThis);
    const copy = backupCopy({
      name: `${this.#options.copy}/repo${number}`,
      domain: this.#options.repositories[number] ?? {},
      freshForMs: this.#options.freshForMs ?? CATALOGUE_FRESH_FOR_MS,
      backups: sound.map(wholeBackup),
      archivedTo: archive?.has("max") === true ? endOf(archive, "max", this.#options.segmentBytes ?? DEFAULT_SEGMENT_BYTES) : undefined,
      positions: this.#options.positions,
      atMs,
      errorMs,
      remarks: [
        UNPROVEN,
        ...(status === 0 ? [] : [`pgBackRest gives this repository the status ${status}.`]),
        ...(sound.length < all.length ? [`${all.length - sound.length} backups have pages with wrong checksums and are left out.`] : []),
        ...(archive?.has("max") === true
          ? ["pgBackRest's catalogue does not say whether the WAL between its backups and its newest segment is unbroken."]
          : []),
      ],
    });
    const bytes = sound.reduce((sum, backup) => sum + backup.object("info").object("repository").count("delta"), 0);
    return { copy, backups: sound.length, spoiled: all.length - sound.length, bytes };
  }
}

function wholeBackup(backup: Answer): WholeBackup {
  const end = endOf(backup.object("archive"), "stop", DEFAULT_SEGMENT_BYTES);
  return {
    endedMs: backup.object("timestamp").count("stop") * 1_000,
    end: { timeline: end.timeline, lsn: backup.object("lsn").lsn("stop") },
  };
}

function endOf(archive: Answer, field: string, segmentBytes: number) {
  const end = endOfSegment(archive.text(field), segmentBytes);
  if (end === undefined) throw garbage(`info.archive.${field} is no WAL segment`);
  return end;
}
