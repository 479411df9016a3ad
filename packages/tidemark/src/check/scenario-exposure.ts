// What would be lost now, per scenario, as far as one server alone can say. Where copies are, whether a base backup exists and
// whether it can be restored are not seen from here: those stay unknown, with why.
import type { Scenario } from "../objectives/failure-domain.ts";
import { onSameMachine, seenList, settingOf, type Lag, type ReplicaSeen, type ServerSurvey, wholeCopies } from "./server-survey.ts";
import { parseStandbyNames } from "./standby-names.ts";

/** No number where none is known; `no-copy`: nothing was found that would survive, so that all may be lost. */
export type Exposure = Lag | { readonly kind: "no-copy"; readonly why: string };

export interface SeenExposure {
  readonly scenario: Scenario;
  readonly exposure: Exposure;
  /** WAL that the copy lacks, bytes; absent: unknown, or none would be used. */
  readonly bytes?: number;
  /** The copy that would be used. */
  readonly uses?: string;
  /** How this was come by. */
  readonly because: string;
}

/** PostgreSQL's bound for a commit that nobody waited for: three times wal_writer_delay. */
const WRITER_ROUNDS = 3;

/** One entry per scenario, from small accidents to large ones. */
export function exposureOfSurvey(survey: ServerSurvey): SeenExposure[] {
  if (survey.server.inRecovery) {
    const why = "this server is a standby: what its primary has acknowledged is known there only";
    return (["process-loss", "node-loss", "zone-loss", "region-loss", "bad-write", "account-loss"] as const).map((scenario) =>
      unknown(scenario, why),
    );
  }
  const node = nodeLoss(survey);
  return [processLoss(survey), node, ...fartherLosses(node), badWrite(survey), accountLoss(survey, node)];
}

function unknown(scenario: Scenario, why: string): SeenExposure {
  return { scenario, exposure: { kind: "unknown", why }, because: why };
}

function processLoss(survey: ServerSurvey): SeenExposure {
  const commit = settingOf(survey, "synchronous_commit");
  const delayMs = Number(settingOf(survey, "wal_writer_delay") ?? Number.NaN);
  if (commit === undefined) return unknown("process-loss", survey.settings.known ? "synchronous_commit was not seen" : survey.settings.why);
  if (commit !== "off") {
    return {
      scenario: "process-loss",
      exposure: { kind: "known", ms: 0, errorMs: 0 },
      uses: "its own WAL",
      because: `every commit waits until its WAL is written${exceptions(survey, ["off"])}`,
    };
  }
  if (!(delayMs > 0)) return unknown("process-loss", "synchronous_commit is off and wal_writer_delay was not seen");
  const mostMs = delayMs * WRITER_ROUNDS;
  const because = `synchronous_commit is off: up to ${WRITER_ROUNDS} × wal_writer_delay`;
  return { scenario: "process-loss", exposure: { kind: "known", ms: mostMs / 2, errorMs: mostMs / 2 }, uses: "its own WAL", because };
}

/** For whom the sentence before does not hold. */
function exceptions(survey: ServerSurvey, values: readonly string[]): string {
  if (!survey.overrides.known) return "; whether it is so for every role and database was not seen";
  const others = survey.overrides.value.filter(({ name, value }) => name === "synchronous_commit" && values.includes(value.toLowerCase()));
  const whom = others.map(({ role, database }) => role ?? database ?? "all roles");
  return whom.length === 0
    ? ""
    : `, but for ${whom.join(", ")}: synchronous_commit is ${values.join(" or ")} there, and that much is exposed`;
}

function nodeLoss(survey: ServerSurvey): SeenExposure {
  const scenario = "node-loss";
  if (!survey.replicas.known) return unknown(scenario, survey.replicas.why);
  const elsewhere = wholeCopies(survey.replicas.value).filter((replica) => !onSameMachine(replica, survey.server));
  const confirmed = confirmedElsewhere(survey, elsewhere);
  if (confirmed !== undefined) {
    const exposure: Exposure = { kind: "known", ms: 0, errorMs: 0 };
    return {
      scenario,
      exposure,
      bytes: 0,
      uses: confirmed,
      because: `every acknowledgement waits for a replica on another address${exceptions(survey, ["off", "local"])}`,
    };
  }
  const best = elsewhere.map((replica) => ({ replica, lag: lagOf(survey, replica) })).sort((a, b) => rank(a.lag) - rank(b.lag))[0];
  if (best !== undefined) {
    const { replica, lag } = best;
    return {
      scenario,
      exposure: lag,
      ...(replica.missingBytes === null ? {} : { bytes: replica.missingBytes }),
      uses: replica.name || `pid ${replica.pid}`,
      because: "asynchronous: so much it lacked while it was watched; in a stall it promises nothing",
    };
  }
  return fromArchive(survey, scenario);
}

/** Who holds everything that was acknowledged, on another machine; undefined: nobody surely does. */
function confirmedElsewhere(survey: ServerSurvey, elsewhere: readonly ReplicaSeen[]): string | undefined {
  const commit = settingOf(survey, "synchronous_commit");
  if (commit !== "on" && commit !== "remote_apply" && commit !== "remote_write") return undefined;
  const first = elsewhere.find(({ syncState, state }) => syncState === "sync" && state === "streaming");
  if (first !== undefined) return first.name;
  const quorum = seenList(survey.replicas).filter(({ syncState }) => syncState === "quorum");
  const beside = quorum.filter((replica) => !elsewhere.includes(replica)).length;
  const needed = parseStandbyNames(settingOf(survey, "synchronous_standby_names") ?? "")?.needed ?? 0;
  const others = quorum.filter((replica) => elsewhere.includes(replica));
  // Of `needed` confirmations at most `beside` came from this machine; with fewer than `needed` streaming nothing is acknowledged.
  return needed > beside && others.length > 0 ? others.map(({ name }) => name).join(" or ") : undefined;
}

function lagOf(survey: ServerSurvey, replica: ReplicaSeen): Lag {
  if (!survey.watch.known) return { kind: "unknown", why: survey.watch.why };
  return (
    survey.watch.value.replicas.find(({ pid }) => pid === replica.pid)?.lag ?? {
      kind: "unknown",
      why: "the replica left while it was watched",
    }
  );
}

/** From the least lag to the least known. */
function rank(lag: Lag): number {
  return lag.kind === "known" ? lag.ms : lag.kind === "at-least" ? 1e12 + lag.ms : Number.POSITIVE_INFINITY;
}

function fromArchive(survey: ServerSurvey, scenario: Scenario): SeenExposure {
  const mode = settingOf(survey, "archive_mode");
  const command = settingOf(survey, "archive_command") ?? "";
  const hollow = !command.includes("%p") && (settingOf(survey, "archive_library") ?? "") === "";
  if (mode === undefined) return unknown(scenario, "archive_mode was not seen");
  if (mode === "off" || hollow) {
    const why = "no replica on another address, and no WAL archive: dumps and snapshots cannot be seen from here";
    return { scenario, exposure: { kind: "no-copy", why }, because: why };
  }
  if (!survey.archiver.known) return unknown(scenario, survey.archiver.why);
  const { lastArchivedAgoMs, missingBytes } = survey.archiver.value;
  if (lastArchivedAgoMs === null) return unknown(scenario, "WAL is to be archived, and none was since the statistics began");
  return {
    scenario,
    exposure: { kind: "at-least", ms: missingBytes === 0 ? 0 : lastArchivedAgoMs },
    ...(missingBytes === null ? {} : { bytes: missingBytes }),
    uses: "WAL archive",
    because: "since the last archived file; and only with a base backup that can be restored, which is not seen from here",
  };
}

function fartherLosses(node: SeenExposure): SeenExposure[] {
  return (["zone-loss", "region-loss"] as const).map((scenario) =>
    node.exposure.kind === "no-copy"
      ? { ...node, scenario }
      : unknown(scenario, "addresses do not say in which zone or region a copy is; tidemark.yaml does"),
  );
}

function badWrite(survey: ServerSurvey): SeenExposure {
  const scenario = "bad-write";
  const archive = fromArchive(survey, scenario);
  const receivers = seenList(survey.replicas).filter(({ receiverOnly }) => receiverOnly);
  if (archive.exposure.kind === "no-copy" && receivers.length === 0) {
    const why = "replicas repeat a wrong DELETE within milliseconds, and nothing was found that can go back in time";
    return { scenario, exposure: { kind: "no-copy", why }, because: why };
  }
  const has = receivers.length > 0 ? `${receivers.map(({ name }) => name).join(", ")} receives WAL` : "WAL is archived";
  return unknown(scenario, `${has}; whether a base backup exists, and was ever restored, is not seen from here`);
}

function accountLoss(survey: ServerSurvey, node: SeenExposure): SeenExposure {
  const scenario = "account-loss";
  if (node.exposure.kind === "no-copy") return { ...node, scenario };
  return unknown(scenario, "whether a copy is out of reach of this account's owner cannot be seen from here");
}

/** What the numbers do not cover, in sentences. */
export function notCovered(survey: ServerSurvey): string[] {
  const databases = survey.database.known ? survey.database.value.others : 0;
  return [
    "Base backups, dumps and snapshots: whether they exist, and whether they can be restored, is not seen from a running server.",
    "restore_command: one that ends with 1 to 125 on a fault makes a recovery end early and open the database short. Only a restore shows it.",
    "Which zone, region or account a copy is in.",
    "What happened before the check and what happens after it: it looked for a few seconds.",
    ...(databases > 0
      ? [`Unlogged tables, sequences and publications of ${databases} other ${databases === 1 ? "database" : "databases"} on this server.`]
      : []),
    "Free disk space: PostgreSQL does not say it.",
    "Split brain and other servers' settings: one server was asked.",
    "synchronous_commit as clients set it in their own sessions.",
    ...((settingOf(survey, "synchronous_standby_names") ?? "") === ""
      ? []
      : ["Commits that were released while synchronous_standby_names was empty or shorter: they were acknowledged without a second copy."]),
  ];
}
