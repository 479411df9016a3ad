import { sleep, type Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { PrimaryRoute } from "../../cluster/cluster-record.ts";
import { InternalClient } from "../../cluster/internal-client.ts";
import type { ListenAddress } from "../../config/listen-address.ts";
import type { PrimaryLocator } from "../primary-locator.ts";

/** How long control may hold a question until the route changes, ms. Short, so that a hung control is noticed. */
const HOLD_MS = 2_000;
/** Beyond the hold, ms; then control counts as away and the agents are asked. */
const ANSWER_WITHIN_MS = 1_000;
const AGENT_WITHIN_MS = 500;
/** Between rounds while control is away, ms. */
const AWAY_EVERY_MS = 100;

interface HttpLocatorOptions {
  readonly store: string;
  readonly control: ListenAddress;
  readonly agents: readonly ListenAddress[];
  readonly token: Redacted<string>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Follows control's route by long polling; asks the agents for what they last heard while control is away. */
export class HttpPrimaryLocator implements PrimaryLocator {
  readonly #options: HttpLocatorOptions;
  readonly #control: InternalClient;
  readonly #agents: readonly InternalClient[];
  readonly #listeners = new Set<(route: PrimaryRoute) => void>();
  #current: PrimaryRoute | undefined;
  #away = false;

  constructor(options: HttpLocatorOptions) {
    const { token, clock } = options;
    const client = (address: ListenAddress): InternalClient => new InternalClient({ address, token, clock, away: "TM-APPLIER-NO-PRIMARY" });
    this.#options = options;
    this.#control = client(options.control);
    this.#agents = options.agents.map(client);
  }

  get current(): PrimaryRoute | undefined {
    return this.#current;
  }

  onChange(listener: (route: PrimaryRoute) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (await this.#askControl(signal)) continue;
      if (signal.aborted) return;
      await Promise.all(this.#agents.map((agent) => this.#askAgent(agent, signal)));
      await sleep(this.#options.clock, AWAY_EVERY_MS, signal).catch(() => undefined);
    }
  }

  /** Answers false when control is away, or knows no route yet. */
  async #askControl(signal: AbortSignal): Promise<boolean> {
    const { store, logger } = this.#options;
    const known = this.#current;
    const waiting = known === undefined ? "" : `?after=${known.revision}&waitMs=${HOLD_MS}`;
    try {
      const { status, body } = await this.#control.request({
        path: `/v1/stores/${encodeURIComponent(store)}/route${waiting}`,
        timeoutMs: (known === undefined ? 0 : HOLD_MS) + ANSWER_WITHIN_MS,
        signal,
      });
      if (this.#away) logger.info({ store }, "control answers again");
      this.#away = false;
      if (status === 404 || !isRoute(body, store)) return false;
      const sooner = known !== undefined && body.revision <= known.revision;
      this.#take(body);
      // An answer without news came after the hold; one that came at once would make this a busy loop.
      if (sooner) await sleep(this.#options.clock, 5, signal).catch(() => undefined);
      return true;
    } catch (error) {
      if (!this.#away && !signal.aborted) logger.warn({ store, err: error }, "control is away; the agents are asked for the route");
      this.#away = true;
      return false;
    }
  }

  async #askAgent(agent: InternalClient, signal: AbortSignal): Promise<void> {
    try {
      const { body } = await agent.request({ path: "/route", timeoutMs: AGENT_WITHIN_MS, signal });
      if (isRoute(body, this.#options.store)) this.#take(body);
    } catch (error) {
      this.#options.logger.debug({ err: error }, "an agent did not tell the route");
    }
  }

  #take(route: PrimaryRoute): void {
    const known = this.#current;
    if (known !== undefined && (route.revision < known.revision || (route.revision === known.revision && route.epoch <= known.epoch)))
      return;
    this.#current = route;
    for (const listener of this.#listeners) listener(route);
  }
}

function isRoute(body: unknown, store: string): body is PrimaryRoute {
  const route = body as Partial<PrimaryRoute> | null | undefined;
  return (
    typeof route === "object" &&
    route !== null &&
    route.store === store &&
    typeof route.revision === "number" &&
    typeof route.host === "string" &&
    typeof route.port === "number"
  );
}
