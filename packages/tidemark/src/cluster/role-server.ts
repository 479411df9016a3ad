// The HTTP side that agents and control share: Fastify with the internal token, problems (RFC 9457) for errors, and limits.
import { timingSafeEqual } from "node:crypto";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { FastifyInstance } from "fastify";
import Fastify from "fastify";

/** The largest request, bytes; a lease store's value with some room. */
const MOST_BODY_BYTES = 1_048_576;

/** @param options.open paths that need no token: health checks of load balancers. */
export function roleServer(options: { token: Redacted<string>; logger: Logger; open: ReadonlySet<string> }): FastifyInstance {
  const server = Fastify({ bodyLimit: MOST_BODY_BYTES, forceCloseConnections: true });
  const expected = Buffer.from(`Bearer ${options.token.reveal()}`);
  server.addHook("onRequest", async (request) => {
    if (options.open.has(request.url.split("?")[0] ?? "")) return;
    const given = Buffer.from(request.headers.authorization ?? "");
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new TidemarkError("TM-CLUSTER-UNAUTHORIZED", "the internal token is missing or wrong");
    }
  });
  server.setErrorHandler((error, request, reply) => {
    const known = error instanceof TidemarkError ? error : undefined;
    const status = known?.entry.httpStatus ?? (error as { statusCode?: number }).statusCode ?? 500;
    if (status >= 500) options.logger.warn({ err: error, path: request.url }, "a request failed");
    return reply
      .status(status)
      .type("application/problem+json")
      .send({
        type: known === undefined ? "about:blank" : `https://tidemark.dev/errors/${known.code}`,
        title: known?.entry.meaning ?? "The request failed.",
        status,
        detail: (error as Error).message,
        ...(known === undefined ? {} : { code: known.code, hint: known.hint }),
      });
  });
  return server;
}

/** A whole number of a body or query, at least 0. Throws TM-CLUSTER-REQUEST. */
export function wholeNumberOf(value: unknown, name: string): number {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 0) {
    throw new TidemarkError("TM-CLUSTER-REQUEST", `${name} must be a whole number of at least 0`);
  }
  return number;
}

/** Throws TM-CLUSTER-REQUEST. */
export function textOf(value: unknown, name: string): string {
  if (typeof value !== "string" || value === "" || value.length > 500)
    throw new TidemarkError("TM-CLUSTER-REQUEST", `${name} must be text of at most 500 characters`);
  return value;
}

/** Throws TM-CLUSTER-REQUEST. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new TidemarkError("TM-CLUSTER-REQUEST", "the body must be a JSON object");
  return value as Record<string, unknown>;
}
