// A vault as a process of its own, to be killed: `vault-process.ts <json>` with directory, host, port, user, password. It says
// `ready` to its parent, and ends with 70 on FAIL-STOP.
import { hasCode } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { Vault } from "../vault.ts";
import { FixedSource } from "../wal-source.ts";
import { testLogger } from "./running-vault.ts";

interface Order {
  readonly directory: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

const order = JSON.parse(process.argv[2] ?? "") as Order;
const { directory, host, port, user, password } = order;
const source = new FixedSource({ node: "primary", host, port, login: { user, password: new Redacted(password) } });
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());
try {
  const vault = await Vault.open({
    store: "orders",
    name: "vault1",
    directory,
    source,
    clock: systemClock,
    logger: testLogger,
    random: systemRandom,
  });
  process.send?.({ identity: vault.file.identity });
  await vault.run(stop.signal);
  await vault.close();
  process.exit(0);
} catch (error) {
  testLogger.error({ err: error }, "the vault ended");
  process.exit(hasCode(error, "TM-VAULT-FAIL-STOP") ? 70 : 1);
}
