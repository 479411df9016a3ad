// An agent's HTTP: health for load balancers without a token, everything else with the internal one.
/* oxlint-disable oxc/no-async-endpoint-handlers -- made for Express; Fastify awaits its handlers */
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { FastifyInstance } from "fastify";
import type { PrimaryRoute } from "../cluster-record.ts";
import { objectOf, textOf, wholeNumberOf } from "../role-server.ts";
import type { NodeSupervisor } from "./node-supervisor.ts";

/** Paths that a load balancer asks. They say a role and nothing else. */
export const OPEN_PATHS: ReadonlySet<string> = new Set(["/primary", "/replica", "/health"]);

export function addAgentRoutes(server: FastifyInstance, supervisor: NodeSupervisor, route: () => PrimaryRoute | undefined): void {
  server.get("/health", async () => ({ ok: true }));
  server.get("/primary", async (_request, reply) => {
    const status = supervisor.status();
    return reply.status(status.open && status.state === "primary" ? 200 : 503).send({ node: status.node, state: status.state });
  });
  // Only one that streams: a standby that lost its primary may be behind without bound (R10).
  server.get("/replica", async (_request, reply) => {
    const status = supervisor.status();
    return reply
      .status(status.state === "standby" && status.streaming === true ? 200 : 503)
      .send({ node: status.node, state: status.state });
  });
  server.get("/status", async () => supervisor.status());
  server.get("/route", async () => {
    const known = route();
    if (known === undefined) throw new TidemarkError("TM-CLUSTER-NOT-READY", "this agent has not heard of a route yet");
    return known;
  });
  server.post("/revoke", async (request) => supervisor.revoke(epochOf(objectOf(request.body))));
  for (const path of ["/fence", "/demote"]) {
    server.post(path, async (request) => {
      await supervisor.fence(epochOf(objectOf(request.body)));
      return { fenced: true };
    });
  }
  server.post("/follow", async () => {
    await supervisor.lookAgain();
    return supervisor.status();
  });
  server.post("/complete", async (request) => {
    const body = objectOf(request.body);
    const target = lsnOf(body["target"], "target");
    const timeline = wholeNumberOf(body["timeline"], "timeline") as Timeline;
    await supervisor.complete({ epoch: epochOf(body), target, timeline, from: textOf(body["from"], "from") });
    return supervisor.status();
  });
  server.post("/promote", async (request) => {
    const body = objectOf(request.body);
    const target = lsnOf(body["target"], "target");
    await supervisor.promote({ epoch: epochOf(body), target, incumbent: body["incumbent"] === true });
    return supervisor.status();
  });
  server.post("/hold-back", async (request) => {
    const body = objectOf(request.body);
    const hold = body["hold"] ?? body["held"];
    if (typeof hold !== "boolean") throw new TidemarkError("TM-CLUSTER-REQUEST", "hold must be true or false");
    await supervisor.holdBack(hold);
    return { heldBack: hold };
  });
}

/** LSN text. Throws TM-CLUSTER-REQUEST. */
function lsnOf(value: unknown, name: string): string {
  const text = textOf(value, name);
  try {
    parseLsn(text);
  } catch (cause) {
    throw new TidemarkError("TM-CLUSTER-REQUEST", `${name} must be an LSN`, { cause });
  }
  return text;
}

function epochOf(body: Readonly<Record<string, unknown>>): Epoch {
  const epoch = wholeNumberOf(body["epoch"], "epoch");
  if (epoch === 0) throw new TidemarkError("TM-CLUSTER-REQUEST", "epochs begin at 1");
  return epoch as Epoch;
}
