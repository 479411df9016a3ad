import type { Sequence } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import { seededRandom, type Random } from "@tidemark/kernel/random";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import type { JournalConfig } from "../../config/config.ts";
import { openJournal } from "../embedded/open-journal.ts";
import type { Journal, JournalEntry, JournalRecord } from "../journal.ts";
import { PowerCutFiles } from "../simulated/power-cut-files.ts";
import { journalConfig } from "./journal-setup.ts";

export const DIRECTORY = "/journal";

/** An embedded journal on files in memory, with a clock that the test moves. */
export class SimulatedDisk {
  readonly random: Random;
  readonly files: PowerCutFiles;
  readonly clock = new ManualClock();
  readonly config: JournalConfig;

  constructor(changes: Partial<JournalConfig> = {}, seed = 1) {
    this.random = seededRandom(seed);
    this.files = new PowerCutFiles({ random: this.random });
    this.config = journalConfig(DIRECTORY, { segmentBytes: 4_096, quotaBytes: 4_096 * 16, ...changes });
  }

  open(changes: Partial<JournalConfig> = {}): Promise<Journal> {
    return openJournal({
      config: { ...this.config, ...changes },
      files: this.files,
      random: this.random,
      clock: this.clock,
      logger: silentLogger,
      defer: queueMicrotask,
    });
  }

  /** An entry accepted now. */
  entry(payloadBytes: number, key = "k"): JournalEntry {
    return { kind: "write", key, acceptedAtMs: this.clock.wallMs(), payload: this.random.bytes(payloadBytes) };
  }
}

/** Every record that the journal keeps. */
export async function everything(journal: Journal): Promise<JournalRecord[]> {
  const { oldest, durable } = journal.extent();
  const records: JournalRecord[] = [];
  while (oldest + BigInt(records.length) <= durable)
    records.push(...(await journal.read((oldest + BigInt(records.length)) as Sequence, durable, { records: 1_000, bytes: 1_000_000 })));
  return records;
}
