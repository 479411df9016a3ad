// What the probes cost the servers that they look at: processor time of their backends, by the kernel.
import type { ProbedPair } from "./probed-pair.ts";
import { scheduledMs } from "./running-process.ts";

export interface BackendsCpu {
  readonly node: "primary" | "standby";
  readonly backends: number;
  readonly seconds: number;
  /** Of one core, all of the probes' backends together. */
  readonly share: number;
}

/** Over `seconds`; the probes have to be connected, and stay so. Rejects when one of their backends ends meanwhile. */
export async function measureBackends(pair: ProbedPair, seconds: number): Promise<BackendsCpu[]> {
  const nodes = ["primary", "standby"] as const;
  const began = await Promise.all(
    nodes.map(async (node) => {
      const pids = await pair.backends(node, { applications: "tidemark-%" });
      return { node, pids, beganMs: Date.now(), before: pids.map(scheduledMs) };
    }),
  );
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  return began.map(({ node, pids, beganMs, before }) => {
    const tookMs = Date.now() - beganMs;
    const usedMs = pids.reduce((sum, pid, at) => sum + scheduledMs(pid) - (before[at] ?? 0), 0);
    return { node, backends: pids.length, seconds: tookMs / 1_000, share: usedMs / tookMs };
  });
}
