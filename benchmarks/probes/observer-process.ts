// What `tidemark control` measures with, in a process of its own: probes, exposure, history, judgement and delivery, by a tidemark.yaml and put
// together as control does it, without the rest of control. It says each second what it knows, as JSON lines, and ends with its standard
// input. Arguments: the configuration, and a folder for what is kept.
import { join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { loadConfig } from "../../packages/tidemark/src/config/load-config.ts";
import { History } from "../../packages/tidemark/src/history/history.ts";
import { alertReceivers } from "../../packages/tidemark/src/observer/alert-receivers.ts";
import { JudgementService } from "../../packages/tidemark/src/observer/judgement-service.ts";
import { KeptHistory } from "../../packages/tidemark/src/observer/kept-history.ts";
import { Observer, type ObservedSecond } from "../../packages/tidemark/src/observer/observer.ts";
import { SecondRecord } from "../../packages/tidemark/src/observer/second-record.ts";
import { watchesOf } from "../../packages/tidemark/src/observer/watch-plan.ts";
import { keepHeapSmall } from "../../packages/tidemark/src/platform/heap-growth.ts";
import { readSecret } from "../../packages/tidemark/src/platform/secret-files.ts";

/** What it says each second: of the first of its stores, and of the newest turn at each target. */
export interface ObserverWords {
  /** Wall time, milliseconds. */
  readonly atMs: number;
  readonly exposure: SaidExposure;
  readonly turns: number;
  readonly away: number;
  /** From when turns were due until they began, milliseconds; of many, a hundred that are spread as all are. */
  readonly lateMs: readonly number[];
  /** How long it was busy with the second itself: history and judgement, milliseconds. */
  readonly secondMs: number;
  /** Whether exposure-above-objective fires. */
  readonly firing: boolean;
  /** When it began, if it did in this second, wall time in milliseconds. */
  readonly began?: number;
}

/** Of losing the primary's node. */
export type SaidExposure =
  | { readonly known: true; readonly exposureMs: number; readonly errorMs: number }
  | { readonly known: false; readonly why: string };

const RULE = "exposure-above-objective";

keepHeapSmall();
const [, , configFile = "", folder = ""] = process.argv;
const config = await loadConfig(configFile);
const world = { clock: systemClock, random: systemRandom, logger: silentLogger };
const history = new KeptHistory({ open: () => new History(join(folder, "history.sqlite"), config.history), ...world });
const record = new SecondRecord(history);
const judgement = new JudgementService({
  file: join(folder, "alerts.sqlite"),
  settings: { services: config.services, rules: config.alerts.rules },
  receivers: alertReceivers(config, systemClock),
  world: { ...world, audit: { append: () => Promise.resolve() } },
  history,
  subjects: [],
});
const observer = new Observer({
  ...world,
  services: config.services,
  watch: () => watchesOf({ config, token: new Redacted("of nobody"), world: { ...world, environment: process.env, readSecret: secretIn } }),
  onSecond,
});
let fired = false;
const stop = new AbortController();
process.stdin.on("end", () => stop.abort()).resume();
await Promise.all([judgement.run(stop.signal), observer.run(stop.signal)]);
history.close();
process.exit(0);

async function secretIn(file: string): Promise<Redacted<string>> {
  const secret = await readSecret(file);
  if (secret === undefined) throw new TidemarkError("TM-CONFIG-NOT-FOUND", `there is no secret in ${file}`);
  return secret;
}

function onSecond(second: ObservedSecond): void {
  const beganMs = performance.now();
  history.record(second.atMs, () => record.readings(second));
  judgement.observe(second.atMs, { exposures: second.exposures, stores: second.stores, vaults: [] });
  const atMs = Date.now();
  const firing = judgement.engine.alerts(second.atMs).some(({ rule, state }) => rule === RULE && state === "firing");
  const words: ObserverWords = {
    atMs: second.atMs,
    exposure: saidOf(second),
    ...saidOfTurns(),
    secondMs: performance.now() - beganMs,
    firing,
    ...(firing && !fired ? { began: atMs } : {}),
  };
  fired = firing;
  process.stdout.write(`${JSON.stringify(words)}\n`);
}

function saidOf({ exposures }: ObservedSecond): SaidExposure {
  const figure = exposures.find(({ scenario }) => scenario === "node-loss")?.exposureMs;
  if (figure === undefined) return { known: false, why: "there is no service" };
  return figure.known ? { known: true, exposureMs: figure.value, errorMs: figure.errorMs } : { known: false, why: figure.why };
}

function saidOfTurns(): Pick<ObserverWords, "turns" | "away" | "lateMs"> {
  const lateMs: number[] = [];
  let away = 0;
  for (const { turn } of observer.looks()) {
    lateMs.push(turn.lateMs);
    if (!turn.reading.ok) away++;
  }
  return { turns: lateMs.length, away, lateMs: lateMs.length <= 100 ? lateMs : spread(lateMs) };
}

function spread(values: number[]): number[] {
  const sorted = values.toSorted((one, other) => one - other);
  return Array.from({ length: 100 }, (_, at) => sorted[Math.floor(((at + 1) / 100) * sorted.length) - 1] as number);
}
