import { join } from "node:path";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import type { Sequence } from "@tidemark/kernel/brands";
import { expect, test } from "vitest";
import { journalConfig, temporaryDirectory } from "../testing/journal-setup.ts";
import { openJournal } from "./open-journal.ts";

test("a record is found from wherever reading begins, also where a chunk ends within the zeros behind a group", async () => {
  const directory = await temporaryDirectory();
  const journal = await openJournal({
    config: journalConfig(join(directory.path, "journal")),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  // Groups of one record of changing length: padding of every size, chunks that end anywhere in it.
  for (let n = 0; n < 120; n++)
    await journal.append([{ kind: "write", key: "k", acceptedAtMs: 1, payload: new Uint8Array(150 + ((n * 37) % 400)) }]);
  for (let n = 0; n < 120; n++) {
    // Forwards and backwards by turns, so that each read looks for its place anew.
    const sequence = BigInt(n % 2 === 0 ? 120 - n : n) as Sequence;
    expect((await journal.read(sequence, sequence, { records: 1, bytes: 1 })).map((record) => record.sequence)).toEqual([sequence]);
  }
  await journal.close();
  await directory.remove();
});
