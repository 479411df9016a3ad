// What a running PostgreSQL shows of the copies of its store, for a first configuration. What it does not show is said, not guessed:
// a standby's port is not known to its primary, and no server knows in which zone it is.
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { ConnectionTarget, SslMode } from "../check/connection-target.ts";
import { onSameMachine, seenList, type ReplicaSeen, type ServerSurvey } from "../check/server-survey.ts";
import { surveyServer } from "../check/survey.ts";
import { formatAddress, isLoopback, type ListenAddress } from "../config/listen-address.ts";
import { ProbeFault } from "../probes/postgresql/postgresql-fault.ts";
import type { PostgresqlTarget, TlsMode } from "../probes/postgresql/postgresql-target.ts";
import { lookAtServer, type ServerLook } from "./server-look.ts";

/** For how long positions are watched, milliseconds: nobody asks for them here. */
const WATCH_MS = 200;

/** A PostgreSQL server to look at, with what is known of it in sentences. */
export interface FoundServer {
  /** As a copy of its store. */
  readonly name: string;
  readonly address: ListenAddress;
  readonly remarks: readonly string[];
}

export interface FoundStore {
  /** The server that was named first. */
  readonly servers: readonly FoundServer[];
  readonly target: PostgresqlTarget;
  readonly archiving: Pick<ServerLook, "archiving" | "stanza" | "barmanServer">;
  /** Of what has no entry. */
  readonly remarks: readonly string[];
  /** Standbys that stream from here, and nobody knows where they listen. */
  readonly unlocated: readonly string[];
  readonly superuser: boolean;
}

export interface FindOptions {
  readonly target: ConnectionTarget;
  /** Where standbys listen, by their application_name. */
  readonly standbys: Readonly<Record<string, ListenAddress>>;
  readonly clock: Clock;
}

/** Looks at the server and at the standbys that it names. Rejects with TM-CHECK-… and TM-INIT-SERVER. */
export async function findStore({ target: given, standbys, clock }: FindOptions): Promise<FoundStore> {
  const survey = await surveyServer(given, clock, WATCH_MS);
  const target = probeTarget(given);
  let look: ServerLook;
  try {
    look = await lookAtServer(target, clock);
  } catch (error) {
    if (!(error instanceof ProbeFault)) throw error;
    throw new TidemarkError("TM-INIT-SERVER", `look at ${given.shown}: ${error.message}`, { details: { code: error.code } });
  }
  const names = new Set<string>();
  const first: FoundServer = {
    name: uniqueName(firstName(look, target), names),
    address: { host: target.host, port: target.port },
    remarks: firstRemarks(survey, { given, target }),
  };
  const seeker = { target, identity: look.systemIdentifier, survey, standbys, names, clock };
  const found: FoundStandby[] = [];
  for (const replica of seenList(survey.replicas)) found.push(await findStandby(replica, seeker));
  return {
    servers: [first, ...found.flatMap(({ server }) => server ?? [])],
    target,
    archiving: look,
    remarks: [
      ...(survey.replicas.known ? [] : [survey.replicas.why]),
      ...found.flatMap(({ remark }) => remark ?? []),
      ...slotRemarks(survey),
    ],
    unlocated: [...new Set(found.flatMap(({ unlocated }) => unlocated ?? []))],
    superuser: survey.self.superuser,
  };
}

/** Unix sockets are of this machine, and control connects over TCP. */
function probeTarget(given: ConnectionTarget): PostgresqlTarget {
  const { host, port, user, password, database, sslMode } = given;
  return {
    host: host.startsWith("/") ? "127.0.0.1" : host,
    port,
    user,
    ...(password === undefined ? {} : { password }),
    database,
    tls: tlsOf(sslMode),
  };
}

const TLS: Readonly<Record<SslMode, TlsMode>> = {
  disable: "disable",
  allow: "prefer",
  prefer: "prefer",
  require: "require",
  "verify-ca": "verify-full",
  "verify-full": "verify-full",
};

function tlsOf(mode: SslMode): TlsMode {
  return TLS[mode];
}

function firstName({ clusterName }: ServerLook, { host }: PostgresqlTarget): string {
  if (clusterName !== "") return clusterName;
  const isName = !isLoopback(host) && /[A-Za-z]/.test(host) && !host.includes(":");
  return isName ? (host.split(".")[0] ?? host) : "db1";
}

function firstRemarks(survey: ServerSurvey, of: { given: ConnectionTarget; target: PostgresqlTarget }): string[] {
  const remarks = [
    survey.server.inRecovery
      ? "A standby when this was written: give its primary to `tidemark init` to find the other copies."
      : "The primary when this was written; what each of them is may change.",
  ];
  if (of.given.host.startsWith("/")) remarks.push(`It was looked at over the Unix socket in ${of.given.host}.`);
  if (survey.server.pooled) remarks.push("A pooler stands between: name the server itself, for a pooler may lead to another one.");
  return remarks;
}

interface Seeker {
  readonly target: PostgresqlTarget;
  readonly identity: string;
  readonly survey: ServerSurvey;
  readonly standbys: FindOptions["standbys"];
  readonly names: Set<string>;
  readonly clock: Clock;
}

/** A server when it is known where it is, and a remark when not. */
interface FoundStandby {
  readonly server?: FoundServer;
  readonly remark?: string;
  readonly unlocated?: string;
}

async function findStandby(replica: ReplicaSeen, seeker: Seeker): Promise<FoundStandby> {
  if (replica.logical)
    return { remark: `${replica.name} takes some tables by logical replication: no copy that the whole could be recovered from.` };
  if (replica.receiverOnly)
    return { remark: `${replica.name} receives WAL and serves no queries; what the primary says of it is shown without an entry.` };
  const { target, survey, identity, clock } = seeker;
  const said = seeker.standbys[replica.name];
  const near = onSameMachine(replica, survey.server);
  const address = said ?? (near || replica.address === null ? undefined : { host: replica.address, port: target.port });
  if (address === undefined)
    return {
      unlocated: replica.name,
      remark: `${replica.name} streams from the same machine, and PostgreSQL does not say on which port it listens; --standby ${replica.name}=host:port tells it.`,
    };
  const answer = await lookAt({ ...target, ...address }, clock);
  const place = formatAddress(address);
  if (typeof answer !== "string" && answer.systemIdentifier !== identity)
    return {
      unlocated: replica.name,
      remark: `${replica.name} streams from here, and what answers at ${place} is another cluster; --standby ${replica.name}=host:port names it.`,
    };
  if (typeof answer === "string" && said === undefined)
    return {
      unlocated: replica.name,
      remark: `${replica.name} streams from here, and does not answer at ${place} (the primary's port was tried): ${answer}; --standby ${replica.name}=host:port names it.`,
    };
  const remarks = [
    replica.syncState === "async" || replica.syncState === "potential"
      ? "No commit waited for it when this was written: it promises nothing in a stall."
      : "Commits waited for it when this was written (synchronous_standby_names).",
    ...(typeof answer === "string" ? [`It did not answer: ${answer}.`] : []),
  ];
  return { server: { name: uniqueName(replica.name, seeker.names), address, remarks } };
}

/** What it says, or why it does not. */
async function lookAt(target: PostgresqlTarget, clock: Clock): Promise<ServerLook | string> {
  try {
    return await lookAtServer(target, clock);
  } catch (error) {
    if (!(error instanceof ProbeFault)) throw error;
    return error.message;
  }
}

function slotRemarks(survey: ServerSurvey): string[] {
  return seenList(survey.slots)
    .filter(({ type, active, temporary }) => type === "physical" && !active && !temporary)
    .map(({ name }) => `The slot ${name} is kept for a replica that was not connected when this was written.`);
}

/** As a copy may be called; the same name twice gets a number. */
function uniqueName(wanted: string, taken: Set<string>): string {
  const base =
    wanted
      .replaceAll(/[^A-Za-z0-9_.-]/g, "-")
      .replace(/^[^A-Za-z0-9]+/, "")
      .slice(0, 55) || "standby";
  let name = base;
  for (let number = 2; taken.has(name); number++) name = `${base}-${number}`;
  taken.add(name);
  return name;
}
