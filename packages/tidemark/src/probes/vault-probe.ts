import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { Answer } from "./answer.ts";
import { getJson, type HttpTarget } from "./http-json.ts";
import { pointAt, type PositionTimes } from "./position-times.ts";
import type { CopyFacts, Figure, RecoveryPoint } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import type { Probe, ProbeReading } from "./probe.ts";
import { ProbeTurns, type Found, type Turn } from "./probe-turns.ts";

export interface VaultProbeOptions {
  readonly store: string;
  /** The vault's, as in the configuration: the copies are `vault1` and `vault1/<object store>`. */
  readonly vault: string;
  readonly domain: FailureDomain;
  /** Where each object store is that it archives to; what is not named here is in no known domain. */
  readonly archives: Readonly<Record<string, FailureDomain>>;
  /** The vault's `GET /status` and the internal token. */
  readonly target: HttpTarget;
  readonly positions?: PositionTimes;
  readonly clock: Clock;
}

/** "Nothing is missing" is not said of a primary that was heard longer ago, milliseconds. */
const HEARD_WITHIN_MS = 2_000;
/** Remarks of one copy; further ones are counted only. */
const MOST_REMARKS = 8;

/** A vault of Tidemark: its own disk is one copy, each object store that it archives to is another. */
export class VaultProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: VaultProbeOptions;
  readonly #turns: ProbeTurns;
  /** The oldest commit that was seen in the unbroken run that begins at `run`: from then on it is certainly there. */
  #reach: { readonly run: string; readonly fromMs: number } | undefined;

  constructor(options: VaultProbeOptions) {
    this.name = `vault ${options.vault}`;
    this.store = options.store;
    this.#options = options;
    this.#turns = new ProbeTurns(options.clock);
  }

  probe(signal: AbortSignal): Promise<ProbeReading> {
    return this.#turns.run(signal, async (turn) =>
      this.#found(Answer.of(await getJson(this.#options.target, turn.signal), "status"), turn),
    );
  }

  close(): Promise<void> {
    return this.#turns.close();
  }

  #found(status: Answer, turn: Turn): Found {
    const { atMs } = turn;
    const errorMs = turn.elapsedMs();
    const { vault, domain } = this.#options;
    const state = status.text("state");
    const streams = state === "streaming";
    const lag: Figure<number> =
      streams && status.has("lagBytes")
        ? known(status.count("lagBytes"), { atMs, method: "reported", errorMs })
        : unknown(streams ? "the vault does not say how far the primary is" : `the vault follows no primary: it is ${state}`, atMs);
    const heardMs = streams && status.has("silentMs") ? status.count("silentMs") : undefined;
    const complete = lag.known && lag.value === 0 && heardMs !== undefined && heardMs <= HEARD_WITHIN_MS;
    const point = this.#point(status, { complete, atMs: atMs - (complete ? (heardMs ?? 0) : 0), errorMs: errorMs + (heardMs ?? 0) });
    const copy: CopyFacts = {
      name: vault,
      kind: "vault",
      domain,
      holds: "wal",
      outlivesProcess: true,
      recoveryPoint: point.recoveryPoint,
      missingBytes: lag,
      missingTransactions: point.missingTransactions,
      synchronous: unknown("the primary says for whom an acknowledgement waits", atMs),
      ...this.#range(status, point.recoveryPoint),
      remarks: remarksOf(status),
    };
    return {
      copies: [copy, ...this.#archives(status, { vaultLag: lag, complete, atMs, errorMs })],
      figures: figuresOf(status, lag, { atMs, errorMs }),
    };
  }

  #point(status: Answer, seen: { complete: boolean; atMs: number; errorMs: number }) {
    const { atMs, errorMs } = seen;
    if (!status.has("recoveryPoint")) return nothing("the vault has no recovery point yet", atMs);
    const point = status.object("recoveryPoint");
    const timeline = point.count("timeline") as Timeline;
    const lsn = point.lsn(point.has("lastWholeRecordLsn") ? "lastWholeRecordLsn" : "flushedLsn");
    const byPosition = pointAt(this.#options.positions, { timeline, lsn }, { atMs, errorMs });
    if (byPosition.recoveryPoint.known) return byPosition;
    if (!point.has("commit")) return nothing("the vault has seen no commit yet", atMs);
    const value: RecoveryPoint = {
      commitMs: point.object("commit").number("atMs"),
      complete: seen.complete,
      lsn: formatLsn(lsn),
      timeline,
    };
    const measured = { atMs, method: "commit-record", errorMs } as const;
    return {
      recoveryPoint: known(value, measured),
      missingTransactions: seen.complete ? known(0, measured) : unknown<number>("commits that it lacks are not counted", atMs),
    };
  }

  /** The status says where its WAL begins, not when: the oldest commit that this probe saw in the same run is a time that is certainly after it. */
  #range(status: Answer, point: Figure<RecoveryPoint>): Pick<CopyFacts, "pointInTime"> {
    if (!status.has("contiguousFrom") || !status.has("recoveryPoint") || !point.known) return {};
    const recovery = status.object("recoveryPoint");
    if (!recovery.has("commit")) return {};
    const from = status.object("contiguousFrom");
    const run = `${from.count("timeline")}/${from.text("lsn")}`;
    const commitMs = recovery.object("commit").number("atMs");
    if (this.#reach?.run !== run || commitMs < this.#reach.fromMs) this.#reach = { run, fromMs: commitMs };
    return { pointInTime: { fromMs: this.#reach.fromMs, toMs: Math.max(this.#reach.fromMs, point.value.commitMs) } };
  }

  #archives(status: Answer, seen: { vaultLag: Figure<number>; complete: boolean; atMs: number; errorMs: number }): CopyFacts[] {
    if (!status.has("archive")) return [];
    const archive = status.object("archive");
    const holes = archive.list("holes");
    return archive.list("stores").map((store) => this.#archive(store, holes, seen));
  }

  #archive(
    store: Answer,
    holes: readonly Answer[],
    seen: { vaultLag: Figure<number>; complete: boolean; atMs: number; errorMs: number },
  ): CopyFacts {
    const { atMs, errorMs, vaultLag } = seen;
    const name = store.text("name");
    const behind = store.countText("lagBytes");
    const lag = vaultLag.known ? known(behind + vaultLag.value, { atMs, method: "reported", errorMs }) : vaultLag;
    const unverified = store.count("unverified");
    const point = this.#archivePoint(store, { complete: seen.complete && behind === 0, atMs, errorMs });
    return {
      name: `${this.#options.vault}/${name}`,
      kind: "archive",
      domain: this.#options.archives[name] ?? {},
      holds: "wal",
      outlivesProcess: true,
      recoveryPoint: point.recoveryPoint,
      missingBytes: lag,
      missingTransactions: point.missingTransactions,
      synchronous: known(false, { atMs, method: "reported", errorMs }),
      remarks: [
        ...(store.has("lastError") ? [`Its last attempt failed with ${codeOf(store.object("lastError"))}.`] : []),
        ...(unverified > 0 ? [`${unverified} of its objects have not been read again whole since its catalogue was made anew.`] : []),
        ...(holes.some((hole) => hole.text("where") === name)
          ? ["WAL is missing within it: it gives back what lies after the hole only."]
          : []),
      ],
    };
  }

  #archivePoint(store: Answer, seen: { complete: boolean; atMs: number; errorMs: number }) {
    const { atMs, errorMs } = seen;
    if (!store.has("recoveryPoint")) return nothing("the archive has no recovery point yet", atMs);
    const point = store.object("recoveryPoint");
    const timeline = point.count("timeline") as Timeline;
    const lsn = point.lsn("lsn");
    const byPosition = pointAt(this.#options.positions, { timeline, lsn }, { atMs, errorMs });
    if (byPosition.recoveryPoint.known) return byPosition;
    if (!point.has("commitTimeMs")) return nothing("the time of its last commit is not known", atMs);
    const value: RecoveryPoint = { commitMs: point.number("commitTimeMs"), complete: seen.complete, lsn: formatLsn(lsn), timeline };
    const measured = { atMs, method: "commit-record", errorMs } as const;
    return {
      recoveryPoint: known(value, measured),
      missingTransactions: seen.complete ? known(0, measured) : unknown<number>("commits that it lacks are not counted", atMs),
    };
  }
}

function nothing(why: string, sinceMs: number) {
  return { recoveryPoint: unknown<RecoveryPoint>(why, sinceMs), missingTransactions: unknown<number>(why, sinceMs) };
}

function figuresOf(status: Answer, lag: Figure<number>, { atMs, errorMs }: { atMs: number; errorMs: number }): Found["figures"] {
  const measured = { atMs, method: "reported", errorMs } as const;
  const free = status.has("disk") ? status.object("disk") : undefined;
  return {
    vault_lag_bytes: lag,
    vault_silence_seconds: status.has("silentMs")
      ? known(status.count("silentMs") / 1_000, measured)
      : unknown("the vault has heard no primary", atMs),
    vault_gaps: known(status.list("gaps").length, measured),
    vault_faults: known(status.list("faults").length, measured),
    vault_disk_free_bytes:
      free === undefined ? unknown("the vault does not say how much of its disk is free", atMs) : known(free.count("freeBytes"), measured),
  };
}

/** Faults by their code: what they say in words may name places and addresses. */
function remarksOf(status: Answer): string[] {
  const faults = status.list("faults").map((fault) => `It has a fault: ${codeOf(fault)}.`);
  const gaps = status.list("gaps").length;
  const all = [
    ...(gaps > 0 ? [`WAL was lost before it could receive it, ${gaps} times: what lies before needs another copy.`] : []),
    ...faults,
  ];
  return all.length <= MOST_REMARKS ? all : [...all.slice(0, MOST_REMARKS), `… and ${all.length - MOST_REMARKS} more.`];
}

function codeOf(fault: Answer): string {
  const code = fault.text("code");
  return /^TM-[A-Z0-9-]{1,60}$/.test(code) ? code : "one without a code";
}
