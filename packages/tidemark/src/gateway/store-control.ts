import type { Journal } from "../journal/journal.ts";
import type { ApplierProcess } from "./applier-process.ts";
import type { AuditPort, Decree } from "./dead-letters.ts";
import { readOne } from "./journal-scan.ts";
import { problem, ProblemError } from "./problem.ts";
import type { ReceiptWriter } from "./receipt.ts";
import type { VerdictIndex } from "./verdict-index.ts";
import type { VerdictJournal } from "./verdict-journal.ts";

/** What people may ask of a store's applier. */
export class StoreControl {
  readonly #parts: {
    appliers: ReadonlyMap<string, ApplierProcess>;
    journal: Journal;
    verdicts: VerdictIndex;
    verdictJournal: VerdictJournal;
    receipts: ReceiptWriter;
    audit: AuditPort;
  };

  constructor(parts: {
    appliers: ReadonlyMap<string, ApplierProcess>;
    journal: Journal;
    verdicts: VerdictIndex;
    verdictJournal: VerdictJournal;
    receipts: ReceiptWriter;
    audit: AuditPort;
  }) {
    this.#parts = parts;
  }

  /**
   * Lets the applier go on with a restored database (R17). The writes in `except` are journalled as discarded before it
   * is told, so that they stay away on every later re-application too. Idempotent.
   */
  async reapply(store: string, except: readonly string[], decree: Decree): Promise<void> {
    const applier = this.#applier(store);
    const { receipts, journal, verdicts, verdictJournal, audit } = this.#parts;
    const sequences = except.map((id) => this.#sequence(id));
    if (applier.facts.pid === undefined)
      throw new ProblemError(
        problem("TM-GATEWAY-APPLIER-DOWN", `the applier of "${store}" is being started again`, { retryAfterSeconds: 1 }),
      );
    await audit.append({ who: decree.by, action: "reapply-store", subject: store, reason: decree.reason, facts: { except: [...except] } });
    for (const sequence of sequences) {
      const known = verdicts.find(sequence)?.state;
      if (known === "discarded" || known === "replayed") continue;
      const { kind, partition } = await readOne(journal, sequence);
      if (kind !== "write") throw new ProblemError(problem("TM-GATEWAY-NOT-FOUND", `${receipts.id(sequence)} is not a write`));
      await verdictJournal.record(partition, {
        v: 1,
        sequence: String(sequence),
        verdict: "discarded",
        reason: decree.reason,
        by: decree.by,
      });
    }
    applier.tell({ type: "reapply", except: sequences.map(String), by: decree.by, reason: decree.reason });
  }

  /** Stops or resumes applying; acceptance goes on either way. Kept while the gateway runs, also when the applier is started again. */
  pause(store: string, paused: boolean): void {
    this.#applier(store).tell({ type: "pause", paused });
  }

  #applier(store: string): ApplierProcess {
    const applier = this.#parts.appliers.get(store);
    if (applier === undefined) throw new ProblemError(problem("TM-GATEWAY-NOT-FOUND", `there is no store "${store.slice(0, 64)}"`));
    return applier;
  }

  #sequence(id: string): bigint {
    const sequence = this.#parts.receipts.sequenceOf(id);
    const { oldest, durable } = this.#parts.journal.extent();
    if (sequence === undefined || sequence < oldest || sequence > durable)
      throw new ProblemError(problem("TM-GATEWAY-NOT-FOUND", `there is no write ${id.slice(0, 64)} in this journal`));
    return sequence;
  }
}
