// Everything that is measured on a real primary and its real standby, with one observer that looks at nothing else.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasAlertmanager, RunningAlertmanager } from "../../packages/tidemark/src/alerts/testing/running-alertmanager.ts";
import { measureBackends, type BackendsCpu } from "./backends-cpu.ts";
import { AlertArrivals, measureBreaches, type Breach } from "./breach-run.ts";
import type { ObserverWords } from "./observer-process.ts";
import { ProbedPair } from "./probed-pair.ts";
import { RunningProcess } from "./running-process.ts";
import type { AnswerTape } from "./simulated/answer-tape.ts";
import { tapePair } from "./simulated/tape-pair.ts";
import { watchConfig } from "./watch-config.ts";
import { measureTruth, type FaultResult, type TruthTimes } from "./truth/truth-run.ts";

/** What may be lost, milliseconds: a stall of a few seconds is a breach. */
const RPO_MS = 3_000;

export interface PairRun {
  readonly parts: ReadonlySet<string>;
  readonly times: TruthTimes;
  readonly backendSeconds: number;
  readonly breaches: number;
  readonly folder: string;
  readonly say: (line: string) => void;
}

export interface PairResult {
  readonly postgres: string;
  readonly tape: AnswerTape;
  readonly faults?: readonly FaultResult[];
  readonly backends?: readonly BackendsCpu[];
  readonly breaches?: readonly Breach[];
  readonly rpoMs: number;
}

export async function runOnPair(run: PairRun): Promise<PairResult> {
  const { folder, say } = run;
  const pair = await ProbedPair.start(folder);
  try {
    const tape = await tapePair(pair.targets);
    const measured = ["truth", "backends", "breach"].some((part) => run.parts.has(part)) ? await observed(pair, run) : {};
    say("pair: done");
    return { postgres: pair.version, tape, rpoMs: RPO_MS, ...measured };
  } finally {
    await pair.stop();
  }
}

async function observed(pair: ProbedPair, run: PairRun): Promise<Partial<PairResult>> {
  const { parts, folder, say } = run;
  const webhook = await AlertArrivals.start();
  const hook = hasAlertmanager ? await AlertArrivals.start() : undefined;
  const alertmanager = hook === undefined ? undefined : await RunningAlertmanager.make(join(folder, "alertmanager"), hook.url);
  try {
    await alertmanager?.start();
    await using observer = new RunningProcess("observer-process.ts", argumentsFor(pair, { folder, webhook, alertmanager }));
    await observer.line((line) => {
      const { turns, away, exposure } = JSON.parse(line) as ObserverWords;
      return turns === 3 && away === 0 && exposure.known;
    });
    const backends = parts.has("backends") ? await measureBackends(pair, run.backendSeconds) : undefined;
    for (const { node, share } of backends ?? []) say(`backends: ${(share * 100).toFixed(2)} % of a core on the ${node}`);
    const faults = parts.has("truth") ? await measureTruth(pair, { observer, times: run.times, say }) : undefined;
    const breaches = parts.has("breach")
      ? await measureBreaches(pair, { observer, rpoMs: RPO_MS, repetitions: run.breaches, webhook, alertmanager: hook, say })
      : undefined;
    return {
      ...(backends === undefined ? {} : { backends }),
      ...(faults === undefined ? {} : { faults }),
      ...(breaches === undefined ? {} : { breaches }),
    };
  } finally {
    await alertmanager?.kill();
    await webhook.stop();
    await hook?.stop();
  }
}

/** The observer's configuration and its folder. */
function argumentsFor(
  pair: ProbedPair,
  where: { folder: string; webhook: AlertArrivals; alertmanager: RunningAlertmanager | undefined },
): string[] {
  const folder = join(where.folder, "observer");
  mkdirSync(folder);
  const [keyFile, passwordFile, configFile] = [join(folder, "webhook.key"), join(folder, "password"), join(folder, "tidemark.yaml")];
  const { primary, standby } = pair.targets;
  writeFileSync(keyFile, "only-for-benchmarks, and long enough\n", { mode: 0o600 });
  writeFileSync(passwordFile, primary.password?.reveal() ?? "", { mode: 0o600 });
  const server = ({ host, port, user, database }: typeof primary) => ({ host, port, user, database, passwordFile });
  const config = watchConfig({
    stores: [{ name: "orders", primary: server(primary), standby: server(standby) }],
    rpoSeconds: RPO_MS / 1_000,
    webhook: { url: where.webhook.url, keyFile },
    ...(where.alertmanager === undefined ? {} : { alertmanager: where.alertmanager.url }),
  });
  writeFileSync(configFile, config);
  return [configFile, folder];
}
