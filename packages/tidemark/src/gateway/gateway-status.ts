import type { Clock } from "@tidemark/kernel/clock";
import type { Config } from "../config/config.ts";
import type { Journal } from "../journal/journal.ts";
import type { ApplierProcess } from "./applier-process.ts";
import { guaranteeOf } from "./durability-rule.ts";
import type { IdempotencyWindow } from "./idempotency-window.ts";
import type { Outcomes } from "./outcomes.ts";
import type { PartitionHeads } from "./partition-heads.ts";
import { windowWords } from "./receipt.ts";
import type { VerdictIndex } from "./verdict-index.ts";
import type { WriteService } from "./write-service.ts";

/** What of the journal a store has safely (R11), as its applier said last. */
export interface TrimSafe {
  readonly upTo: bigint;
  /** Of the primary that has it. */
  readonly timeline: number;
}

export interface StatusParts {
  readonly config: Config;
  readonly journal: Journal;
  readonly writes: WriteService;
  readonly window: IdempotencyWindow;
  readonly verdicts: VerdictIndex;
  readonly heads: PartitionHeads;
  readonly outcomes: Outcomes;
  readonly appliers: ReadonlyMap<string, ApplierProcess>;
  readonly trimSafe: ReadonlyMap<string, TrimSafe>;
  readonly incidents: { count: number };
  readonly clock: Clock;
  /** This process: its id and the bytes that it holds now. */
  readonly process: { readonly pid: number; readonly memoryBytes: () => number };
}

/** What the gateway knows of itself at this moment; 64-bit numbers as text, times in UTC. The body of `GET /v1/status`. */
export function gatewayStatus(parts: StatusParts): object {
  const { config, journal, writes, window, verdicts, outcomes, clock } = parts;
  const { id, state, reason, oldest, durable, trimSafe, bytes, quotaBytes, segments, oldestAcceptedAtMs, partitions, generation } =
    journal.status();
  return {
    role: "gateway",
    name: config.name,
    at: isoTime(clock.wallMs()),
    pid: parts.process.pid,
    memoryBytes: parts.process.memoryBytes(),
    accepting: refusalOf(parts) === undefined,
    draining: writes.draining,
    journal: {
      id,
      state,
      reason: reason ?? null,
      oldest: String(oldest),
      durable: String(durable),
      trimSafe: String(trimSafe),
      bytes,
      quotaBytes,
      segments,
      healingHorizon: oldestAcceptedAtMs === undefined ? null : isoTime(oldestAcceptedAtMs),
      partitions,
      generation,
      durableIn: journal.domains,
    },
    writes: { ...writes.counts, pending: writes.pending, pendingMost: config.gateway.limits.pendingWrites, waiting: outcomes.waiting },
    idempotency: {
      keys: window.size,
      window: windowWords(window.limits),
      windowMs: window.limits.windowMs,
      count: window.limits.count,
      oldestAcceptedAt: window.oldestAcceptedAtMs === undefined ? null : isoTime(window.oldestAcceptedAtMs),
      bytes: window.bytes,
    },
    deadLetters: { open: verdicts.openCount },
    incidents: parts.incidents.count,
    stores: Object.fromEntries(Object.keys(config.stores).map((name) => [name, storeStatus(name, parts)])),
  };
}

function storeStatus(name: string, parts: StatusParts): object {
  const store = parts.config.stores[name];
  const guarantee = store === undefined ? undefined : guaranteeOf(store, parts.journal.domains);
  const applier = parts.appliers.get(name)?.facts;
  const behind = recordsBehind(name, parts);
  return {
    acknowledge: guarantee?.acknowledge,
    guarantee: guarantee?.words,
    survives: guarantee?.survives,
    applier: applier === undefined ? null : { pid: applier.pid ?? null, restarts: applier.restarts, ...applier.state },
    positions: parts.outcomes.positions(name),
    behind: {
      records: behind ?? null,
      method:
        "durable sequence minus the lowest position of a partition with records beyond it; an upper bound, as records of other partitions count",
    },
    trimSafe: String(parts.trimSafe.get(name)?.upTo ?? 0n),
    trimSafeTimeline: parts.trimSafe.get(name)?.timeline ?? null,
  };
}

/** Records that the store may not have applied yet, at most; undefined until every partition with records was told. */
export function recordsBehind(store: string, parts: Pick<StatusParts, "journal" | "outcomes" | "heads">): number | undefined {
  const told = new Map(parts.outcomes.positions(store).map(({ partition, upTo }) => [partition, BigInt(upTo)]));
  const durable: bigint = parts.journal.extent().durable;
  let lowest = durable;
  const everywhere = [...told.values()].reduce<bigint | undefined>(
    (least, one) => (least === undefined || one < least ? one : least),
    undefined,
  );
  for (const [partition, head] of parts.heads.entries()) {
    // A partition of an earlier generation is not told any more; all was applied before the present one began (R12).
    const position = told.get(partition) ?? (partition >= parts.journal.partitions ? everywhere : undefined);
    if (position === undefined) return undefined;
    if (position < head && position < lowest) lowest = position;
  }
  return Number(durable - lowest);
}

/** Why no write would be accepted now, or undefined. */
export function refusalOf(parts: Pick<StatusParts, "journal" | "writes" | "verdicts">): { code: string; message: string } | undefined {
  if (parts.writes.draining) return { code: "TM-GATEWAY-DRAINING", message: "the gateway is stopping" };
  if (parts.verdicts.full) return { code: "TM-GATEWAY-DEAD-LETTERS-FULL", message: `${parts.verdicts.openCount} dead letters are open` };
  const { state, reason } = parts.journal.status();
  if (state === "open") return undefined;
  return reason ?? { code: state === "full" ? "TM-JOURNAL-FULL" : "TM-JOURNAL-STOPPED", message: `the journal is ${state}` };
}

function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
