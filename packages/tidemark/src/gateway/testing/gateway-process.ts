// A gateway as a process of its own, for tests that kill it: real journal, real HTTP, an applier that does nothing.
// Arguments: state folder, and `die-after-journal` to be killed between the journal and the answer.
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { openJournal } from "../../journal/embedded/open-journal.ts";
import type { Journal } from "../../journal/journal.ts";
import { openGateway } from "../gateway.ts";
import { TEST_TOKEN, testConfig } from "./gateway-fixture.ts";

const [, , stateDir = "", mode] = process.argv;
const config = testConfig({ stateDir });
const world = { clock: systemClock, random: systemRandom, logger: silentLogger };
const journal = await openJournal({ config: config.journal, ...world });
if (mode === "die-after-journal") {
  const append: Journal["append"] = journal.append.bind(journal);
  journal.append = async (entries) => {
    await append(entries);
    process.kill(process.pid, "SIGKILL");
    return new Promise(() => undefined);
  };
}
const gateway = await openGateway({
  config,
  journal,
  ...world,
  audit: { append: () => Promise.resolve() },
  tokens: [{ name: "test", scopes: ["write", "read", "operate"], secret: new Redacted(TEST_TOKEN) }],
  forkApplier: ({ onExit }) => ({
    pid: 1,
    send: (message) => (message.type === "stop" ? onExit({ code: 0, signal: null }) : undefined),
    kill: () => undefined,
  }),
  process: { pid: process.pid, memoryBytes: () => process.memoryUsage.rss() },
});
process.on("SIGTERM", () => void gateway.close().then(() => process.exit(0)));
await gateway.app.listen({ host: "127.0.0.1", port: 0 });
const address = gateway.app.server.address();
process.send?.({ port: typeof address === "object" ? address?.port : undefined });
