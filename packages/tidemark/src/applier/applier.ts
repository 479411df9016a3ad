import type { Epoch, Sequence } from "@tidemark/kernel/brands";
import { sleep, type Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import type { Service } from "@tidemark/kernel/service";
import type { PrimaryRoute } from "../cluster/cluster-record.ts";
import type { CompiledCommand } from "../gateway/command-catalogue.ts";
import type { JournalReader } from "../journal/journal.ts";
import { Announcer } from "./announcer.ts";
import type { ToApplier } from "./applier-link.ts";
import { APPLY_RULES, type ApplyRules } from "./apply-rules.ts";
import { ApplyRun } from "./apply-run.ts";
import type { ApplyWorld, RunEnd } from "./apply-world.ts";
import { DatabaseError, type Database, type DatabaseIdentity, type DatabaseSession } from "./database.ts";
import type { GatewayLink } from "./gateway-link.ts";
import type { PrimaryLocator } from "./primary-locator.ts";
import { VerdictDesk } from "./verdict-desk.ts";
import { VerdictIndex } from "./verdict-index.ts";
import { Wakeup } from "./wakeup.ts";

/** Connections that apply, beside the one for barriers. */
export const DEFAULT_CONNECTIONS = 3;
/** Between attempts to reach the primary, ms: doubling from the first to the most. A new route ends the wait. */
export const FIRST_RECONNECT_MS = 10;
export const MOST_RECONNECT_MS = 1_000;
/** An unrecorded database is looked at again after so long, ms. */
const LOOK_AGAIN_MS = 5_000;
/** Trouble that passes within this time is not shown as waiting, ms. */
const SHOWN_AFTER_MS = 200;

export interface ApplierOptions {
  readonly store: string;
  /** The store's `required`: fewer named copies than this, and nothing is safe to forget (TRIM-SAFE). */
  readonly requiredCopies: number;
  readonly reader: JournalReader;
  readonly database: Database;
  readonly locator: PrimaryLocator;
  readonly link: GatewayLink;
  readonly commands: ReadonlyMap<string, CompiledCommand>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Where the journal ended when the gateway opened it, while nothing behind that can have been applied. Default: the frontier. */
  readonly recovered?: Sequence;
  /** Default {@link DEFAULT_CONNECTIONS}. */
  readonly connections?: number;
  /** Default {@link APPLY_RULES}; the simulation hands in broken ones. */
  readonly rules?: ApplyRules;
}

/** What a connection attempt found. */
type Arrival =
  | {
      readonly kind: "ready";
      readonly sessions: readonly DatabaseSession[];
      readonly identity: DatabaseIdentity;
      readonly epoch: Epoch;
      readonly routeEpoch: Epoch;
    }
  | { readonly kind: "wait"; readonly code: TidemarkError["code"]; readonly message: string }
  | { readonly kind: "stop"; readonly error: TidemarkError };

/**
 * The applier of one store: finds the primary, runs an {@link ApplyRun} on it, and begins again when that ends. See
 * docs/write-protocol.md.
 */
export class Applier implements Service {
  readonly name: string;
  readonly #options: ApplierOptions;
  readonly #world: ApplyWorld;
  readonly #frontier = { durable: 0n as Sequence };
  readonly #changed = new Wakeup();
  /** Bounds the positions until a database was met; new records may hide that the journal has gone back (R12). */
  #recovered: Sequence | undefined;
  #told = false;
  #paused = false;
  #run: ApplyRun | undefined;
  /** A database that an operator accepted although it is not the recorded one (R17), as text. */
  #accepted: string | undefined;
  #refused: string | undefined;

  constructor(options: ApplierOptions) {
    const { store, requiredCopies, link, reader, commands, clock, random, logger, locator } = options;
    this.name = `applier ${store}`;
    this.#options = options;
    this.#recovered = options.recovered;
    const verdicts = new VerdictIndex();
    const announcer = new Announcer({ store, link });
    const desk = new VerdictDesk({ store, link, verdicts });
    const rules = options.rules ?? APPLY_RULES;
    this.#world = {
      store,
      requiredCopies,
      reader,
      frontier: this.#frontier,
      mostApplied: () => this.#recovered ?? this.#frontier.durable,
      met: () => (this.#recovered = undefined),
      commands,
      verdicts,
      desk,
      announcer,
      rules,
      clock,
      random,
      logger,
      route: () => locator.current,
    };
  }

  /** Applies until `signal` aborts; what is in hand then is finished. Never rejects but for bugs. */
  async run(signal: AbortSignal): Promise<void> {
    const { link, locator } = this.#options;
    const offs = [link.onMessage((message) => this.#hear(message)), locator.onChange((route) => this.#follow(route))];
    const onAbort = (): void => this.#changed.ring();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      this.#world.announcer.state({ state: "starting" });
      await this.#loop(signal);
    } finally {
      signal.removeEventListener("abort", onAbort);
      for (const off of offs) off();
    }
  }

  async #loop(signal: AbortSignal): Promise<void> {
    let delayMs = FIRST_RECONNECT_MS;
    let troubledSinceMs: number | undefined;
    while (!signal.aborted) {
      const route = this.#options.locator.current;
      if (!this.#told || route === undefined || route.state !== "open") {
        if (this.#told)
          this.#sayWaiting(
            "TM-APPLIER-NO-PRIMARY",
            route === undefined ? "no route to the primary is known yet" : `a failover is under way (revision ${route.revision})`,
          );
        await this.#changed.wait();
        continue;
      }
      const arrival = await this.#arrive(route, signal);
      if (signal.aborted) {
        if (arrival.kind === "ready") for (const session of arrival.sessions) session.abandon();
        return;
      }
      if (arrival.kind === "ready") {
        const end = await this.#apply(arrival, signal);
        if (end.kind === "stopped") return;
        if (end.kind === "final") {
          await this.#stopped(end.error);
          continue;
        }
        this.#options.logger.info({ code: end.trouble.code, sqlstate: end.trouble.sqlstate }, `connecting again: ${end.trouble.message}`);
        delayMs = FIRST_RECONNECT_MS;
        troubledSinceMs = undefined;
      } else if (arrival.kind === "stop") {
        await this.#stopped(arrival.error);
        continue;
      } else {
        const nowMs = this.#options.clock.monotonicMs();
        troubledSinceMs ??= nowMs;
        if (nowMs - troubledSinceMs >= SHOWN_AFTER_MS) this.#sayWaiting(arrival.code, arrival.message);
      }
      await this.#pause(delayMs, route, signal);
      delayMs = Math.min(delayMs * 2, MOST_RECONNECT_MS);
    }
  }

  /** FAIL-STOP: nothing more until the route changes or an operator speaks. An unrecorded database is looked at again now and then. */
  async #stopped(error: TidemarkError): Promise<void> {
    const { announcer, clock } = this.#world;
    this.#options.logger.error({ code: error.code, ...error.details }, error.message);
    announcer.state({ state: "stopped", code: error.code, message: error.message });
    if (error.code !== "TM-APPLIER-NOT-RECORDED") return this.#changed.wait();
    const again = new AbortController();
    await Promise.race([this.#changed.wait(), sleep(clock, LOOK_AGAIN_MS, again.signal).catch(() => undefined)]);
    again.abort(new Error("looked again"));
  }

  async #pause(delayMs: number, seen: PrimaryRoute, signal: AbortSignal): Promise<void> {
    if (this.#options.locator.current !== seen) return;
    const over = new AbortController();
    const jittered = delayMs * (0.5 + this.#options.random.fraction() / 2);
    await Promise.race([
      sleep(this.#options.clock, jittered, AbortSignal.any([over.signal, signal])).catch(() => undefined),
      this.#changed.wait(),
    ]);
    over.abort(new Error("woken"));
  }

  // --- connecting --------------------------------------------------------------------------------------------------

  /** Opens the sessions and looks at who answers (R17). A newer route ends the attempt. */
  async #arrive(route: PrimaryRoute, signal: AbortSignal): Promise<Arrival> {
    const count = (this.#options.connections ?? DEFAULT_CONNECTIONS) + 1;
    const opening = Array.from({ length: count }, () => this.#options.database.open(route));
    const moved = new AbortController();
    const off = this.#options.locator.onChange((newer) => {
      if (!sameReign(newer, route)) moved.abort(new Error("a newer route"));
    });
    const cancelled = new Promise<"cancelled">((resolve) => {
      for (const reason of [signal, moved.signal]) reason.addEventListener("abort", () => resolve("cancelled"), { once: true });
    });
    const dropAll = (): void => {
      for (const attempt of opening) void attempt.then((session) => session.abandon()).catch(() => undefined);
    };
    try {
      const sessions = await Promise.race([Promise.all(opening), cancelled]);
      if (sessions === "cancelled") {
        dropAll();
        return { kind: "wait", code: "TM-APPLIER-NO-PRIMARY", message: "the route changed during the attempt to connect" };
      }
      const inspected = await Promise.race([this.#inspect(sessions, route), cancelled]);
      if (inspected === "cancelled" || inspected.kind !== "ready") dropAll();
      return inspected === "cancelled"
        ? { kind: "wait", code: "TM-APPLIER-NO-PRIMARY", message: "the route changed during the attempt to connect" }
        : inspected;
    } catch (error) {
      dropAll();
      if (error instanceof DatabaseError)
        return { kind: "wait", code: error.trouble.code, message: `${route.node} (${route.host}:${route.port}): ${error.message}` };
      if (error instanceof TidemarkError) return { kind: "stop", error };
      throw error;
    } finally {
      off();
    }
  }

  async #inspect(sessions: readonly DatabaseSession[], route: PrimaryRoute): Promise<Arrival> {
    const session = sessions[0];
    if (session === undefined) throw new Error("no session was opened");
    const identity = await session.identify();
    const text = `${identity.systemIdentifier} timeline ${identity.timeline} epoch ${identity.newestEpoch ?? "none"}`;
    const judged = this.#world.rules.judgeIdentity(identity, route);
    const epoch = identity.newestEpoch;
    if ((judged === "recorded" || (this.#accepted === text && !identity.inRecovery)) && epoch !== undefined) {
      // Only now: nothing is written into a database that is not the recorded one (R17).
      await session.ensureSchema();
      return { kind: "ready", sessions, identity, epoch, routeEpoch: route.epoch };
    }
    if (judged === "not-recorded") {
      this.#refused = text;
      const message = `${route.node} answers as ${text}, recorded is ${route.systemIdentifier} timeline ${route.timeline} epoch ${route.epoch}`;
      return { kind: "stop", error: new TidemarkError("TM-APPLIER-NOT-RECORDED", message) };
    }
    return {
      kind: "wait",
      code: "TM-APPLIER-NOT-READY",
      message: `${route.node} is ${identity.inRecovery ? "in recovery" : text}; epoch ${route.epoch} is expected`,
    };
  }

  async #apply(arrival: Extract<Arrival, { kind: "ready" }>, signal: AbortSignal): Promise<RunEnd> {
    const run = new ApplyRun(this.#world, arrival.sessions, {
      epoch: arrival.epoch,
      timeline: arrival.identity.timeline,
      routeEpoch: arrival.routeEpoch,
    });
    this.#run = run;
    try {
      if (this.#paused) run.pause(true);
      return await run.run(signal);
    } finally {
      this.#run = undefined;
      for (const session of arrival.sessions) session.abandon();
    }
  }

  // --- hearing -----------------------------------------------------------------------------------------------------

  #hear(message: ToApplier): void {
    switch (message.type) {
      case "durable": {
        const durable = BigInt(message.upTo) as Sequence;
        if (durable > this.#frontier.durable) this.#frontier.durable = durable;
        this.#run?.advance();
        if (!this.#told) {
          this.#told = true;
          this.#changed.ring();
        }
        return;
      }
      case "pause":
        this.#paused = message.paused;
        this.#run?.pause(message.paused);
        return;
      case "look-at-copies":
        this.#run?.lookAtCopies();
        return;
      case "reapply":
        this.#options.logger.warn(
          { by: message.by, reason: message.reason, except: message.except.length },
          "an operator lets the applier go on with the database as it is",
        );
        this.#accepted = this.#refused;
        this.#changed.ring();
        return;
      case "begin":
      case "verdict-recorded":
      case "stop":
        return; // the role and the desk listen for these
    }
  }

  #follow(route: PrimaryRoute): void {
    this.#changed.ring();
    const run = this.#run;
    if (run === undefined || route.state !== "open" || route.epoch === run.reign.routeEpoch) return;
    run.abandon({
      reaction: "reconnect",
      code: "TM-APPLIER-CONNECTION",
      message: `epoch ${route.epoch} reigns, this connection is of epoch ${run.reign.routeEpoch}`,
    });
  }

  #sayWaiting(code: TidemarkError["code"], message: string): void {
    this.#world.announcer.state({ state: "waiting", code, message, sinceMs: this.#options.clock.wallMs() });
  }
}

function sameReign(a: PrimaryRoute, b: PrimaryRoute): boolean {
  return a.epoch === b.epoch && a.host === b.host && a.port === b.port && a.state === b.state;
}
