import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import swagger from "@fastify/swagger";
import type { Logger } from "@tidemark/kernel/logger";
import type { TokenScope } from "../config/config.ts";
import type { Access, Caller } from "./access.ts";
import { OPENAPI_DOCUMENT, SHARED_SCHEMAS } from "./openapi.ts";
import { problem, problemOf, ProblemError, type Problem } from "./problem.ts";

/** A connection without a request is kept so long. Longer than the usual 60 s of a load balancer, which must be the one to close. */
const KEEP_ALIVE_MS = 72_000;
/** A request must have come whole within this time. */
const REQUEST_MS = 60_000;

declare module "fastify" {
  interface FastifyContextConfig {
    /** The scope that a token needs; absent: open to all. */
    scope?: TokenScope;
  }
  interface FastifyRequest {
    caller: Caller;
  }
}

/** What the HTTP server needs of the world. */
export interface HttpServerParts {
  readonly access: Access;
  readonly bodyBytes: number;
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  readonly logger: Logger;
}

/**
 * The HTTP server without its routes: bodies stay bytes (each route reads its own form), every error is a problem (RFC
 * 9457), tokens are asked for by each route's `config.scope`, and the routes' schemas serve the description only:
 * validation is acceptance's own, which names field and line.
 */
export async function createHttpServer(parts: HttpServerParts): Promise<FastifyInstance> {
  const options = {
    bodyLimit: parts.bodyBytes,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: "idle" as const,
    exposeHeadRoutes: false,
    logger: false as const,
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: false },
  };
  const app = (parts.tls === undefined ? Fastify(options) : Fastify({ ...options, https: parts.tls })) as unknown as FastifyInstance;
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(["application/json", "application/x-ndjson"], { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  // Set by the hook below before any handler that reads it.
  app.decorateRequest("caller", null as unknown as Caller);
  app.addHook("onRequest", (request, reply, done) => {
    const scope = request.routeOptions.config.scope;
    if (scope === undefined) return done();
    const admitted = parts.access.admit(request.headers.authorization, scope);
    if ("code" in admitted) return void sendProblem(reply, admitted);
    request.caller = admitted;
    done();
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, problem("TM-GATEWAY-NOT-FOUND", `there is nothing at ${request.method} ${request.url.split("?")[0]}`)),
  );
  app.setErrorHandler((error, request, reply) => sendProblem(reply, problemOfRequest(error, request, parts.logger)));
  for (const schema of SHARED_SCHEMAS) app.addSchema(schema);
  await app.register(swagger, {
    openapi: OPENAPI_DOCUMENT,
    refResolver: { buildLocalReference: (schema) => (typeof schema["$id"] === "string" ? schema["$id"] : "") },
  });
  return app;
}

/** Sends a problem with the headers that belong to it. */
export function sendProblem(reply: FastifyReply, one: Problem): FastifyReply {
  if (one.retryAfterSeconds !== undefined) reply.header("retry-after", String(Math.max(1, Math.ceil(one.retryAfterSeconds))));
  if (one.status === 401) reply.header("www-authenticate", 'Bearer realm="tidemark"');
  return reply.code(one.status).header("content-type", "application/problem+json; charset=utf-8").send(JSON.stringify(one));
}

function problemOfRequest(error: unknown, request: FastifyRequest, logger: Logger): Problem {
  if (error instanceof ProblemError) return error.problem;
  switch ((error as { code?: unknown }).code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return problem("TM-GATEWAY-TOO-LARGE", "the body is larger than gateway.limits.body");
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return problem(
        "TM-GATEWAY-CONTENT-TYPE",
        `the content type ${request.headers["content-type"] ?? "is missing and"} is not taken here`,
      );
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
    case "FST_ERR_BAD_URL":
      return problem("TM-GATEWAY-MALFORMED", "the request contradicts itself");
    default:
  }
  const found = problemOf(error);
  if (found.code === "TM-GATEWAY-INTERNAL")
    logger.error({ err: error, url: request.url, method: request.method }, "a request failed on a defect");
  return found;
}

/** Reads a small JSON object from the bytes of a body; an absent body is an empty object. */
export function objectOf(body: unknown): Record<string, unknown> {
  if (!(body instanceof Uint8Array) || body.byteLength === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (error) {
    throw new ProblemError(
      problem("TM-GATEWAY-MALFORMED", error instanceof SyntaxError ? "the body is not JSON" : "the body is not UTF-8"),
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ProblemError(problem("TM-GATEWAY-INVALID", "the body must be an object", { field: "" }));
  return value as Record<string, unknown>;
}
