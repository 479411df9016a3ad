import type { FastifyInstance } from "fastify";
import { MOST_PER_PAGE, type DeadLetters } from "./dead-letters.ts";
import { objectOf } from "./http-server.ts";
import { deadLettersSchema, discardSchema, pauseSchema, reapplySchema, replaySchema } from "./openapi.ts";
import { problem, ProblemError } from "./problem.ts";
import type { StoreControl } from "./store-control.ts";

/** The most writes that one `reapply` may except. */
const MOST_EXCEPTIONS = 10_000;
const MOST_REASON_CHARACTERS = 2_000;
const DEFAULT_PAGE = 100;

/** Routes for people who operate: dead letters, reapply, pause. Who decided is the token's name. */
export function addOperatorRoutes(app: FastifyInstance, parts: { deadLetters: DeadLetters; stores: StoreControl }): void {
  app.get<{ Querystring: { after?: string; limit?: string } }>(
    "/v1/dead-letters",
    { config: { scope: "read" }, schema: deadLettersSchema },
    (request) => parts.deadLetters.page(request.query.after, pageSize(request.query.limit)),
  );

  app.post<{ Params: { id: string } }>(
    "/v1/dead-letters/:id/replay",
    { config: { scope: "operate" }, schema: replaySchema },
    async (request, reply) => {
      const reason = reasonOf(objectOf(request.body), "replayed by an operator");
      return reply.code(202).send(await parts.deadLetters.replay(request.params.id, { by: `token:${request.caller.name}`, reason }));
    },
  );

  app.post<{ Params: { id: string } }>("/v1/dead-letters/:id/discard", { config: { scope: "operate" }, schema: discardSchema }, (request) =>
    parts.deadLetters.discard(request.params.id, { by: `token:${request.caller.name}`, reason: reasonOf(objectOf(request.body)) }),
  );

  app.post<{ Params: { store: string } }>(
    "/v1/stores/:store/reapply",
    { config: { scope: "operate" }, schema: reapplySchema },
    async (request, reply) => {
      const body = objectOf(request.body);
      const except = exceptionsOf(body["except"]);
      await parts.stores.reapply(request.params.store, except, { by: `token:${request.caller.name}`, reason: reasonOf(body) });
      return reply.code(202).send({ except });
    },
  );

  for (const paused of [true, false]) {
    app.post<{ Params: { store: string } }>(
      `/v1/stores/:store/${paused ? "pause" : "resume"}`,
      { config: { scope: "operate" }, schema: pauseSchema(paused) },
      async (request, reply) => {
        parts.stores.pause(request.params.store, paused);
        return reply.code(202).send({ paused });
      },
    );
  }
}

function pageSize(limit: string | undefined): number {
  if (limit === undefined) return DEFAULT_PAGE;
  const size = Number(limit);
  if (!Number.isInteger(size) || size < 1 || size > MOST_PER_PAGE)
    throw invalid("/limit", `must be a whole number from 1 to ${MOST_PER_PAGE}`);
  return size;
}

function reasonOf(body: Record<string, unknown>, byDefault?: string): string {
  const reason = body["reason"] ?? byDefault;
  if (typeof reason !== "string" || reason.trim() === "" || reason.length > MOST_REASON_CHARACTERS)
    throw invalid("/reason", `must say why, in 1 to ${MOST_REASON_CHARACTERS} characters`);
  return reason;
}

function exceptionsOf(except: unknown): string[] {
  if (except === undefined) return [];
  if (!isTextList(except) || except.length > MOST_EXCEPTIONS) throw invalid("/except", `must be a list of at most ${MOST_EXCEPTIONS} ids`);
  return except;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function invalid(field: string, what: string): ProblemError {
  return new ProblemError(problem("TM-GATEWAY-INVALID", `${field}: ${what}`, { field }));
}
