import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { BenchOptions } from "./bench-options.ts";
import { CONTENDERS, sameCell, type Cell, type CellResult, type CellRun, type ContenderId } from "./cell.ts";
import type { Contender, RunningContender } from "./contenders/contender.ts";
import { rabbitmqQuorum } from "./contenders/rabbitmq.ts";
import { RAW_LOOPS, runRawLoop, type RawLoop } from "./contenders/raw-loop.ts";
import { redisStreams } from "./contenders/redis-streams.ts";
import type { LoadTarget } from "./load/driver.ts";
import { runLoad } from "./load/load-runner.ts";
import { BenchStack } from "./stack/bench-stack.ts";

/** Orders per batch of the NDJSON contender. */
const BATCH = 100;
/** Numbers of orders apart between two runs, so that no two write the same one. */
const ORDERS_PER_RUN = 100_000_000;

const PEERS: Partial<Record<ContenderId, Contender>> = { rabbitmq: rabbitmqQuorum, redis: redisStreams };

/** Every cell of the table, in the order of one round. Peers come last: the stack idles meanwhile. */
export const CELLS: readonly Cell[] = [
  ...[1, 16, 64].map((writers): Cell => ({ contender: "insert", writers, mode: "none" })),
  ...(["http", "sdk", "ndjson"] as const).flatMap((contender) =>
    (["burst", "sustained"] as const).flatMap((mode) => [1, 64, 512].map((writers): Cell => ({ contender, writers, mode }))),
  ),
  ...[1, 64].map((writers): Cell => ({ contender: "applied", writers, mode: "none" })),
  ...(["rabbitmq", "redis"] as const).flatMap((contender) => [1, 64, 512].map((writers): Cell => ({ contender, writers, mode: "none" }))),
];

export interface SuiteResult {
  readonly raw: Readonly<Partial<Record<RawLoop, readonly number[]>>>;
  readonly cells: readonly CellResult[];
}

/** Runs all rounds. Rounds are interleaved: each contender is measured once in each, so that a slow minute hits all of them alike. */
export class Suite {
  readonly #options: BenchOptions;
  readonly #folder: string;
  readonly #say: (line: string) => void;
  readonly #raw: Partial<Record<RawLoop, number[]>> = {};
  readonly #cells: { cell: Cell; runs: CellRun[]; skipped?: string }[] = [];
  #runs = 0;

  constructor(parts: { options: BenchOptions; folder: string; say: (line: string) => void }) {
    this.#options = parts.options;
    this.#folder = parts.folder;
    this.#say = parts.say;
  }

  async run(): Promise<SuiteResult> {
    const cells = CELLS.filter(({ contender }) => this.#wanted(contender));
    const stack = cells.some(({ contender }) => PEERS[contender] === undefined)
      ? await BenchStack.start(join(this.#folder, "stack"))
      : undefined;
    try {
      for (let round = 1; round <= this.#options.rounds; round++) await this.#round({ round, cells, stack });
    } finally {
      await stack?.close();
    }
    return { raw: this.#raw, cells: this.#cells };
  }

  #wanted(name: string): boolean {
    return this.#options.only.length === 0 || this.#options.only.includes(name);
  }

  async #round({ round, cells, stack }: { round: number; cells: readonly Cell[]; stack: BenchStack | undefined }): Promise<void> {
    if (this.#wanted("raw")) {
      for (const kind of RAW_LOOPS) {
        const perSecond = await runRawLoop(kind, this.#folder, Math.min(this.#options.measureMs, 2_000));
        (this.#raw[kind] ??= []).push(perSecond);
        this.#say(`${round}  raw loop, ${kind}: ${Math.round(perSecond)}/s`);
      }
    }
    for (const cell of cells)
      if (PEERS[cell.contender] === undefined && stack !== undefined) await this.#measure(round, cell, () => this.#stackRun(stack, cell));
    for (const [id, peer] of Object.entries(PEERS)) {
      const own = cells.filter(({ contender }) => contender === id);
      if (own.length > 0) await this.#peerRuns(round, peer, own);
    }
  }

  async #peerRuns(round: number, peer: Contender, cells: readonly Cell[]): Promise<void> {
    const folder = join(this.#folder, `peer-${round}-${cells[0]?.contender ?? ""}`);
    mkdirSync(folder, { recursive: true });
    const running = await peer.start({ folder });
    if ("skipped" in running) {
      this.#say(`${round}  ${peer.name}: skipped, ${running.skipped}`);
      for (const cell of cells) this.#result(cell).skipped = running.skipped;
      return;
    }
    try {
      for (const cell of cells) await this.#measure(round, cell, () => this.#peerRun(running, cell));
    } finally {
      await running.close();
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #measure(round: number, cell: Cell, run: () => Promise<CellRun>): Promise<void> {
    const result = await run();
    this.#result(cell).runs.push(result);
    const drained = result.drained === undefined ? "" : `, drained ${Math.round(result.drained)}/s`;
    const refused = result.refused === 0 ? "" : `, ${result.refused} refused`;
    const mode = cell.mode === "none" ? "" : `, ${cell.mode}`;
    this.#say(
      `${round}  ${CONTENDERS[cell.contender].name}, ${cell.writers} writers${mode}: ${Math.round(result.acknowledged)}/s, p50 ${result.p50Ms} ms, p99 ${result.p99Ms} ms${drained}${refused}`,
    );
  }

  #result(cell: Cell): { cell: Cell; runs: CellRun[]; skipped?: string } {
    let found = this.#cells.find((result) => sameCell(result.cell, cell));
    if (found === undefined) {
      found = { cell, runs: [] };
      this.#cells.push(found);
    }
    return found;
  }

  async #peerRun(running: RunningContender, cell: Cell): Promise<CellRun> {
    const { result } = await this.#load(running.target, cell);
    return result;
  }

  async #stackRun(stack: BenchStack, cell: Cell): Promise<CellRun> {
    // Every cell begins with an empty table and nothing left to apply.
    const base = await stack.clear();
    const target = await stackTarget(stack, cell);
    if (cell.mode === "burst") await stack.pause(true);
    const counting: Promise<Count>[] = [];
    const { result } = await this.#load(target, cell, () => {
      if (cell.mode === "sustained") counting.push(countRows(stack));
    });
    if (cell.mode === "none") return result;
    if (cell.mode === "sustained") {
      const [begin, end] = await Promise.all([counting[0], countRows(stack)]);
      return { ...result, drained: begin === undefined ? 0 : ((end.rows - begin.rows) / (end.atMs - begin.atMs)) * 1_000 };
    }
    const before = await stack.rows();
    await stack.pause(false);
    const drainMs = await stack.drained(base);
    return { ...result, drained: (((await stack.rows()) - before) / drainMs) * 1_000 };
  }

  async #load(target: LoadTarget, cell: Cell, onMeasuring?: () => void): Promise<{ result: CellRun }> {
    const { warmupMs, measureMs } = this.#options;
    const plan = { target, writers: cell.writers, warmupMs, measureMs, firstOrder: this.#runs++ * ORDERS_PER_RUN };
    const load = await runLoad(plan, onMeasuring);
    const { ratePerSecond: acknowledged, p50Ms, p99Ms, refused, cpuSeconds, seconds } = load;
    return { result: { acknowledged, p50Ms, p99Ms, refused, clientCores: cpuSeconds / seconds } };
  }
}

interface Count {
  readonly rows: number;
  readonly atMs: number;
}

/** The count belongs to the snapshot that is taken when the query begins. */
async function countRows(stack: BenchStack): Promise<Count> {
  const atMs = performance.now();
  return { rows: await stack.rows(), atMs };
}

async function stackTarget(stack: BenchStack, cell: Cell): Promise<LoadTarget> {
  const gateway = { url: stack.gatewayUrl, token: stack.token };
  switch (cell.contender) {
    case "insert":
      return { driver: "postgres", ...(await stack.postgres()) };
    case "http":
      return { driver: "plain-http", ...gateway };
    case "applied":
      return { driver: "applied", ...gateway };
    case "ndjson":
      return { driver: "ndjson", ...gateway, batch: BATCH };
    case "sdk":
      return { driver: "sdk", ...gateway };
    case "rabbitmq":
    case "redis":
      throw new Error(`${cell.contender} is not part of the stack`);
  }
}
