import type { FastifyInstance } from "fastify";
import { sleep, type Clock } from "@tidemark/kernel/clock";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { Sequence } from "@tidemark/kernel/brands";
import type { FromApplier } from "../applier/applier-link.ts";
import type { Config } from "../config/config.ts";
import type { Journal } from "../journal/journal.ts";
import { Acceptance } from "./acceptance.ts";
import { Access, demandSafeAddress, isLoopback, type LoadedToken } from "./access.ts";
import type { ControlQuestion } from "./copy-frontiers.ts";
import type { ForkApplier } from "./applier-channel.ts";
import { ApplierProcess, type AskingApplier } from "./applier-process.ts";
import { compileValidators } from "./argument-validator.ts";
import { compileCommands } from "./command-catalogue.ts";
import { DeadLetters, type AuditPort } from "./dead-letters.ts";
import { demandObjectives } from "./durability-rule.ts";
import { GatewayMetrics } from "./gateway-metrics.ts";
import type { StatusParts, TrimSafe } from "./gateway-status.ts";
import { createHttpServer } from "./http-server.ts";
import { IdempotencyWindow } from "./idempotency-window.ts";
import { scanJournal } from "./journal-scan.ts";
import { addOperatorRoutes } from "./operator-routes.ts";
import { Outcomes } from "./outcomes.ts";
import { PartitionHeads } from "./partition-heads.ts";
import { RateLimits } from "./rate-limits.ts";
import { ReceiptWriter } from "./receipt.ts";
import { addStatusRoutes } from "./status-routes.ts";
import { StoreControl } from "./store-control.ts";
import { VerdictIndex } from "./verdict-index.ts";
import { VerdictJournal } from "./verdict-journal.ts";
import { WriteLives } from "./write-lives.ts";
import { WriteLookup } from "./write-lookup.ts";
import { addWriteRoutes } from "./write-routes.ts";
import { WriteService } from "./write-service.ts";

/** What a gateway is made of and stands in. The journal is open; the gateway closes it. */
export interface GatewayWorld {
  readonly config: Config;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly audit: AuditPort;
  /** The tokens of the configuration and the one that the roles use among themselves. */
  readonly tokens: readonly LoadedToken[];
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  readonly forkApplier: ForkApplier;
  /** Asked how far copies are, for the lives of writes; without it they end with the commit. */
  readonly control?: ControlQuestion;
  readonly process: StatusParts["process"];
}

/** A gateway that is ready to listen. */
export interface Gateway {
  readonly app: FastifyInstance;
  /** Takes no more writes, answers those in hand, ends the appliers, closes the journal. Idempotent. */
  close(): Promise<void>;
}

/** How long the writes in hand, and those that somebody waits for, may take at a stop. */
const DRAIN_MS = 5_000;

/**
 * Puts a gateway together and reads the journal for what it has to know before it accepts anything. Throws
 * TM-GATEWAY-ADDRESS, TM-GATEWAY-WEAKER-THAN-OBJECTIVE (R16) and the TM-GATEWAY-COMMAND-… codes when it must not start.
 */
export async function openGateway(world: GatewayWorld): Promise<Gateway> {
  const { config, journal, clock, logger } = world;
  const recovered = journal.extent().durable;
  demandSafeAddress(config.gateway);
  demandObjectives(config, journal.domains);
  const commands = compileCommands(config.commands);
  const validators = compileValidators(config.commands);
  const window = new IdempotencyWindow(config.gateway.idempotency);
  const verdicts = new VerdictIndex();
  const heads = new PartitionHeads();
  const unfinished = await scanJournal({ journal, window, verdicts, heads, commands, clock, logger });

  const outcomes = new Outcomes(clock, recovered);
  const receipts = new ReceiptWriter({ journalId: journal.id, journalDomains: journal.domains, config });
  const appliedFirst = new Set(Object.keys(config.stores).filter((name) => config.stores[name]?.acknowledge === "applied"));
  const acceptance = new Acceptance({ commands, validators, window, random: world.random, appliedFirst });
  const rates = new RateLimits(config.gateway.limits.writesPerSecond, clock);
  const appliers = new Map<string, ApplierProcess>();
  const lives = new WriteLives({
    config,
    receipts,
    tell: (store, message) => void appliers.get(store)?.tell(message),
    control: world.control,
    clock,
    random: world.random,
    logger,
  });
  const writes = new WriteService({ config, commands, acceptance, journal, outcomes, verdicts, heads, receipts, rates, lives, clock });
  const verdictJournal = new VerdictJournal({ journal, verdicts, outcomes, heads, commands, clock });
  const deadLetters = new DeadLetters({ journal, verdicts, heads, verdictJournal, receipts, audit: world.audit, clock, logger });
  const desk = new ApplierDesk({ config, journal, outcomes, verdictJournal, deadLetters, lives, logger, clock });
  for (const store of Object.keys(config.stores)) {
    const applier = new ApplierProcess({
      store,
      config,
      journal,
      clock,
      logger,
      fork: world.forkApplier,
      recovered,
      settled: () => desk.settled(store),
      onMessage: (message, asker) => desk.hear(message, asker),
    });
    appliers.set(store, applier);
  }
  const stores = new StoreControl({ appliers, journal, verdicts, verdictJournal, receipts, audit: world.audit });
  const status: StatusParts = {
    config,
    journal,
    writes,
    window,
    verdicts,
    outcomes,
    heads,
    appliers,
    trimSafe: desk.trimSafe,
    incidents: desk.incidents,
    clock,
    process: world.process,
  };
  const metrics = new GatewayMetrics(status);

  const app = await createHttpServer({
    access: new Access(world.tokens, config.gateway.tokens.length === 0 && isLoopback(config.gateway.host)),
    bodyBytes: config.gateway.limits.bodyBytes,
    ...(world.tls === undefined ? {} : { tls: world.tls }),
    logger,
  });
  addWriteRoutes(app, {
    writes,
    lookup: new WriteLookup({ journal, outcomes, verdicts, receipts, writes }),
    batchWrites: config.gateway.limits.batchWrites,
    clock,
    metrics,
  });
  addOperatorRoutes(app, { deadLetters, stores });
  addStatusRoutes(app, { status, metrics, lives });
  await app.ready();
  await deadLetters.resume(unfinished);
  for (const applier of appliers.values()) applier.start();
  let closing: Promise<void> | undefined;
  return { app, close: () => (closing ??= closeGateway({ app, writes, outcomes, appliers, lives, journal, clock })) };
}

/** In order: refuse new writes, answer those in hand, close connections, end the appliers, close the journal. */
async function closeGateway(parts: {
  app: FastifyInstance;
  writes: WriteService;
  outcomes: Outcomes;
  appliers: ReadonlyMap<string, ApplierProcess>;
  lives: WriteLives;
  journal: Journal;
  clock: Clock;
}): Promise<void> {
  const drained = parts.writes.drain();
  const late = parts.clock.setTimer(DRAIN_MS, () => parts.outcomes.releaseAll());
  await drained;
  late.clear();
  parts.lives.close();
  await parts.app.close();
  await Promise.all([...parts.appliers.values()].map((applier) => applier.stop()));
  await parts.journal.close();
}

/** How long a verdict waits before it is tried again in a full journal. */
const VERDICT_RETRY_MS = 250;

type VerdictRequest = Extract<FromApplier, { type: "verdict" }>;

/** Takes in what the appliers say. */
class ApplierDesk {
  readonly #parts: {
    config: Config;
    journal: Journal;
    outcomes: Outcomes;
    verdictJournal: VerdictJournal;
    deadLetters: DeadLetters;
    lives: WriteLives;
    logger: Logger;
    clock: Clock;
  };
  readonly trimSafe = new Map<string, TrimSafe>();
  readonly incidents = { count: 0 };
  /** Verdicts on their way into the journal, by store. */
  readonly #recording = new Map<string, Set<Promise<unknown>>>();

  constructor(parts: {
    config: Config;
    journal: Journal;
    outcomes: Outcomes;
    verdictJournal: VerdictJournal;
    deadLetters: DeadLetters;
    lives: WriteLives;
    logger: Logger;
    clock: Clock;
  }) {
    this.#parts = parts;
  }

  /** Resolves when no verdict of `store` is on its way into the journal. */
  async settled(store: string): Promise<void> {
    await Promise.allSettled(this.#recording.get(store) ?? new Set<Promise<unknown>>());
  }

  hear(message: Exclude<FromApplier, { type: "state" }>, asker: AskingApplier): void {
    switch (message.type) {
      case "applied":
        this.#parts.outcomes.applied(message);
        return this.#parts.lives.applied(message);
      case "copies":
        return this.#parts.lives.copies(message);
      case "verdict":
        return void this.#verdict(message, asker);
      case "incident":
        this.incidents.count++;
        return this.#parts.logger.error({ store: message.store, sequence: message.sequence, code: message.code }, message.message);
      case "trim-safe":
        return this.#trimSafe(message.store, { upTo: BigInt(message.upTo), timeline: message.timeline });
    }
  }

  /**
   * A journal that is full takes the verdict later: the applier waits for the answer, and the write stays where it is. One
   * that has stopped takes nothing any more, and nothing is shown that is not durable: the gateway has to be started again.
   * Of an applier that is gone nothing is tried again: its successor judges for itself.
   */
  async #verdict(message: VerdictRequest, asker: AskingApplier): Promise<void> {
    const { deadLetters, logger, clock } = this.#parts;
    try {
      let sequence = await this.#record(message);
      while (sequence === undefined) {
        await sleep(clock, VERDICT_RETRY_MS);
        if (asker.isGone) return;
        sequence = await this.#record(message);
      }
      this.#parts.lives.judged(BigInt(message.payload.sequence));
      asker.answer({ type: "verdict-recorded", request: message.request, sequence: String(sequence) });
      // What cannot follow now does so at the next start, by the same rule.
      await deadLetters.released(BigInt(message.payload.sequence));
    } catch (error) {
      // A bug ends the process, and the next one begins from the journal: the applier would wait for this answer forever.
      if (!(error instanceof TidemarkError)) throw error;
      logger.error({ err: error, store: message.store, sequence: message.payload.sequence }, "a verdict could not be journalled");
    }
  }

  /** Undefined when the journal has no room now. */
  async #record({ store, partition, payload }: VerdictRequest): Promise<bigint | undefined> {
    const recording = this.#recording.get(store) ?? new Set();
    this.#recording.set(store, recording);
    const recorded = this.#parts.verdictJournal.record(partition, payload);
    recording.add(recorded);
    try {
      return await recorded;
    } catch (error) {
      if (!hasCode(error, "TM-JOURNAL-FULL") && !hasCode(error, "TM-JOURNAL-BUSY")) throw error;
      return undefined;
    } finally {
      recording.delete(recorded);
    }
  }

  /** The journal serves all stores: it may forget what every one of them has safely. */
  #trimSafe(store: string, safe: TrimSafe): void {
    this.trimSafe.set(store, safe);
    let least: bigint | undefined;
    for (const name of Object.keys(this.#parts.config.stores)) {
      const upTo = this.trimSafe.get(name)?.upTo ?? 0n;
      if (least === undefined || upTo < least) least = upTo;
    }
    if (least !== undefined && least > 0n) this.#parts.journal.markTrimSafe(least as Sequence);
  }
}
