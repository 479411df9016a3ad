// Which copies an acknowledgement really waits for now, and since when. The server's word for it is not enough: a copy that becomes
// synchronous has not yet what was acknowledged before (trap 22), sessions may be exempt (trap 19), and a list that is emptied
// releases the commits that waited as if their copies had answered (trap 16).
import type { Lsn } from "@tidemark/kernel/lsn";
import type { PrimaryAnswer, Replica, ServerSettingsAnswer, Weakened } from "./postgresql-answers.ts";

/** Copies whose standing is remembered; a copy beyond is judged as new at each turn, which never says too much. */
const MOST_MEMBERS = 64;

export interface Standing {
  /** Every acknowledgement waits for this copy. */
  readonly demanded: boolean;
  /** It has all that was acknowledged before it was waited for. */
  readonly caughtUp: boolean;
  /** Why not, or what limits it. */
  readonly remarks: readonly string[];
}

export class SynchronousWatch {
  readonly #sinceLsn = new Map<string, Lsn>();
  #asked = 0;
  #standbyNames = "";
  #releasedAtMs: number | undefined;

  /** When acknowledgements were released without the copies that had been asked for, observer's wall time, milliseconds. */
  get releasedAtMs(): number | undefined {
    return this.#releasedAtMs;
  }

  /** Takes a turn's answer and gives each replica's standing, by its process. */
  take(answer: PrimaryAnswer, settings: ServerSettingsAnswer, atMs: number): ReadonlyMap<number, Standing> {
    const asked = waits(settings) ? copiesAsked(answer.standbyNames) : 0;
    if (asked < this.#asked) this.#releasedAtMs = atMs;
    // Of another list, commits may have been released that a copy of this one lacks.
    if (answer.standbyNames !== this.#standbyNames) this.#sinceLsn.clear();
    this.#asked = asked;
    this.#standbyNames = answer.standbyNames;
    const standings = new Map<number, Standing>();
    const names = new Set<string>();
    for (const replica of answer.replicas) {
      const standing = this.#standingOf(replica, answer, settings);
      if (standing.demanded && replica.name !== undefined) names.add(replica.name);
      standings.set(replica.pid, standing);
    }
    for (const name of this.#sinceLsn.keys()) if (!names.has(name)) this.#sinceLsn.delete(name);
    return standings;
  }

  /** Another server, or another reign: what was seen of the last one counts no more. */
  forget(): void {
    this.#sinceLsn.clear();
    this.#asked = 0;
    this.#standbyNames = "";
    this.#releasedAtMs = undefined;
  }

  #standingOf(replica: Replica, answer: PrimaryAnswer, settings: ServerSettingsAnswer): Standing {
    const { name } = replica;
    const no = (remarks: readonly string[] = []): Standing => ({ demanded: false, caughtUp: false, remarks });
    if (name === undefined || replica.state !== "streaming") return no();
    const sync = replica.syncState === "sync";
    const quorum = replica.syncState === "quorum";
    if (!sync && !quorum) return no();
    if (quorum && !needsAll(answer.standbyNames)) return no([`one of a quorum: ${answer.standbyNames}`]);
    const weak = weaknesses(settings);
    if (weak.length > 0) return no(weak);
    if (!this.#sinceLsn.has(name) && this.#sinceLsn.size < MOST_MEMBERS) this.#sinceLsn.set(name, answer.insertLsn);
    const sinceLsn = this.#sinceLsn.get(name) ?? answer.insertLsn;
    const twins = answer.replicas.filter((other) => other.name === name).length;
    return {
      demanded: true,
      // Of two copies with one name nobody knows which one answered (trap 21).
      caughtUp: replica.flushLsn !== undefined && replica.flushLsn >= sinceLsn && twins === 1,
      remarks: [
        ...(twins > 1 ? [`${twins} copies are called ${name}`] : []),
        ...(settings.settings["synchronous_commit"] === "remote_write"
          ? ["commits wait until it has written, not flushed: a crash of both machines may lose some"]
          : []),
      ],
    };
  }
}

/** Whether commits wait for copies at all, by the server's default. */
function waits(settings: ServerSettingsAnswer): boolean {
  const value = settings.settings["synchronous_commit"];
  return value !== "off" && value !== "local";
}

function weaknesses(settings: ServerSettingsAnswer): string[] {
  const weak = settings.weakened
    .filter(({ value }) => value === "off" || value === "local")
    .map((of) => `commits of ${whose(of)} do not wait for it`);
  if (!waits(settings)) weak.unshift(`synchronous_commit is ${settings.settings["synchronous_commit"]}: commits do not wait for it`);
  if (settings.ownSynchronousCommit)
    weak.unshift("synchronous_commit is set for the probe's own role, so that the server's default is not known");
  return weak;
}

function whose({ role, database }: Weakened): string {
  return [role === undefined ? "every role" : `role ${role}`, ...(database === undefined ? [] : [`in database ${database}`])].join(" ");
}

/** How many copies have to answer before a commit returns. */
function copiesAsked(standbyNames: string): number {
  if (standbyNames.trim() === "") return 0;
  const form = /^\s*(?:ANY\s+|FIRST\s+)?(\d+)\s*\(/i.exec(standbyNames);
  return form === null ? 1 : Number(form[1]);
}

/** Whether `ANY k (…)` lists no more than k names. `*` matches anything, so that it never does. */
function needsAll(standbyNames: string): boolean {
  const form = /^\s*ANY\s+(\d+)\s*\((.*)\)\s*$/is.exec(standbyNames);
  if (form === null) return false;
  const names = (form[2] ?? "").split(",").map((name) => name.trim());
  return !names.includes("*") && names.length <= Number(form[1]);
}
