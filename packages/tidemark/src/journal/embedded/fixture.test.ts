import { cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { expect, it } from "vitest";
import { entry } from "../contract/journal-contract.ts";
import { journalConfig, temporaryDirectory } from "../testing/journal-setup.ts";
import { dumpJournal } from "./dump-journal.ts";
import { openJournal } from "./open-journal.ts";
import { verifyJournal } from "./verify-journal.ts";

// Written once by the first version and never again: what stands on somebody's disk must be read for ever.
const VERSION_1 = fileURLToPath(new URL("../testing/fixtures/version-1", import.meta.url));

const RECORDS = [
  { sequence: 1n, kind: "write", key: "customer-1", generation: 1, text: '{"n":1}' },
  { sequence: 2n, kind: "write", key: "ключ", generation: 1, text: "δ" },
  { sequence: 3n, kind: "write", key: "customer-2", generation: 1, text: "x".repeat(600) },
  { sequence: 4n, kind: "generation", key: "", generation: 2, text: '{"v":1,"partitions":4,"before":2}' },
  { sequence: 5n, kind: "verdict", key: "customer-1", generation: 2, text: '{"v":1}' },
];

it("reads a journal of format version 1, record by record", async () => {
  expect(await verifyJournal({ directory: VERSION_1 })).toMatchObject({
    whole: true,
    records: 5,
    oldest: "1",
    newest: "5",
    partitions: 4,
    generation: 2,
  });
  const read: object[] = [];
  for await (const { sequence, kind, key, generation, payload, acceptedAtMs } of dumpJournal({ directory: VERSION_1 })) {
    read.push({ sequence, kind, key, generation, text: Buffer.from(payload).toString() });
    if (kind !== "generation") expect(acceptedAtMs).toBe(1_700_000_000_000);
  }
  expect(read).toEqual(RECORDS);
});

it("goes on writing a journal of format version 1", async () => {
  const directory = await temporaryDirectory();
  try {
    const copy = join(directory.path, "journal");
    await cp(VERSION_1, copy, { recursive: true });
    const config = journalConfig(copy, { segmentBytes: 4_096, quotaBytes: 65_536 });
    const journal = await openJournal({ config, clock: systemClock, random: systemRandom, logger: silentLogger });
    expect((await journal.append([entry("k", "six")]))[0]).toMatchObject({ sequence: 6n, generation: 2 });
    await journal.close();
    expect(await verifyJournal({ directory: copy })).toMatchObject({ whole: true, records: 6 });
  } finally {
    await directory.remove();
  }
});
