// A gateway as a process of its own, for tests that kill it: real journal, real audit log, real HTTP. The applier of the store
// "orders" is played by the parent, over the channel between the two. Arguments: state folder, and optionally a number: the
// process kills itself (SIGKILL) at that step, counted from 1. Steps are right before and right after each append to the
// audit log and to the journal and each "verdict-recorded", and right after each answer over HTTP.
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import type { FromApplier, ToApplier } from "../../applier/applier-link.ts";
import { openAuditLog } from "../../audit/audit-log.ts";
import { openJournal } from "../../journal/embedded/open-journal.ts";
import type { Journal } from "../../journal/journal.ts";
import type { ForkApplier } from "../applier-channel.ts";
import { openGateway } from "../gateway.ts";
import { TEST_TOKEN, testConfig } from "./gateway-fixture.ts";
import { keepCompiled } from "../../platform/compile-cache.ts";

/** What the parent hears. */
export type GatewayTold = { readonly port: number } | { readonly step: string } | { readonly toApplier: ToApplier };

const [, , stateDir = "", killAt = "0"] = process.argv;
let reached = 0;

function step(name: string): void {
  process.send?.({ step: name });
  if (++reached === Number(killAt)) process.kill(process.pid, "SIGKILL");
}

/** `work` with a step right before it and one right after it. */
async function stepped<T>(name: string, work: () => Promise<T>): Promise<T> {
  step(`before ${name}`);
  const result = await work();
  step(`after ${name}`);
  return result;
}

/** The store "orders" is served by the parent, all others by nobody. */
const playedByParent: ForkApplier = ({ onMessage, onExit }) => {
  let store = "";
  const hear = ({ fromApplier }: { fromApplier?: FromApplier }): void => {
    if (store === "orders" && fromApplier !== undefined) onMessage(fromApplier);
  };
  process.on("message", hear);
  return {
    pid: 1,
    send: (message) => {
      if (message.type === "begin") store = message.store;
      if (message.type === "stop") return onExit({ code: 0, signal: null });
      if (store !== "orders") return;
      if (message.type !== "verdict-recorded") return void process.send?.({ toApplier: message });
      step("before verdict-recorded");
      process.send?.({ toApplier: message }, () => step("after verdict-recorded"));
    },
    kill: () => undefined,
  };
};

const config = testConfig({ stateDir });
const world = { clock: systemClock, random: systemRandom, logger: silentLogger };
const journal = await openJournal({ config: config.journal, ...world });
const append: Journal["append"] = journal.append.bind(journal);
journal.append = (entries) => stepped(`journal: ${entries.map(({ kind }) => kind).join(", ")}`, () => append(entries));
const audit = await openAuditLog({ file: join(stateDir, "audit", "audit.jsonl"), clock: systemClock });
const gateway = await openGateway({
  config,
  journal,
  ...world,
  audit: { append: (record) => stepped(`audit: ${record.action}`, () => audit.append(record)) },
  tokens: [{ name: "test", scopes: ["write", "read", "operate"], secret: new Redacted(TEST_TOKEN) }],
  forkApplier: playedByParent,
  process: { pid: process.pid, memoryBytes: () => process.memoryUsage.rss() },
});
// A response is finished when the system has all of it: from there it reaches the client without us.
gateway.app.server.on("request", (_request, response: ServerResponse) => response.once("finish", () => step("after answer")));
process.on("SIGTERM", () => void gateway.close().then(() => process.exit(0)));
await gateway.app.listen({ host: "127.0.0.1", port: 0 });
const address = gateway.app.server.address();
process.send?.({ port: typeof address === "object" ? address?.port : undefined });
keepCompiled();
