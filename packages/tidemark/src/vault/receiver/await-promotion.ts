// A vault hears of a new reign while its server is still being promoted, and commits may wait for the vault from the first moment of the
// reign. So it looks for the timeline on the connection that it has, instead of coming again after a pause.
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import type { ServerSession } from "./server-session.ts";
import { lookAgain } from "./server-session.ts";
import type { Plan } from "./stream-plan.ts";

/** The timeline is asked for so often, and for so long on one connection, milliseconds. */
const LOOK_MS = 20;
const WAIT_MS = 3_000;

type Refusal = Extract<Plan, { kind: "refuse" }>;

/**
 * Waits while `judge` refuses the server only for its old timeline; answers the session with what the server says of itself then.
 * Whether that is right is the caller's to judge again. Rejects with the errors of the connection.
 */
export async function awaitPromotion(
  opened: ServerSession,
  options: {
    readonly judge: (session: ServerSession) => Promise<Refusal | undefined>;
    /** Told once, when the wait begins. */
    readonly report: (refused: Refusal) => void;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<ServerSession> {
  const { judge, report, clock, signal } = options;
  const untilMs = clock.monotonicMs() + WAIT_MS;
  const waits = (): boolean => !signal.aborted && clock.monotonicMs() < untilMs;
  let session = opened;
  while (waits()) {
    const refused = await judge(session);
    if (refused?.code !== "TM-VAULT-OLD-TIMELINE") break;
    if (session === opened) report(refused);
    const { timeline } = session.server;
    do await sleep(clock, LOOK_MS, signal).catch(() => undefined);
    while (waits() && (await session.client.identifySystem()).timeline === timeline);
    session = await lookAgain(session);
  }
  return session;
}
