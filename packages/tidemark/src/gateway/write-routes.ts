import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "@tidemark/kernel/clock";
import { hasCode } from "@tidemark/kernel/errors";
import type { GatewayMetrics } from "./gateway-metrics.ts";
import { sendProblem } from "./http-server.ts";
import { writeLookupSchema, writesSchema } from "./openapi.ts";
import { problem } from "./problem.ts";
import type { WriteLookup } from "./write-lookup.ts";
import type { WriteResult, WriteService } from "./write-service.ts";
import { readBody } from "./write-text.ts";

/** The longest `Prefer: wait`; a longer one is shortened. */
const LONGEST_WAIT_SECONDS = 60;

/** `POST /v1/writes` and `GET /v1/writes/:id`. docs/writes-api.md describes them. */
export function addWriteRoutes(
  app: FastifyInstance,
  parts: { writes: WriteService; lookup: WriteLookup; batchWrites: number; clock: Clock; metrics: GatewayMetrics },
): void {
  app.post("/v1/writes", { config: { scope: "write" }, schema: writesSchema }, async (request, reply) => {
    const ndjson = request.headers["content-type"]?.startsWith("application/x-ndjson") === true;
    if (!(request.body instanceof Uint8Array)) return sendProblem(reply, problem("TM-GATEWAY-MALFORMED", "the request has no body"));
    const read = readBody(request.body, ndjson, parts.batchWrites);
    if ("problem" in read) return sendProblem(reply, read.problem);
    if (read.writes.length === 0) return sendProblem(reply, problem("TM-GATEWAY-MALFORMED", "the batch is empty"));
    const header = idempotencyHeader(request);
    if (header !== undefined && read.form !== "one") {
      return sendProblem(
        reply,
        problem("TM-GATEWAY-INVALID", "the Idempotency-Key header is for single writes; a batch has an idempotencyKey in each write", {
          field: "/idempotencyKey",
        }),
      );
    }
    const startedMs = parts.clock.monotonicMs();
    const results = await parts.writes.accept(read.writes, {
      scope: request.caller.name,
      headerKey: header,
      waitMs: preferredWaitMs(request),
    });
    parts.metrics.requestTook(parts.clock.monotonicMs() - startedMs);
    if ("code" in results) return sendProblem(reply, results);
    const [first] = results;
    if (read.form === "one" && first !== undefined) return sendOne(reply, first);
    return sendBatch(reply, results, read.form === "array");
  });

  app.get<{ Params: { id: string } }>(
    "/v1/writes/:id",
    { config: { scope: "read" }, schema: writeLookupSchema },
    async (request, reply) => {
      try {
        const found = await parts.lookup.find(request.params.id, preferredWaitMs(request) ?? 0);
        if (found === undefined)
          return sendProblem(reply, problem("TM-GATEWAY-NOT-FOUND", `there is no write ${request.params.id.slice(0, 64)} in this journal`));
        return reply.header("content-type", JSON_TYPE).send(found);
      } catch (error) {
        // Trimmed between the look at the extent and the read.
        if (!hasCode(error, "TM-JOURNAL-TRIMMED")) throw error;
        return reply.header("content-type", JSON_TYPE).send(parts.lookup.trimmed(request.params.id));
      }
    },
  );
}

const JSON_TYPE = "application/json; charset=utf-8";

function sendOne(reply: FastifyReply, result: WriteResult): FastifyReply {
  retryAfter(reply, [result]);
  return reply
    .code(result.status)
    .header("content-type", result.status < 400 ? JSON_TYPE : "application/problem+json; charset=utf-8")
    .send(result.json);
}

/**
 * One result per write, in order. The status is 200 or 202 when every write has it, else 207: then each result has to be
 * looked at. Never an error status, also where all failed: that would say that the body is one problem.
 */
function sendBatch(reply: FastifyReply, results: readonly WriteResult[], array: boolean): FastifyReply {
  const status = results[0]?.status ?? 202;
  const same = status < 400 && results.every((result) => result.status === status);
  let text = "";
  for (const result of results) text += array ? `${text === "" ? "[" : ","}${result.json}` : `${result.json}\n`;
  retryAfter(reply, results);
  return reply
    .code(same ? status : 207)
    .header("content-type", array ? JSON_TYPE : "application/x-ndjson")
    .send(array ? `${text}]` : text);
}

function retryAfter(reply: FastifyReply, results: readonly WriteResult[]): void {
  let seconds = 0;
  for (const result of results) if (result.retryAfterSeconds !== undefined) seconds = Math.max(seconds, result.retryAfterSeconds, 1);
  if (seconds > 0) reply.header("retry-after", String(Math.ceil(seconds)));
}

/** The Idempotency-Key header, an RFC 8941 string in quotes as the IETF draft has it, or bare. */
function idempotencyHeader(request: FastifyRequest): string | undefined {
  const value = request.headers["idempotency-key"];
  if (typeof value !== "string") return undefined;
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(value.trim());
  return quoted === null ? value.trim() : (quoted[1] ?? "").replace(/\\(["\\])/g, "$1");
}

/** `Prefer: wait=N` (RFC 7240 §4.3) in milliseconds, or undefined. */
function preferredWaitMs(request: FastifyRequest): number | undefined {
  const value = request.headers["prefer"];
  if (value === undefined) return undefined;
  const match = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6}(?:\.\d{1,3})?)/i.exec(String(value));
  return match === null ? undefined : Math.min(Number(match[1]), LONGEST_WAIT_SECONDS) * 1_000;
}
