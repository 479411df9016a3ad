// A vault as a process of its own, to be killed: `vault-process.ts <json>` with directory, host, port, user, password, and where wanted
// the primary's epoch and a step at which it kills itself. It tells its parent its identity, promises the epoch that it is sent, and
// ends with 70 on FAIL-STOP.
import type { Epoch } from "@tidemark/kernel/brands";
import { hasCode } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import type { VaultStep } from "../vault.ts";
import { Vault } from "../vault.ts";
import { FixedSource } from "../wal-source.ts";
import { testLogger } from "./running-vault.ts";
import { keepCompiled } from "../../platform/compile-cache.ts";

interface Order {
  readonly directory: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly epoch?: Epoch;
  readonly killAt?: VaultStep;
}

const order = JSON.parse(process.argv[2] ?? "") as Order;
const { directory, host, port, user, password, epoch = 0, killAt } = order;
const source = new FixedSource({ node: "primary", host, port, epoch, login: { user, password: new Redacted(password) } });
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
    step: (step) => {
      if (step === killAt) process.kill(process.pid, "SIGKILL");
    },
  });
  process.on("message", ({ revoke }: { revoke: Epoch }) => void vault.revoke(revoke).then((vote) => process.send?.({ vote })));
  process.send?.({ identity: vault.file.identity });
  keepCompiled();
  await vault.run(stop.signal);
  await vault.close();
  process.exit(0);
} catch (error) {
  testLogger.error({ err: error }, "the vault ended");
  process.exit(hasCode(error, "TM-VAULT-FAIL-STOP") ? 70 : 1);
}
