// What `tidemark control` runs to measure, in a process of its own: probes, exposure, history, judgement and delivery, for the stores of its
// order. It says each second what it knows, as JSON lines, and ends with its standard input.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { openJudgement } from "../../packages/tidemark/src/alerts/open-judgement.ts";
import { alertmanagerReceiver } from "../../packages/tidemark/src/alerts/receivers/alertmanager-receiver.ts";
import { webhookReceiver } from "../../packages/tidemark/src/alerts/receivers/webhook-receiver.ts";
import type { Receiver } from "../../packages/tidemark/src/alerts/receiver.ts";
import { CanaryProbe } from "../../packages/tidemark/src/canary/canary-probe.ts";
import { History } from "../../packages/tidemark/src/history/history.ts";
import { Observer, type ObservedSecond } from "../../packages/tidemark/src/observer/observer.ts";
import type { StoreWatch } from "../../packages/tidemark/src/observer/watched-store.ts";
import { PostgresqlProbe } from "../../packages/tidemark/src/probes/postgresql-probe.ts";
import type { PostgresqlTarget } from "../../packages/tidemark/src/probes/postgresql/postgresql-target.ts";
import { StoreObservation } from "../../packages/tidemark/src/probes/store-observation.ts";
import { STANDBY } from "./probed-pair.ts";

export interface ObserverOrder {
  readonly stores: readonly { readonly name: string; readonly primary: TargetOrder; readonly standby: TargetOrder }[];
  /** What each service may lose when a node or a zone is lost. */
  readonly rpoMs: number;
  /** Where history and alerts are kept. */
  readonly folder: string;
  readonly webhook?: { readonly url: string; readonly keyFile: string };
  readonly alertmanager?: string;
}

export interface TargetOrder {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string;
  readonly database: string;
}

/** What it says each second, of the first of its stores and of all turns since it said so last. */
export interface ObserverWords {
  /** Wall time, milliseconds. */
  readonly atMs: number;
  readonly exposure: SaidExposure;
  readonly turns: number;
  readonly away: number;
  /** From when turns were due until they began, milliseconds. */
  readonly lateMs: readonly number[];
  /** How long it was busy with the second itself: exposure, history and judgement, milliseconds. */
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

const order = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as ObserverOrder;
const world = { clock: systemClock, random: systemRandom, logger: silentLogger };
const history = new History(join(order.folder, "history.sqlite"));
const judgement = openJudgement({
  file: join(order.folder, "alerts.sqlite"),
  settings: { services: Object.fromEntries(order.stores.map(({ name }) => [name, { stores: [name] }])) },
  receivers: receivers(),
  world: { ...world, audit: { append: () => Promise.resolve() } },
});
const numbers = new Map<string, number | undefined>();
const objective = { rpoMs: order.rpoMs, rtoMs: 3_600_000 };
const observer = new Observer({
  ...world,
  services: Object.fromEntries(
    order.stores.map(({ name }) => [name, { stores: [name], objectives: { "node-loss": objective, "zone-loss": objective } }]),
  ),
  watch: () => order.stores.map(watchOf),
  onSecond,
});
const stop = new AbortController();
process.stdin.on("end", () => stop.abort()).resume();
await Promise.all([observer.run(stop.signal), judgement.courier.run(stop.signal)]);
judgement.close();
history.close();
process.exit(0);

function receivers(): Receiver[] {
  const told = { deployment: "bench", runbooks: "https://runbooks.invalid", clock: systemClock };
  return [
    ...(order.webhook === undefined
      ? []
      : [webhookReceiver({ ...told, name: "webhook", url: new Redacted(order.webhook.url), keyFile: order.webhook.keyFile })]),
    ...(order.alertmanager === undefined
      ? []
      : [alertmanagerReceiver({ ...told, name: "alertmanager", url: new Redacted(order.alertmanager) })]),
  ];
}

function watchOf({ name, primary, standby }: ObserverOrder["stores"][number]): StoreWatch {
  const observation = new StoreObservation(name);
  const domains = { pg1: { machine: "m1", zone: "a" }, [STANDBY]: { machine: "m2", zone: "b" } };
  const probes = [
    new CanaryProbe({ store: name, target: targetOf(primary), clock: systemClock }),
    ...[["pg1", primary] as const, [STANDBY, standby] as const].map(
      ([node, target]) =>
        new PostgresqlProbe({ name: node, domain: domains[node] ?? {}, target: targetOf(target), observation, clock: systemClock }),
    ),
  ];
  return {
    store: name,
    probes: probes.map((probe) => ({ probe })),
    expected: Object.entries(domains).map(([node, domain]) => ({ name: node, kind: "standby", domain, toldBy: [`postgresql ${node}`] })),
  };
}

function targetOf({ password, ...rest }: TargetOrder): PostgresqlTarget {
  return { ...rest, tls: "disable", ...(password === undefined ? {} : { password: new Redacted(password) }) };
}

function onSecond(second: ObservedSecond): void {
  const beganMs = performance.now();
  history.record(
    second.atMs,
    second.exposures.flatMap(({ service, scenario, exposureMs }) => {
      const series = seriesOf(service, scenario);
      return series === undefined ? [] : [{ series, figure: exposureMs }];
    }),
  );
  const { began } = judgement.engine.observe(second.atMs, { exposures: second.exposures, stores: second.stores, vaults: [] });
  const atMs = Date.now();
  const lateMs: number[] = [];
  let away = 0;
  for (const { turn } of observer.looks()) {
    lateMs.push(turn.lateMs);
    if (!turn.reading.ok) away++;
  }
  const words: ObserverWords = {
    atMs: second.atMs,
    exposure: saidOf(second),
    turns: lateMs.length,
    away,
    lateMs: lateMs.length < 100 ? lateMs : quantiles(lateMs),
    secondMs: performance.now() - beganMs,
    firing: judgement.engine.alerts(second.atMs).some(({ rule, state }) => rule === RULE && state === "firing"),
    ...(began.some(({ rule }) => rule === RULE) ? { began: atMs } : {}),
  };
  process.stdout.write(`${JSON.stringify(words)}\n`);
}

function seriesOf(service: string, scenario: string): number | undefined {
  const key = `${service} ${scenario}`;
  if (!numbers.has(key)) numbers.set(key, history.series({ metric: "tidemark_exposure_seconds", labels: { service, scenario } }));
  return numbers.get(key);
}

function saidOf({ exposures }: ObservedSecond): SaidExposure {
  const figure = exposures.find(({ scenario }) => scenario === "node-loss")?.exposureMs;
  if (figure === undefined) return { known: false, why: "there is no service" };
  return figure.known ? { known: true, exposureMs: figure.value, errorMs: figure.errorMs } : { known: false, why: figure.why };
}

/** A hundred values that are spread as all are. */
function quantiles(values: number[]): number[] {
  const sorted = values.toSorted((one, other) => one - other);
  return Array.from({ length: 100 }, (_, at) => sorted[Math.floor(((at + 1) / 100) * sorted.length) - 1] as number);
}
