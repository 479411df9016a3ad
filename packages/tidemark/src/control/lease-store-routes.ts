/* oxlint-disable oxc/no-async-endpoint-handlers -- made for Express; Fastify awaits its handlers */
import type { FastifyInstance } from "fastify";
import { MOST_WAIT_MS } from "../cluster/http-lease-store.ts";
import type { LeaseStore } from "../cluster/lease-store.ts";
import { objectOf, textOf, wholeNumberOf } from "../cluster/role-server.ts";

/** The lease store over HTTP: GET reads, or with `after` and `waitMs` waits (204 when the time is over); POST sets. */
export function addLeaseStoreRoutes(server: FastifyInstance, store: LeaseStore): void {
  server.get<{ Params: { key: string }; Querystring: { after?: string; waitMs?: string } }>(
    "/v1/lease-store/:key",
    async (request, reply) => {
      const key = textOf(request.params.key, "key");
      const { after, waitMs } = request.query;
      if (after === undefined) {
        const entry = await store.read(key);
        return entry ?? reply.status(404).send({});
      }
      const signal = abortOnClose(reply.raw);
      const entry = await store.waitFor(key, wholeNumberOf(after, "after"), {
        waitMs: Math.min(wholeNumberOf(waitMs ?? "0", "waitMs"), MOST_WAIT_MS),
        signal,
      });
      return entry ?? reply.status(204).send();
    },
  );
  server.post<{ Params: { key: string } }>("/v1/lease-store/:key", async (request) => {
    const body = objectOf(request.body);
    return store.compareAndSet(textOf(request.params.key, "key"), wholeNumberOf(body["expected"], "expected"), body["value"]);
  });
}

/** Aborts when the one who waits is gone (and when he was answered, which changes nothing). */
export function abortOnClose(response: { once(event: "close", listener: () => void): unknown }): AbortSignal {
  const abort = new AbortController();
  response.once("close", () => abort.abort());
  return abort.signal;
}
