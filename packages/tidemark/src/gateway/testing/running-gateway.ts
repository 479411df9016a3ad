// Runs gateway-process.ts and plays the applier of its store "orders". Only processes that were started here are signalled.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { expect } from "vitest";
import type { FromApplier, ToApplier } from "../../applier/applier-link.ts";
import { openJournal } from "../../journal/embedded/open-journal.ts";
import type { JournalRecord } from "../../journal/journal.ts";
import { TEST_TOKEN, testConfig, type JsonBody } from "./gateway-fixture.ts";
import type { GatewayTold } from "./gateway-process.ts";

export class RunningGateway {
  readonly url: string;
  /** The steps that it went through, in order. */
  readonly steps: string[] = [];
  readonly toApplier: ToApplier[] = [];
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  #isGone = false;
  #heard: (() => void) | undefined;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.url = `http://127.0.0.1:${port}`;
    child.on("message", (message) => this.#hear(message as GatewayTold));
    // Also the channel's end: what was told before it is heard by then.
    this.gone = Promise.all([once(child, "exit"), once(child, "disconnect")]).then(() => {
      this.#isGone = true;
      this.#heard?.();
    });
  }

  /** @param killAt the step at which it kills itself; without one it lives on. */
  static async start(stateDir: string, killAt?: number): Promise<RunningGateway> {
    const child = fork(fileURLToPath(new URL("gateway-process.ts", import.meta.url)), [stateDir, String(killAt ?? 0)], {
      execArgv: ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"],
    });
    const port = await new Promise<number>((resolve, reject) => {
      child.on("message", (message: GatewayTold) => {
        if ("port" in message) resolve(message.port);
      });
      child.once("exit", (code) => reject(new Error(`the gateway ended with ${code}`)));
    });
    return new RunningGateway(child, port);
  }

  /** The receipt's text, or undefined without an answer, and where the gateway was stopping already. */
  async write(write: unknown): Promise<string | undefined> {
    const answer = await this.request("POST", "/v1/writes", write);
    if (answer === undefined || answer.text.includes("TM-GATEWAY-DRAINING")) return undefined;
    expect(answer.text).toContain('"status":"journalled"');
    return answer.text;
  }

  /** Undefined without an answer: the connection broke. */
  async request(
    method: "GET" | "POST",
    path: string,
    body?: unknown,
  ): Promise<{ status: number; text: string; json: JsonBody } | undefined> {
    try {
      const response = await fetch(this.url + path, {
        method,
        headers: { authorization: `Bearer ${TEST_TOKEN}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, text, json: JSON.parse(text) as JsonBody };
    } catch (error) {
      if (error instanceof TypeError) return undefined; // fetch: the connection broke.
      throw error;
    }
  }

  /** Asks, as the applier, for a write to be rejected. Resolves with the verdict's sequence, or undefined when the gateway died first. */
  async reject(write: { sequence: string; partition: number }): Promise<string | undefined> {
    const request = this.toApplier.length + 1;
    const verdict: FromApplier = {
      type: "verdict",
      request,
      store: "orders",
      partition: write.partition,
      payload: { v: 1, sequence: write.sequence, verdict: "rejected", reason: "duplicate key", sqlstate: "23505", by: "applier" },
    };
    this.#child.send({ fromApplier: verdict }, () => undefined);
    for (;;) {
      const recorded = this.toApplier.find((message) => message.type === "verdict-recorded" && message.request === request);
      if (recorded?.type === "verdict-recorded") return recorded.sequence;
      if (this.#isGone) return undefined;
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.#isGone) this.#child.kill(signal);
    await this.gone;
    return this.#child.exitCode;
  }

  #hear(message: GatewayTold): void {
    if ("step" in message) this.steps.push(message.step);
    else if ("toApplier" in message) this.toApplier.push(message.toApplier);
    this.#heard?.();
  }
}

/** Every record of the journal of a gateway that has ended. */
export async function journalRecords(stateDir: string): Promise<JournalRecord[]> {
  const journal = await openJournal({
    config: testConfig({ stateDir }).journal,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const { oldest, durable } = journal.extent();
  const all: JournalRecord[] = [];
  for (let next = oldest; next <= durable;) {
    const records = await journal.read(next, durable, { records: 10_000, bytes: 1e9 });
    all.push(...records);
    next = ((records.at(-1)?.sequence ?? durable) + 1n) as typeof next;
  }
  await journal.close();
  return all;
}
