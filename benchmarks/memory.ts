import { runLoad } from "./load/load-runner.ts";
import type { BenchStack } from "./stack/bench-stack.ts";
import type { Judgement } from "./targets.ts";

/** Writes over which the gateway's memory is watched. */
const WRITES = 1_000_000;
/** The first of them fill caches and buffers, and are not judged. */
const SETTLING = 100_000;
const SAMPLE_EVERY_MS = 500;
const MOST_TIME_MS = 600_000;
/** How much more the gateway may hold at the end than at the beginning. */
const MOST_GROWTH = 0.1;

export interface MemoryResult {
  readonly samples: readonly { readonly writes: number; readonly bytes: number }[];
  readonly judgements: readonly Judgement[];
}

type Samples = MemoryResult["samples"];

/** Watches the gateway's resident memory while a million orders are written through the SDK, with the applier draining, and with every database away. */
export async function measureMemory(stack: BenchStack, say: (line: string) => void): Promise<MemoryResult> {
  const samples = await writeAMillion(stack, 2 ** 45);
  const draining = judgeMemory(samples);
  say(`memory: ${draining.measured}`);
  await stack.drained(0);
  await stack.takeDatabasesAway();
  const alone = await writeAMillion(stack, 2 ** 46);
  const away = { ...judgeMemory(alone), target: "… and over another million while every database is away" };
  say(`memory, databases away: ${away.measured}`);
  return { samples, judgements: [draining, away] };
}

/** Writes through the SDK; what the gateway held meanwhile, by how many writes there were then. */
async function writeAMillion(stack: BenchStack, firstOrder: number): Promise<Samples> {
  const samples: { writes: number; bytes: number }[] = [];
  const startAt = Number((await stack.gatewayFacts()).journal.durable);
  const sample = async (): Promise<void> => {
    const facts = await stack.gatewayFacts();
    samples.push({ writes: Number(facts.journal.durable) - startAt, bytes: facts.memoryBytes });
  };
  let running = true;
  const load = runLoad({
    target: { driver: "sdk", url: stack.gatewayUrl, token: stack.token },
    writers: 64,
    warmupMs: 0,
    measureMs: MOST_TIME_MS,
    mostWrites: WRITES,
    firstOrder,
  }).finally(() => (running = false));
  while (running) {
    await sample();
    await Promise.race([load.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, SAMPLE_EVERY_MS))]);
  }
  await load;
  await sample();
  return samples;
}

/** Compares the medians of the first and of the last tenth of the judged samples. */
export function judgeMemory(samples: readonly { writes: number; bytes: number }[]): Judgement {
  const target = "The gateway's memory over a million writes: flat within 10 %";
  const judged = samples.filter(({ writes }) => writes >= SETTLING);
  const tenth = Math.ceil(judged.length / 10);
  const middle = (part: readonly { bytes: number }[]): number =>
    part.map(({ bytes }) => bytes).sort((left, right) => left - right)[Math.floor(part.length / 2)] ?? Number.NaN;
  const [begin, end] = [middle(judged.slice(0, tenth)), middle(judged.slice(-tenth))];
  if (judged.length < 10) return { target, measured: "too few samples", met: undefined };
  const most = Math.max(...judged.map(({ bytes }) => bytes));
  const growth = end / begin - 1;
  const mebi = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MiB`;
  return {
    target,
    measured: `${mebi(begin)} after ${SETTLING.toLocaleString("en")} writes, ${mebi(end)} at the end (${(growth * 100).toFixed(1)} %), ${mebi(most)} at most`,
    met: growth <= MOST_GROWTH,
  };
}
