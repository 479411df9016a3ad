import type { Sequence } from "@tidemark/kernel/brands";
import { describe, expect, it } from "vitest";
import { entry, journalContract } from "../contract/journal-contract.ts";
import { SimulatedJournal } from "./simulated-journal.ts";

journalContract("simulated", () => {
  const journal = new SimulatedJournal({ quotaBytes: 4 * 1024 * 1024 });
  return Promise.resolve({
    journal,
    breakDisk: () => journal.failNext({ kind: "unknown", lost: true }),
    fill: async () => {
      for (;;) {
        try {
          await journal.append([{ ...entry("a", ""), payload: new Uint8Array(1_000_000) }]);
        } catch {
          return;
        }
      }
    },
    remove: () => journal.close(),
  });
});

describe("simulated journal", () => {
  it("keeps appends waiting until the test releases them", async () => {
    const journal = new SimulatedJournal();
    journal.hold();
    const append = journal.append([entry("a", "1")]);
    await Promise.resolve();
    expect(journal.waiting).toBe(1);
    expect(journal.extent().durable).toBe(0n);
    journal.release(1);
    expect((await append)[0]?.sequence).toBe(1n);
  });

  it("rejects a read of what was trimmed with the range", async () => {
    const journal = new SimulatedJournal();
    await journal.append([entry("a", "1"), entry("a", "2"), entry("a", "3")]);
    journal.markTrimSafe(2n as Sequence);
    journal.trim(3n as Sequence);
    expect(journal.extent().oldest).toBe(3n);
    await expect(journal.read(1n as Sequence, 3n as Sequence, { records: 9, bytes: 9 })).rejects.toMatchObject({
      code: "TM-JOURNAL-TRIMMED",
      details: { from: 1n, upTo: 2n },
    });
  });
});
