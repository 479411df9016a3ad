// A process that judges a breach and its end, and is killed at a checkpoint. Arguments, as JSON: see ChildOrders. It says on
// standard output which observation is done.
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { openJudgement } from "../open-judgement.ts";
import { webhookReceiver } from "../receivers/webhook-receiver.ts";
import { exposureOfTest } from "./sample-observation.ts";

export interface ChildOrders {
  readonly file: string;
  readonly url: string;
  readonly keyFile: string;
  /** Wall time of observation 0. */
  readonly baseMs: number;
  readonly from: number;
  readonly to: number;
  /** Observations with a breach: from the first, up to and without the second. */
  readonly breach: readonly [number, number];
  /** The process kills itself at this checkpoint, counted from 1 over all of them. */
  readonly killAt?: number;
}

const orders = JSON.parse(process.argv[2] ?? "") as ChildOrders;
let reached = 0;

const { engine, courier, close } = openJudgement({
  file: orders.file,
  settings: { services: { orders: { stores: [] } }, rules: { "exposure-rising": { off: true } } },
  receivers: [
    webhookReceiver({
      name: "pager",
      url: new Redacted(orders.url),
      keyFile: orders.keyFile,
      deployment: "test",
      runbooks: "https://runbooks.example",
      clock: systemClock,
    }),
  ],
  world: {
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    audit: { append: () => Promise.resolve() },
    checkpoint: (name) => {
      process.stdout.write(`reached ${name}\n`);
      if (++reached === orders.killAt) process.kill(process.pid, "SIGKILL");
    },
  },
});

const stop = new AbortController();
const running = courier.run(stop.signal);

async function delivered(): Promise<void> {
  while (courier.stats().some(({ waiting }) => waiting > 0)) await new Promise((resolve) => setTimeout(resolve, 2));
}

await delivered();
for (let index = orders.from; index < orders.to; index++) {
  const atMs = orders.baseMs + index * 1_000;
  const breach = index >= orders.breach[0] && index < orders.breach[1];
  engine.observe(atMs, { exposures: [exposureOfTest({ exposureMs: breach ? 90_000 : 0, rpoMs: 60_000, atMs })], stores: [], vaults: [] });
  await delivered();
  process.stdout.write(`done ${index}\n`);
}
stop.abort();
await running;
close();
process.stdout.write("finished\n");
