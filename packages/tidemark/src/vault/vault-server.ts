// A vault's HTTP: health for load balancers without a token, everything else with the internal one. The WAL routes are
// serving/wal-routes.ts.
/* oxlint-disable oxc/no-async-endpoint-handlers -- made for Express; Fastify awaits its handlers */
import type { Epoch } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { FastifyInstance } from "fastify";
import { objectOf, textOf, wholeNumberOf } from "../cluster/role-server.ts";
import type { VaultMetrics } from "./vault-metrics.ts";
import type { VaultStatus } from "./vault-status.ts";
import type { Vault } from "./vault.ts";

/** Paths that need no token. */
export const VAULT_OPEN_PATHS: ReadonlySet<string> = new Set(["/health"]);

export function addVaultRoutes(server: FastifyInstance, parts: { vault: Vault; status: () => VaultStatus; metrics: VaultMetrics }): void {
  const { vault, status, metrics } = parts;
  server.get("/health", async () => ({ ok: true }));
  server.get("/status", async () => status());
  server.get("/metrics", async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  server.post("/revoke", async (request) => {
    const epoch = wholeNumberOf(objectOf(request.body)["epoch"], "epoch");
    if (epoch === 0) throw new TidemarkError("TM-CLUSTER-REQUEST", "epochs begin at 1");
    return vault.revoke(epoch as Epoch);
  });
  server.post("/faults/clear", async (request) => ({ cleared: await vault.clearFaults(textOf(objectOf(request.body)["code"], "code")) }));
  // It reads the record now and acts on it, instead of when it is told of a change.
  server.post("/follow", async () => {
    await vault.options.source.refresh();
    return status();
  });
}
