import { randomUUID } from "node:crypto";
import type { Clock } from "@tidemark/kernel/clock";
import type { Random } from "@tidemark/kernel/random";
import type { ProofBody, ProofReign } from "../proofs/proof-body.ts";
import { openProofKeys } from "../proofs/proof-keys.ts";
import { contentHash, formatProof, signProof } from "../proofs/proof.ts";
import type { ProofReport } from "./report/report.ts";
import { headline } from "./report/words.ts";
import { STORE } from "./stack/prove-config.ts";

/** The text of the signed proof of a run. The key is the one of `keysDir`, made at the first proof. */
export async function signedProof(
  report: ProofReport,
  facts: { reportText: string; configuration: string; keysDir: string; version: string },
  world: { clock: Clock; random: Random },
): Promise<string> {
  const { clock, random } = world;
  const keys = await openProofKeys({ dir: facts.keysDir, clock, random });
  const { stack, marks } = report;
  const reign = (epoch: number): ProofReign | undefined => report.reigns.find((one) => one.epoch === epoch);
  const [before, after] = [reign(stack.epochBefore), reign(stack.epochAfter)];
  const body: ProofBody = {
    formatVersion: 1,
    id: randomUUID(),
    claim: headline(report).text,
    outcome: report.verdict.outcome,
    deployment: "prove",
    scenario: "process-loss",
    fault: report.fault.name,
    store: STORE,
    guarantee:
      stack.required === 0
        ? "journalled on one disk; replication asynchronous"
        : stack.vault
          ? "journalled on one disk; commits wait for a standby and a vault, for one of them while the other is away"
          : "journalled on one disk; commits wait for one more copy while there is one",
    counts: {
      ...report.verdict.counts,
      ...(report.copies === undefined ? {} : { fromVault: report.copies.fromVault.orders }),
      ...(report.putBack === undefined ? {} : { putBack: report.putBack.orders }),
    },
    rpo: { measuredMs: report.rpo.ms ?? null, targetMs: report.rpo.targetMs },
    rto: { measuredMs: report.rto.ms ?? null, targetMs: report.rto.targetMs },
    began: new Date(marks.startMs).toISOString(),
    ended: new Date(Math.min(marks.endMs, clock.wallMs())).toISOString(),
    versions: { tidemark: facts.version, postgresql: stack.postgres, node: report.machine.node },
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
    configurationHash: contentHash(facts.configuration),
    reportHash: contentHash(facts.reportText),
  };
  return formatProof(signProof(body, keys.current));
}
