// Looks at one PostgreSQL server from outside: asks, never writes, and has ended within ten seconds whatever the server does.
// A question that is denied, fails or comes too late costs its own part of the survey only.
import { sleep, type Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { ConnectionTarget } from "./connection-target.ts";
import { watchOf, type PositionSample } from "./position-watch.ts";
import { ServerConnection, type Answer } from "./server-connection.ts";
import type { ClockSeen, OwnRights, Seen, ServerIdentity, ServerSurvey } from "./server-survey.ts";
import * as query from "./survey-queries.ts";
import * as read from "./survey-reading.ts";

/** From the connection's first packet to the end of the survey, milliseconds: leaves time to start and to print within ten seconds. */
const SURVEY_MS = 8_000;
/** For the login and the first answer, milliseconds. */
const LOGIN_MS = 5_000;
/** For the answers to all questions but those for positions, milliseconds. A server that stays silent so long is given up. */
const PARTS_MS = 4_000;
/** For one reading of positions, milliseconds. */
const SAMPLE_MS = 2_500;
/** Between two readings of positions, milliseconds. It bounds the error of each replica's lag. */
const SAMPLE_EVERY_MS = 200;
/** For how long positions are watched unless somebody says otherwise, milliseconds. */
export const WATCH_MS = 3_000;
/** The oldest version whose catalogues are known here. */
const OLDEST_MAJOR = 12;

/** Throws TM-CHECK-… when nothing can be known of the server. */
export async function surveyServer(target: ConnectionTarget, clock: Clock, watchMs: number = WATCH_MS): Promise<ServerSurvey> {
  const atMs = clock.wallMs();
  const startMs = clock.monotonicMs();
  const left = (): number => startMs + SURVEY_MS - clock.monotonicMs();
  const connection = new ServerConnection(target, clock);
  try {
    const { server, self } = readBeginning(await connection.begin(query.IDENTITY, LOGIN_MS), connection.processId, target);
    const ask = async <T>(text: string, reading: (value: unknown) => T): Promise<Seen<T>> =>
      readPart(await connection.ask(text, Math.min(PARTS_MS, left())), reading);
    // All at once: over a long way each round trip counts.
    const [cluster, settings, replicas, slots, archiver, overrides, prepared, database, transactions, walDirectory, recovery] =
      await Promise.all([
        ask(query.CLUSTER, read.cluster),
        ask(query.SETTINGS, read.settings),
        ask(query.REPLICAS, read.replicas),
        ask(query.SLOTS, read.slots),
        connection.ask(query.ARCHIVER, Math.min(PARTS_MS, left())),
        ask(query.OVERRIDES, read.overrides),
        ask(query.PREPARED, read.prepared),
        ask(query.DATABASE, read.database),
        self.superuser || self.monitor ? ask(query.TRANSACTIONS, read.transactions) : HIDDEN,
        ask(query.WAL_DIRECTORY, read.walDirectory),
        server.inRecovery ? ask(query.RECOVERY, read.recovery) : undefined,
      ]);
    const segmentBytes = settings.known ? Number(settings.value["wal_segment_size"]?.value) : Number.NaN;
    const watched = await watchPositions(connection, clock, { watchMs, left });
    return {
      target: target.shown,
      atMs,
      tookMs: clock.monotonicMs() - startMs,
      server,
      self,
      cluster,
      settings,
      overrides,
      replicas: visible(replicas, self),
      slots,
      archiver: readPart(archiver, (value) => read.archiver(value, segmentBytes)),
      transactions,
      prepared,
      database,
      walDirectory,
      ...(recovery === undefined ? {} : { recovery }),
      ...watched,
    };
  } finally {
    connection.close();
  }
}

const HIDDEN = { known: false, why: "PostgreSQL hides other sessions from a user without pg_monitor" } as const;

function readBeginning(
  value: unknown,
  processId: number | undefined,
  target: ConnectionTarget,
): { server: ServerIdentity; self: OwnRights } {
  let identity;
  try {
    identity = read.identity(value);
  } catch (error) {
    const message = `the check of ${target.shown} could not make sense of what the server answered`;
    throw new TidemarkError("TM-CHECK-NO-POSTGRESQL", message, { cause: error });
  }
  const { pid, self, ...server } = identity;
  const major = Math.floor(server.versionNumber / 10_000);
  if (major < OLDEST_MAJOR)
    throw new TidemarkError(
      "TM-CHECK-VERSION",
      `${target.shown} is PostgreSQL ${major}, and versions from ${OLDEST_MAJOR} on can be checked`,
    );
  return { server: { ...server, major, pooled: processId !== undefined && processId !== pid }, self };
}

function readPart<T>(answer: Answer, reading: (value: unknown) => T): Seen<T> {
  if (!answer.known) return answer;
  try {
    return { known: true, value: reading(answer.value) };
  } catch (error) {
    if (!(error instanceof read.Unreadable)) throw error;
    return { known: false, why: error.message };
  }
}

/** PostgreSQL gives a user without rights rows that hold nothing but a process id: that is not "streams to nobody". */
function visible(replicas: ServerSurvey["replicas"], self: OwnRights): ServerSurvey["replicas"] {
  if (self.superuser || self.monitor || (replicas.known && replicas.value.length === 0)) return replicas;
  return { known: false, why: "PostgreSQL hides what replicas have from a user without pg_monitor" };
}

interface WatchLimits {
  readonly watchMs: number;
  readonly left: () => number;
}

async function watchPositions(
  connection: ServerConnection,
  clock: Clock,
  limits: WatchLimits,
): Promise<Pick<ServerSurvey, "clock" | "watch">> {
  const samples: PositionSample[] = [];
  let best: ClockSeen | undefined;
  let why = "positions were not read twice in the time that was left";
  const endMs = clock.monotonicMs() + limits.watchMs;
  for (;;) {
    const askedMs = clock.monotonicMs();
    const askedWallMs = clock.wallMs();
    const seen = readPart(await connection.ask(query.SAMPLE, Math.min(SAMPLE_MS, limits.left())), read.sample);
    const answeredMs = clock.monotonicMs();
    if (!seen.known) {
      why = seen.why;
      break;
    }
    const { clockMs, ...positions } = seen.value;
    samples.push({ askedMs, answeredMs, ...positions });
    const errorMs = (answeredMs - askedMs) / 2;
    // The shortest round trip bounds the offset best. The half millisecond is the wall clock's own step.
    if (best === undefined || errorMs + 0.5 < best.errorMs) best = { offsetMs: clockMs - askedWallMs - errorMs, errorMs: errorMs + 0.5 };
    const waitMs = Math.min(SAMPLE_EVERY_MS, endMs - answeredMs, limits.left());
    if (waitMs <= 0) break;
    await sleep(clock, waitMs);
  }
  const watch = watchOf(samples);
  return {
    clock: best === undefined ? { known: false, why } : { known: true, value: best },
    watch: watch === undefined ? { known: false, why } : { known: true, value: watch },
  };
}
