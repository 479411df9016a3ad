// The embedded lease store behind its HTTP routes, as a process of its own, to be killed: `lease-store-process.ts <file> <token> [step] [n]`.
// It tells its parent its port, and kills itself (SIGKILL) at the n-th compare-and-set: `before` or `after` the change, or
// once it is `answered`.
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { addLeaseStoreRoutes } from "../../control/lease-store-routes.ts";
import { roleServer } from "../role-server.ts";
import { SqliteLeaseStore } from "../sqlite-lease-store.ts";
import { keepCompiled } from "../../platform/compile-cache.ts";

export type LeaseStoreStep = "before" | "after" | "answered";

const [file = "", token = "", killAt, count = "0"] = process.argv.slice(2);
let changes = 0;

function step(name: LeaseStoreStep): void {
  if (name === killAt && changes === Number(count)) process.kill(process.pid, "SIGKILL");
}

const store = new SqliteLeaseStore(file, systemClock);
const compareAndSet: SqliteLeaseStore["compareAndSet"] = store.compareAndSet.bind(store);
store.compareAndSet = async (...change) => {
  changes++;
  step("before");
  const entry = await compareAndSet(...change);
  step("after");
  return entry;
};
const server = roleServer({ token: new Redacted(token), logger: silentLogger, open: new Set() });
addLeaseStoreRoutes(server, store);
// A response is finished when the system has all of it.
server.server.on("request", (_request, response: ServerResponse) => response.once("finish", () => step("answered")));
await server.listen({ host: "127.0.0.1", port: 0 });
process.send?.({ port: (server.server.address() as AddressInfo).port });
keepCompiled();
