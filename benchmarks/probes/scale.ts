// One observer and a thousand stores: each a primary and a standby that are simulated by real protocol and real answers, and a canary that is
// written. The simulated ones are another process.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ObserverWords } from "./observer-process.ts";
import { peakMemory, processorMs, RunningProcess } from "./running-process.ts";
import type { AnswerTape } from "./simulated/answer-tape.ts";
import { simulatedDatabase, type SimulatedPorts } from "./simulated/simulated-fleet.ts";
import { watchConfig } from "./watch-config.ts";

export interface ScaleResult {
  readonly stores: number;
  /** Measured, after all stores were seen. */
  readonly seconds: number;
  /** Until every target had answered once, seconds. */
  readonly startedAfterSeconds: number;
  /** Of one core. */
  readonly cpuShare: number;
  readonly simulationCpuShare: number;
  readonly peakBytes: number;
  /** How late turns began, milliseconds. */
  readonly late: { readonly medianMs: number; readonly p99Ms: number; readonly mostMs: number };
  /** What a second took beside the turns: exposure, history, judgement, milliseconds. */
  readonly secondMs: { readonly medianMs: number; readonly mostMs: number };
  /** Of the newest looks at all targets, asked for each second, those without an answer. A late turn is in it twice. */
  readonly away: number;
  readonly looks: number;
}

const SETTLES_MS = 10_000;

export async function measureScale(
  tape: AnswerTape,
  run: { stores: number; seconds: number; folder: string; say: (line: string) => void },
): Promise<ScaleResult> {
  const { stores, seconds, folder, say } = run;
  const tapeFile = join(folder, "tape.json");
  const configFile = join(folder, "tidemark.yaml");
  writeFileSync(tapeFile, JSON.stringify(tape));
  await using fleet = new RunningProcess("simulated/fleet-process.ts", [tapeFile, String(stores)]);
  const ports = JSON.parse(await fleet.line()) as SimulatedPorts;
  writeFileSync(configFile, configFor(ports, stores));
  const beganMs = Date.now();
  await using observer = new RunningProcess("observer-process.ts", [configFile, folder]);
  const isWhole = (line: string): boolean => {
    const { turns, away } = JSON.parse(line) as ObserverWords;
    return turns === stores * 3 && away === 0;
  };
  await observer.line(isWhole, 180_000);
  const startedAfterSeconds = (Date.now() - beganMs) / 1_000;
  say(`scale: ${stores} stores seen after ${startedAfterSeconds.toFixed(1)} s`);
  // The first turns were late: all of them were due at once.
  await new Promise((resolve) => setTimeout(resolve, SETTLES_MS));
  const words: ObserverWords[] = [];
  observer.onLine((line) => words.push(JSON.parse(line) as ObserverWords));
  const before = { ms: Date.now(), observer: processorMs(observer.pid), fleet: processorMs(fleet.pid) };
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const wallMs = Date.now() - before.ms;
  const late = words.flatMap(({ lateMs }) => lateMs).toSorted((one, other) => one - other);
  const second = words.map(({ secondMs }) => secondMs).toSorted((one, other) => one - other);
  const result: ScaleResult = {
    stores,
    seconds: wallMs / 1_000,
    startedAfterSeconds,
    cpuShare: (processorMs(observer.pid) - before.observer) / wallMs,
    simulationCpuShare: (processorMs(fleet.pid) - before.fleet) / wallMs,
    peakBytes: peakMemory(observer.pid),
    late: { medianMs: at(late, 0.5), p99Ms: at(late, 0.99), mostMs: at(late, 1) },
    secondMs: { medianMs: at(second, 0.5), mostMs: at(second, 1) },
    away: words.reduce((sum, { away }) => sum + away, 0),
    looks: words.reduce((sum, { turns }) => sum + turns, 0),
  };
  say(
    `scale: ${(result.cpuShare * 100).toFixed(0)} % of a core, ${Math.round(result.peakBytes / 1_048_576)} MiB at most, turns ${result.late.p99Ms.toFixed(0)} ms late (p99)`,
  );
  return result;
}

function configFor(ports: SimulatedPorts, stores: number): string {
  const server = (store: number, role: "primary" | "standby") => ({
    host: "127.0.0.1",
    port: ports[role],
    user: "probe",
    database: simulatedDatabase(store, role),
  });
  return watchConfig({
    stores: Array.from({ length: stores }, (_, index) => ({
      name: `store-${index}`,
      primary: server(index, "primary"),
      standby: server(index, "standby"),
    })),
    rpoSeconds: 60,
  });
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
