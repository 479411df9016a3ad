// The agent's line to control: heartbeats at every look and at once when something happened, and the store's route, which
// is kept for those who ask the agent. Control being away changes nothing here but the warnings.
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { AgentStatus } from "../agent-status.ts";
import type { PrimaryRoute } from "../cluster-record.ts";
import type { InternalClient } from "../internal-client.ts";

const HEARTBEAT_TIMEOUT_MS = 1_000;
const ROUTE_WAIT_MS = 20_000;
const PAUSE_MS = 200;
/** Time between two heartbeats while nothing happens, milliseconds. */
const HEARTBEAT_MS = 250;

export class ControlLink {
  readonly #client: InternalClient;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #status: () => AgentStatus;
  #route: PrimaryRoute | undefined;
  #beating = false;
  #again = false;
  #last = "";
  #lastMs = -Infinity;
  #isAway = false;

  constructor(options: { client: InternalClient; clock: Clock; logger: Logger; status: () => AgentStatus }) {
    this.#client = options.client;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#status = options.status;
  }

  /** The newest route that control told; undefined before the first. */
  get route(): PrimaryRoute | undefined {
    return this.#route;
  }

  /** Sends a heartbeat when there is news or the last one is old. One is under way at a time; news meanwhile follows it. */
  beat(): void {
    const status = this.#status();
    const news = newsOf(status);
    if (news === this.#last && this.#clock.monotonicMs() - this.#lastMs < HEARTBEAT_MS) return;
    if (this.#beating) {
      this.#again = news !== this.#last;
      return;
    }
    this.#beating = true;
    this.#last = news;
    this.#lastMs = this.#clock.monotonicMs();
    void this.#send(status).finally(() => {
      this.#beating = false;
      if (!this.#again) return;
      this.#again = false;
      this.beat();
    });
  }

  async run(store: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const after = this.#route?.revision ?? 0;
        const path = `/v1/stores/${encodeURIComponent(store)}/route?after=${after}&waitMs=${ROUTE_WAIT_MS}`;
        const { status, body } = await this.#client.request({ path, timeoutMs: ROUTE_WAIT_MS + 2_000, signal });
        if (status === 200 && body !== undefined) this.#route = body as PrimaryRoute;
        if (status === 404) await sleep(this.#clock, PAUSE_MS, signal);
      } catch {
        // Said by the heartbeat, which fails as well.
        await sleep(this.#clock, PAUSE_MS, signal).catch(() => undefined);
      }
    }
  }

  async #send(status: AgentStatus): Promise<void> {
    try {
      await this.#client.request({
        path: `/v1/agents/${encodeURIComponent(status.node)}/heartbeat`,
        body: status,
        timeoutMs: HEARTBEAT_TIMEOUT_MS,
      });
      if (this.#isAway) this.#logger.info({}, "control answers again");
      this.#isAway = false;
    } catch (error) {
      if (!this.#isAway) this.#logger.warn({ err: error }, "control does not take heartbeats");
      this.#isAway = true;
      this.#last = "";
    }
  }
}

/** What control must hear of at once. */
function newsOf(status: AgentStatus): string {
  const members = (status.members ?? []).map((member) => `${member.identity}=${member.state}/${member.syncState}`).join();
  return [
    status.state,
    status.open,
    status.epoch,
    status.revision,
    status.streaming,
    status.identity,
    status.timeline,
    status.heldBack,
    members,
  ].join("|");
}
