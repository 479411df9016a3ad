// Tapes what a primary and its standby answer, by looking at them with the very probes that are to be measured.
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { CanaryProbe } from "../../../packages/tidemark/src/canary/canary-probe.ts";
import type { Probe } from "../../../packages/tidemark/src/probes/probe.ts";
import { PostgresqlProbe } from "../../../packages/tidemark/src/probes/postgresql-probe.ts";
import type { PostgresqlTarget } from "../../../packages/tidemark/src/probes/postgresql/postgresql-target.ts";
import { StoreObservation } from "../../../packages/tidemark/src/probes/store-observation.ts";
import type { AnswerTape } from "./answer-tape.ts";
import { TapeRecorder } from "./tape-recorder.ts";

/** Throws when one of the servers does not answer. The canary has to be there. */
export async function tapePair(pair: { primary: PostgresqlTarget; standby: PostgresqlTarget }): Promise<AnswerTape> {
  await using primary = await TapeRecorder.start(pair.primary.port);
  await using standby = await TapeRecorder.start(pair.standby.port);
  const observation = new StoreObservation("taped");
  const shared = { domain: {}, observation, clock: systemClock };
  const probes: Probe[] = [
    new CanaryProbe({ store: "taped", target: { ...pair.primary, port: primary.port }, clock: systemClock }),
    new PostgresqlProbe({ ...shared, name: "pg1", target: { ...pair.primary, port: primary.port } }),
    new PostgresqlProbe({ ...shared, name: "pg2", target: { ...pair.standby, port: standby.port } }),
  ];
  try {
    for (const probe of probes) {
      const reading = await probe.probe(AbortSignal.timeout(10_000));
      if (!reading.ok) throw new Error(`${probe.name}: ${reading.code} ${reading.why}`);
    }
  } finally {
    for (const probe of probes) await probe.close();
  }
  // What both were asked was answered alike but for the clock and the like, which a simulated store puts in itself.
  const answers = new Map([...standby.tape.answers, ...primary.tape.answers].map((answer) => [answer.sql, answer]));
  return { parameters: primary.tape.parameters, answers: [...answers.values()] };
}
