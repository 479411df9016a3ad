import { join } from "node:path";
import { hasCode } from "@tidemark/kernel/errors";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import type { Partition } from "@tidemark/kernel/brands";
import { expect, test } from "vitest";
import { journalConfig, temporaryDirectory } from "../testing/journal-setup.ts";
import { openJournal } from "./open-journal.ts";

test("a journal that is full of writes still takes verdicts, without which nothing would ever be safe to trim", async () => {
  const directory = await temporaryDirectory();
  const config = journalConfig(join(directory.path, "journal"), { segmentBytes: 262_144, quotaBytes: 524_288 });
  const journal = await openJournal({ config, clock: systemClock, random: systemRandom, logger: silentLogger });
  let refusal: unknown;
  for (let n = 0; refusal === undefined && n < 10_000; n++) {
    await journal
      .append([{ kind: "write", key: `k${n}`, acceptedAtMs: 1, payload: new Uint8Array(500) }])
      .catch((error: unknown) => (refusal = error));
  }
  expect(hasCode(refusal, "TM-JOURNAL-FULL")).toBe(true);
  for (let n = 1; n <= 15; n++) {
    await journal.append([
      { kind: "verdict", key: `verdict:${n}`, partition: 0 as Partition, acceptedAtMs: 1, payload: new Uint8Array(400) },
    ]);
  }
  await expect(journal.append([{ kind: "write", key: "k", acceptedAtMs: 1, payload: new Uint8Array(500) }])).rejects.toMatchObject({
    code: "TM-JOURNAL-FULL",
  });
  await journal.close();
  await directory.remove();
});
