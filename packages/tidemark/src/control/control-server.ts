// Control's HTTP: routes, heartbeats, status, and what operators may ask for.
/* oxlint-disable oxc/no-async-endpoint-handlers -- made for Express; Fastify awaits its handlers */
import type { FastifyInstance } from "fastify";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { AgentStatus } from "../cluster/agent-status.ts";
import { objectOf, textOf, wholeNumberOf } from "../cluster/role-server.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import type { StoreReport } from "./cluster-status.ts";
import type { Coordinator } from "./coordinator.ts";
import { abortOnClose } from "./lease-store-routes.ts";
import type { RouteBoard } from "./route-board.ts";

/** Paths that need no token. */
export const CONTROL_OPEN_PATHS: ReadonlySet<string> = new Set(["/health"]);

/** The longest wait for a route, milliseconds; a longer one is made of several. */
const MOST_ROUTE_WAIT_MS = 30_000;

export interface ControlParts {
  readonly routes: RouteBoard;
  readonly registry: AgentRegistry;
  readonly coordinators: ReadonlyMap<string, Coordinator>;
  /** Names of the nodes by store. */
  readonly nodes: ReadonlyMap<string, ReadonlySet<string>>;
  readonly metrics: { readonly contentType: string; readonly text: () => Promise<string> };
  readonly report: (store: string) => StoreReport;
  readonly status: () => Promise<unknown>;
  readonly accept: (store: string, acceptance: { by: string; reason: string; primaryIsDown: boolean }) => Promise<void>;
}

export function addControlRoutes(server: FastifyInstance, parts: ControlParts): void {
  server.get("/health", async () => ({ ok: true }));
  server.get("/v1/status", async () => parts.status());
  server.get("/metrics", async (_request, reply) => reply.type(parts.metrics.contentType).send(await parts.metrics.text()));

  server.get<{ Params: { store: string } }>("/v1/stores/:store", async (request) => parts.report(known(parts, request.params.store)));

  server.get<{ Params: { store: string }; Querystring: { after?: string; waitMs?: string } }>(
    "/v1/stores/:store/route",
    async (request, reply) => {
      const store = known(parts, request.params.store);
      const after = wholeNumberOf(request.query.after ?? "0", "after");
      const waitMs = Math.min(wholeNumberOf(request.query.waitMs ?? "0", "waitMs"), MOST_ROUTE_WAIT_MS);
      const route = await parts.routes.waitFor(store, after, { waitMs, signal: abortOnClose(reply.raw) });
      if (route !== undefined) return route;
      // Nothing new in that time, or nothing known at all.
      return parts.routes.current(store) === undefined ? reply.status(404).send({}) : reply.status(204).send();
    },
  );

  server.post<{ Params: { node: string } }>("/v1/agents/:node/heartbeat", async (request, reply) => {
    const status = statusOf(request.params.node, objectOf(request.body));
    if (parts.nodes.get(status.store)?.has(status.node) !== true) throw unknown(`${status.store}/${status.node}`);
    parts.registry.heartbeat(status);
    return reply.status(204).send();
  });

  server.post<{ Params: { store: string } }>("/v1/stores/:store/accept-loss", async (request) => {
    const store = known(parts, request.params.store);
    const body = objectOf(request.body);
    const primaryIsDown = body["primaryIsDown"] === true;
    await parts.accept(store, { by: textOf(body["by"], "by"), reason: textOf(body["reason"], "reason"), primaryIsDown });
    return parts.report(store);
  });
}

/** The parts of a heartbeat that decisions are made from are checked; the rest is shown as it came. */
function statusOf(node: string, body: Readonly<Record<string, unknown>>): AgentStatus {
  textOf(body["store"], "store");
  textOf(body["state"], "state");
  if (body["node"] !== node) throw new TidemarkError("TM-CLUSTER-REQUEST", "the heartbeat's node is not the one of its path");
  if (typeof body["open"] !== "boolean") throw new TidemarkError("TM-CLUSTER-REQUEST", "open must be true or false");
  return body as unknown as AgentStatus;
}

function known(parts: ControlParts, store: string): string {
  if (!parts.coordinators.has(store)) throw unknown(store);
  return store;
}

function unknown(name: string): TidemarkError {
  return new TidemarkError("TM-CLUSTER-UNKNOWN-STORE", `"${name.slice(0, 80)}" is not in the configuration`);
}
