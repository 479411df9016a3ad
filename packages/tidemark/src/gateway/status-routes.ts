import type { FastifyInstance } from "fastify";
import type { ErrorCode } from "@tidemark/kernel/errors";
import type { GatewayMetrics } from "./gateway-metrics.ts";
import { describeWriteLives } from "../metrics/write-life.ts";
import { gatewayStatus, refusalOf, type StatusParts } from "./gateway-status.ts";
import { sendProblem } from "./http-server.ts";
import { healthSchema, metricsSchema, readySchema, statusSchema, writeLivesSchema } from "./openapi.ts";
import { problem } from "./problem.ts";
import type { WriteLives } from "./write-lives.ts";

/** Health, readiness, status, metrics and the description of the API. */
export function addStatusRoutes(app: FastifyInstance, parts: { status: StatusParts; metrics: GatewayMetrics; lives: WriteLives }): void {
  app.get("/healthz", { schema: healthSchema }, async () => ({ status: "ok" }));
  app.get("/readyz", { schema: readySchema }, async (_request, reply) => {
    const refusal = refusalOf(parts.status);
    return refusal === undefined
      ? { status: "ready" }
      : sendProblem(reply, problem(refusal.code as ErrorCode, refusal.message, { status: 503, retryAfterSeconds: 1 }));
  });
  app.get("/v1/status", { config: { scope: "read" }, schema: statusSchema }, async () => gatewayStatus(parts.status));
  app.get("/metrics", { config: { scope: "read" }, schema: metricsSchema }, async (_request, reply) =>
    reply.header("content-type", parts.metrics.contentType).send(await parts.metrics.text()),
  );
  app.get("/v1/write-lives", { config: { scope: "read" }, schema: writeLivesSchema }, async () => describeWriteLives(parts.lives.lives()));
  app.get("/openapi.json", { schema: { hide: true } }, async () => app.swagger());
}
