// Exposure against ground truth: faults by a script, and every second that the observer said something compared with what was so.
import type { ObserverWords } from "../observer-process.ts";
import type { ProbedPair } from "../probed-pair.ts";
import type { RunningProcess } from "../running-process.ts";
import { BACKLOG, PARTITION, STALL, type Fault } from "./faults.ts";
import { errorOf, trueMoments, truthAt, type TrueMoment } from "./true-exposure.ts";
import { Witness } from "./witness.ts";

export interface FaultResult {
  readonly fault: Fault["name"] | "none";
  readonly words: string;
  /** How much was exposed in truth at most, milliseconds. */
  readonly mostTrueMs: number;
  /** Seconds with a figure, and their errors, milliseconds. */
  readonly known: number;
  readonly medianErrorMs: number;
  readonly p99ErrorMs: number;
  readonly mostErrorMs: number;
  /** Seconds in which exposure was not known. */
  readonly unknown: number;
  /** Seconds in which the truth of that very moment was further away than the error bound that was said with the figure. */
  readonly beyondOwnBound: number;
  /** The latest that a look began after it was due: beyond some milliseconds the machine is at fault, milliseconds. */
  readonly mostLateMs: number;
}

/** Seconds of each part of the script. */
export interface TruthTimes {
  readonly calm: number;
  readonly stall: number;
  readonly partition: number;
  readonly backlog: number;
  /** After each fault, until everything is as before. */
  readonly mend: number;
}

const FAULTS = [STALL, PARTITION, BACKLOG] as const;

/** @param run.observer says seconds of the pair's store. */
export async function measureTruth(
  pair: ProbedPair,
  run: { observer: RunningProcess; times: TruthTimes; say: (line: string) => void },
): Promise<FaultResult[]> {
  const { observer, times, say } = run;
  const witness = await Witness.begin(pair);
  const said: ObserverWords[] = [];
  observer.onLine((line) => said.push(JSON.parse(line) as ObserverWords));
  const spans: { fault: FaultResult["fault"]; words: string; fromMs: number; toMs: number }[] = [];
  const span = async (fault: FaultResult["fault"], words: string, during: () => Promise<void>): Promise<void> => {
    const fromMs = Date.now();
    await during();
    spans.push({ fault, words, fromMs, toMs: Date.now() });
  };
  try {
    await span("none", "nothing is broken", () => rest(times.calm));
    for (const fault of FAULTS)
      await span(fault.name, fault.words, async () => {
        say(`truth: ${fault.name}`);
        const mend = await fault.begin(pair, witness);
        try {
          await rest(times[fault.name]);
        } finally {
          mend();
        }
        await rest(times.mend);
      });
  } finally {
    await witness.stop();
  }
  const truth = trueMoments(witness.commits, witness.samples);
  return spans.map(({ fault, words, fromMs, toMs }) => {
    const seconds = said.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
    return { fault, words, ...compare(seconds, truth) };
  });
}

/** Compares seconds with the truth. */
export function compare(
  said: readonly Pick<ObserverWords, "atMs" | "exposure" | "lateMs">[],
  truth: readonly TrueMoment[],
): Omit<FaultResult, "fault" | "words"> {
  const errors: number[] = [];
  let beyondOwnBound = 0;
  for (const { atMs, exposure } of said) {
    if (!exposure.known) continue;
    const error = errorOf({ atMs, exposureMs: exposure.exposureMs }, truth);
    if (error === undefined) continue;
    errors.push(error);
    const now = truthAt(truth, atMs);
    if (now !== undefined && Math.abs(now.exposureMs - exposure.exposureMs) > exposure.errorMs) beyondOwnBound++;
  }
  errors.sort((one, other) => one - other);
  const at = (share: number): number => errors[Math.max(0, Math.ceil(share * errors.length) - 1)] ?? Number.NaN;
  return {
    mostTrueMs: said.reduce((most, { atMs }) => Math.max(most, truthAt(truth, atMs)?.exposureMs ?? 0), 0),
    known: errors.length,
    medianErrorMs: at(0.5),
    p99ErrorMs: at(0.99),
    mostErrorMs: at(1),
    unknown: said.filter(({ exposure }) => !exposure.known).length,
    beyondOwnBound,
    mostLateMs: Math.max(0, ...said.flatMap(({ lateMs }) => lateMs)),
  };
}

function rest(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
}
