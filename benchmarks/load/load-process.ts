// The load generator: a process of its own, so that its work is not counted as the contender's. Takes a LoadPlan as its
// only argument (JSON); prints "measuring" when the measurement begins, and at its end one LoadResult (JSON).
import { Latencies } from "./latencies.ts";
import type { LoadDriver, LoadPlan, LoadResult } from "./driver.ts";

async function connectDriver(plan: LoadPlan): Promise<LoadDriver> {
  const { target, writers } = plan;
  switch (target.driver) {
    case "plain-http":
    case "applied":
    case "ndjson":
      return (await import("./http-driver.ts")).httpDriver(target, writers);
    case "sdk":
      return (await import("./sdk-driver.ts")).sdkDriver(target);
    case "postgres":
      return (await import("./postgres-driver.ts")).postgresDriver(target, writers);
    case "amqp":
      return (await import("./amqp-driver.ts")).amqpDriver(target);
    case "redis":
      return (await import("./redis-driver.ts")).redisDriver(target);
  }
}

/** The most refusals before a run gives up: a contender that refuses everything must not spin. */
const MOST_REFUSALS = 1_000;

async function run(plan: LoadPlan): Promise<LoadResult> {
  const driver = await connectDriver(plan);
  const startMs = performance.now();
  const measureFromMs = startMs + plan.warmupMs;
  const endMs = measureFromMs + plan.measureMs;
  const intervalMs = plan.ratePerSecond === undefined ? 0 : (plan.writers * driver.ordersPerWrite * 1_000) / plan.ratePerSecond;
  const latencies = new Latencies();
  let next = plan.firstOrder;
  let acknowledged = 0;
  let refused = 0;
  let firstRefusal: string | undefined;
  let lastMs = measureFromMs;
  let cpuAtStart: NodeJS.CpuUsage | undefined;
  const mostWrites = plan.mostWrites ?? Infinity;

  setTimeout(() => {
    cpuAtStart = process.cpuUsage();
    process.stdout.write("measuring\n");
  }, plan.warmupMs);

  const writer = async (index: number): Promise<void> => {
    let dueMs = startMs + (intervalMs * index) / plan.writers;
    for (;;) {
      if (intervalMs > 0) {
        const waitMs = dueMs - performance.now();
        if (waitMs > 0.5) await new Promise((resolve) => setTimeout(resolve, waitMs));
        dueMs += intervalMs;
      }
      const beganMs = performance.now();
      if (beganMs >= endMs || acknowledged >= mostWrites || refused >= MOST_REFUSALS) return;
      const first = next;
      next += driver.ordersPerWrite;
      try {
        await driver.write(index, first);
      } catch (error) {
        refused++;
        firstRefusal ??= error instanceof Error ? error.message : String(error);
        continue;
      }
      const nowMs = performance.now();
      // Acknowledgements count where they arrive: within the measurement, whenever they were asked for.
      if (nowMs < measureFromMs || nowMs > endMs) continue;
      acknowledged += driver.ordersPerWrite;
      lastMs = nowMs;
      latencies.add(nowMs - beganMs);
    }
  };
  await Promise.all(Array.from({ length: plan.writers }, (_, index) => writer(index)));
  const cpu = process.cpuUsage(cpuAtStart);
  await driver.close();
  const seconds = (acknowledged >= mostWrites ? lastMs - measureFromMs : plan.measureMs) / 1_000;
  const [p50Ms = Number.NaN, p99Ms = Number.NaN] = latencies.percentiles(50, 99);
  return {
    acknowledged,
    refused,
    seconds,
    ratePerSecond: acknowledged / seconds,
    p50Ms,
    p99Ms,
    mostMs: latencies.mostMs,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    ...(firstRefusal === undefined ? {} : { firstRefusal }),
  };
}

const result = await run(JSON.parse(process.argv[2] ?? "null") as LoadPlan);
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
