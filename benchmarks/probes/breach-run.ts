// How long a breach takes to reach people: from the moment at which, in truth, more than the objective would be lost, to the alert, and from
// there to a webhook and through a real Alertmanager to its receiver.
import { AlertReceiverServer } from "../../packages/tidemark/src/alerts/testing/alert-receiver-server.ts";
import type { ObserverWords } from "./observer-process.ts";
import type { ProbedPair } from "./probed-pair.ts";
import type { RunningProcess } from "./running-process.ts";
import { STALL } from "./truth/faults.ts";
import { trueMoments } from "./truth/true-exposure.ts";
import { Witness } from "./truth/witness.ts";

export interface Breach {
  /** From the breach to the alert, milliseconds; negative: before it, as far as the figure's error bound allows. */
  readonly noticedMs: number;
  /** From the alert to the webhook, milliseconds. */
  readonly webhookMs: number;
  /** To what Alertmanager tells, with its own group_wait of 50 ms; undefined without one. */
  readonly alertmanagerMs?: number;
}

const RULE = "exposure-above-objective";
/** How long anything may take before it counts as never, milliseconds. */
const NEVER_MS = 30_000;

/** Where alerts arrive, with when each firing one did. */
export class AlertArrivals {
  readonly #server: AlertReceiverServer;
  readonly #atMs: number[] = [];

  private constructor(server: AlertReceiverServer) {
    this.#server = server;
    server.answer = (response, { body }) => {
      if (isFiring(body)) this.#atMs.push(Date.now());
      response.writeHead(200).end();
    };
  }

  static async start(): Promise<AlertArrivals> {
    return new AlertArrivals(await AlertReceiverServer.start());
  }

  get url(): string {
    return this.#server.url;
  }

  /** The first one from `atMs` on; waits for it. */
  async since(atMs: number): Promise<number> {
    const found = (): number | undefined => this.#atMs.find((each) => each >= atMs);
    await within(this.#server.until(() => found() !== undefined));
    return found() as number;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }
}

export async function measureBreaches(
  pair: ProbedPair,
  run: {
    observer: RunningProcess;
    rpoMs: number;
    repetitions: number;
    webhook: AlertArrivals;
    alertmanager: AlertArrivals | undefined;
    say: (line: string) => void;
  },
): Promise<Breach[]> {
  const { observer, rpoMs, repetitions, webhook, alertmanager, say } = run;
  const breaches: Breach[] = [];
  for (let repetition = 0; repetition < repetitions; repetition++) {
    await observer.line((line) => {
      const { firing, exposure } = JSON.parse(line) as ObserverWords;
      return !firing && exposure.known && exposure.exposureMs === 0;
    });
    const witness = await Witness.begin(pair);
    // A little of both before and after, so that the truth is known.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const stalledMs = Date.now();
    const mend = await STALL.begin(pair, witness);
    let beganMs: number;
    let toldMs: number;
    let toldByMs: number | undefined;
    try {
      beganMs = await seen(observer, (words) => words.began);
      toldMs = await webhook.since(stalledMs);
      toldByMs = await alertmanager?.since(stalledMs);
      // Long enough that the breach is certain to have come, also where the alert was early.
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, stalledMs + rpoMs + 2_000 - Date.now())));
    } finally {
      mend();
    }
    // What the standby lacked arrives, so that the truth has an end.
    await observer.line((line) => {
      const { exposure } = JSON.parse(line) as ObserverWords;
      return exposure.known && exposure.exposureMs < rpoMs;
    });
    await witness.stop();
    const breachMs = trueMoments(witness.commits, witness.samples).find(({ atMs, exposureMs }) => atMs >= stalledMs && exposureMs > rpoMs);
    if (breachMs === undefined) throw new Error("the stall was no breach");
    const breach: Breach = {
      // Samples are some milliseconds apart; the commit's own time says when exactly.
      noticedMs: beganMs - (breachMs.atMs - (breachMs.exposureMs - rpoMs)),
      webhookMs: toldMs - beganMs,
      ...(toldByMs === undefined ? {} : { alertmanagerMs: toldByMs - beganMs }),
    };
    breaches.push(breach);
    say(`breach: noticed after ${Math.round(breach.noticedMs)} ms, told ${Math.round(breach.webhookMs)} ms later`);
  }
  return breaches;
}

async function seen(observer: RunningProcess, when: (words: ObserverWords) => number | undefined): Promise<number> {
  const line = await observer.line((each) => when(JSON.parse(each) as ObserverWords) !== undefined);
  return when(JSON.parse(line) as ObserverWords) as number;
}

/** Of Tidemark's webhook, and of Alertmanager's. */
function isFiring(body: string): boolean {
  const { notifications, alerts } = JSON.parse(body) as {
    notifications?: { rule: string; kind: string }[];
    alerts?: { status: string; labels: Record<string, string> }[];
  };
  return (
    (notifications ?? []).some(({ rule, kind }) => rule === RULE && kind === "firing") ||
    (alerts ?? []).some(({ status, labels }) => labels["alertname"] === RULE && status === "firing")
  );
}

async function within(event: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const never = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no alert arrived within ${NEVER_MS} ms`)), NEVER_MS);
  });
  try {
    await Promise.race([event, never]);
  } finally {
    clearTimeout(timer);
  }
}
