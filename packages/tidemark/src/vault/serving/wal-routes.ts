// WAL over HTTP, for `tidemark wal` and for agents that complete a standby: GET and PUT /wal/<name>, GET /timelines, GET /time-to-lsn.
// All need the internal token. docs/wal-archiving.md has the statuses.
/* oxlint-disable oxc/no-async-endpoint-handlers -- made for Express; Fastify awaits its handlers */
import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { FastifyInstance } from "fastify";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn, parseLsn } from "@tidemark/kernel/lsn";
import { wholeNumberOf } from "../../cluster/role-server.ts";
import type { PushedWal } from "./pushed-wal.ts";
import type { ServingState } from "./serving-rules.ts";
import { WAL_HEADER } from "./wal-headers.ts";
import type { WalLibrary } from "./wal-library.ts";

/** The largest segment that PostgreSQL can be made with. */
const MOST_BODY_BYTES = 1_073_741_824;
/** Files that are held in memory at once, each a segment; further requests wait. */
const MOST_FILES_AT_ONCE = 2;
/** Requests that wait for one of those places; further ones are answered 503 and come again. */
const MOST_WAITING = 64;
/** The longest wait for a pushed file to be archived, milliseconds. */
const MOST_ARCHIVE_WAIT_MS = 600_000;
/** How often is looked whether it is. */
const ARCHIVE_LOOK_MS = 250;

/** The last commit before the first one, in the order of WAL, that is later than a time. */
export interface CommitAtTime {
  /** The beginning of its record: recovery_target_lsn with inclusive recovery ends right behind it, also when nothing follows. */
  readonly lsn: string;
  readonly timeline: number;
  readonly timeMs: number;
  readonly xid?: number;
}

/** What gives and takes WAL, once the cluster and the size of its segments are known. */
export interface WalShelf {
  readonly library: WalLibrary;
  readonly pushed: PushedWal;
  readonly state: () => Promise<ServingState>;
}

export interface WalRouteParts {
  /** Throws TM-VAULT-UNSURE while it is not known whose WAL this is. */
  readonly shelf: () => WalShelf;
  readonly clock: Clock;
  /** Whether every object store has the file, read again and compared. Absent where nothing is archived. */
  readonly isArchived?: (name: string) => Promise<boolean>;
  /** Reads the catalogue again from the object stores; resolves when it has. */
  readonly rebuildCatalogue?: () => Promise<void>;
  /** Undefined: no commit that early is known. */
  readonly timeToLsn?: (timeMs: number) => Promise<CommitAtTime | undefined>;
}

export function addWalRoutes(server: FastifyInstance, parts: WalRouteParts): void {
  const places = new Places();
  server.addContentTypeParser("application/octet-stream", { parseAs: "buffer", bodyLimit: MOST_BODY_BYTES }, (_request, body, done) =>
    done(null, body),
  );

  server.get<{ Params: { name: string }; Querystring: { upTo?: string; system?: string } }>("/wal/:name", async (request, reply) => {
    await places.holdWhile(reply.raw);
    const { upTo, system } = request.query;
    const given = await parts.shelf().library.give({
      name: request.params.name,
      ...(upTo === undefined ? {} : { upTo: parseLsn(upTo) }),
      ...(system === undefined ? {} : { systemIdentifier: system }),
    });
    return reply
      .headers({
        [WAL_HEADER.source]: given.source,
        [WAL_HEADER.sha256]: given.sha256,
        [WAL_HEADER.complete]: String(given.complete),
        ...(given.timeline === undefined ? {} : { [WAL_HEADER.timeline]: String(given.timeline) }),
        ...(given.end === undefined ? {} : { [WAL_HEADER.end]: formatLsn(given.end) }),
      })
      .type("application/octet-stream")
      .send(Buffer.from(given.bytes.buffer, given.bytes.byteOffset, given.bytes.byteLength));
  });

  server.put<{ Params: { name: string }; Querystring: { archivedWithinMs?: string } }>(
    "/wal/:name",
    { bodyLimit: MOST_BODY_BYTES },
    async (request, reply) => {
      await places.holdWhile(reply.raw);
      const { name } = request.params;
      const body = request.body;
      if (!(body instanceof Uint8Array)) throw new TidemarkError("TM-VAULT-PUSH", `${name} came without bytes`);
      const expected = request.headers[WAL_HEADER.sha256];
      if (expected !== undefined && expected !== createHash("sha256").update(body).digest("hex"))
        throw new TidemarkError("TM-VAULT-PUSH", `${name} was changed on its way here: its checksum is another`);
      const outcome = await parts.shelf().pushed.take(name, body);
      const waitMs = request.query.archivedWithinMs;
      if (waitMs !== undefined && outcome !== "evidence") {
        await untilArchived(parts, name, Math.min(wholeNumberOf(waitMs, "archivedWithinMs"), MOST_ARCHIVE_WAIT_MS));
        return reply.send({ name, outcome, archived: true });
      }
      return reply.send({ name, outcome, archived: false });
    },
  );

  server.get("/timelines", async () => {
    const { library, state } = parts.shelf();
    return describeTimelines(await state(), library);
  });

  server.post("/catalogue/rebuild", async () => {
    if (parts.rebuildCatalogue === undefined) throw new TidemarkError("TM-VAULT-NOT-ARCHIVED", "this vault has no object stores");
    await parts.rebuildCatalogue();
    return { rebuilt: true };
  });

  server.get<{ Querystring: { timeMs?: string } }>("/time-to-lsn", async (request) => {
    const timeMs = wholeNumberOf(request.query.timeMs ?? "", "timeMs");
    if (parts.timeToLsn === undefined) throw new TidemarkError("TM-VAULT-UNSURE", "this vault does not read commit times");
    const found = await parts.timeToLsn(timeMs);
    if (found === undefined)
      throw new TidemarkError("TM-VAULT-BEFORE-WAL", `no commit at or before ${new Date(timeMs).toISOString()} is known`);
    return found;
  });
}

async function untilArchived({ isArchived, clock }: WalRouteParts, name: string, waitMs: number): Promise<void> {
  if (isArchived === undefined)
    throw new TidemarkError("TM-VAULT-NOT-ARCHIVED", `${name} is durable here; this vault has no object stores`);
  const until = clock.monotonicMs() + waitMs;
  while (!(await isArchived(name))) {
    if (clock.monotonicMs() >= until)
      throw new TidemarkError("TM-VAULT-NOT-ARCHIVED", `${name} is durable here and not in every object store after ${waitMs} ms`);
    await sleep(clock, ARCHIVE_LOOK_MS);
  }
}

async function describeTimelines(state: ServingState, library: WalLibrary): Promise<unknown> {
  const forks = state.history.map(({ timeline, switchLsn }) => ({ timeline, end: formatLsn(switchLsn), ended: true }));
  return {
    systemIdentifier: state.systemIdentifier,
    segmentBytes: library.segmentBytes,
    timeline: state.timeline,
    timelines: await Promise.all(
      [...forks, { timeline: state.timeline, end: formatLsn(state.end), ended: false }].map(async (line) => ({
        ...line,
        ...(line.timeline === 1 ? {} : { history: await historyIfThere(library, line.timeline) }),
      })),
    ),
    ...(state.vote === undefined ? {} : { vote: { timeline: state.vote.timeline, lsn: formatLsn(state.vote.lsn) } }),
    gaps: state.gaps.map((gap) => ({ timeline: gap.timeline, start: formatLsn(gap.start), end: formatLsn(gap.end) })),
  };
}

/** A missing history is a hole that the status tells; the others are of use all the same. */
async function historyIfThere(library: WalLibrary, timeline: Timeline): Promise<string | undefined> {
  return library.history(timeline).catch((error: unknown) => {
    if (hasCode(error, "TM-VAULT-HOLE")) return undefined;
    throw error;
  });
}

/** Bounds the memory that files take. */
class Places {
  #free = MOST_FILES_AT_ONCE;
  readonly #waiting: (() => void)[] = [];

  /** Resolves when there is a place; it is given back when the answer has gone out or its connection has. */
  async holdWhile(answer: ServerResponse): Promise<void> {
    if (this.#free === 0) {
      if (this.#waiting.length >= MOST_WAITING)
        throw new TidemarkError("TM-VAULT-UNSURE", `${MOST_WAITING} requests wait for WAL files already`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#free--;
    const release = (): void => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    };
    if (answer.closed) release();
    else answer.once("close", release);
  }
}
