import { join } from "node:path";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { silentLogger } from "@tidemark/kernel/logger";
import { hasCode } from "@tidemark/kernel/errors";
import { entry, journalContract } from "../contract/journal-contract.ts";
import type { Journal } from "../journal.ts";
import { journalConfig, temporaryDirectory } from "../testing/journal-setup.ts";
import type { Files } from "./files.ts";
import { nodeFiles } from "./node-files.ts";
import { openJournal, openJournalReader } from "./open-journal.ts";

/** Real files whose commits fail once `broken` is set. */
function breakableFiles(state: { broken: boolean }): Files {
  return {
    ...nodeFiles,
    async open(path, mode) {
      const file = await nodeFiles.open(path, mode);
      const real = file.writeDurably.bind(file);
      file.writeDurably = (bytes, length, position) =>
        state.broken ? Promise.reject(Object.assign(new Error("EIO: i/o error, write"), { code: "EIO" })) : real(bytes, length, position);
      return file;
    },
  };
}

journalContract("embedded, real files", async () => {
  const directory = await temporaryDirectory();
  const config = journalConfig(join(directory.path, "a", "journal"));
  const disk = { broken: false };
  const files = breakableFiles(disk);
  const open = (): Promise<Journal> => openJournal({ config, clock: systemClock, random: systemRandom, logger: silentLogger, files });
  const journals = [await open()];
  const journal = journals[0] as Journal;
  return {
    journal,
    reopen: async () => {
      await journals.at(-1)?.close();
      const again = await open();
      journals.push(again);
      return again;
    },
    reader: () => openJournalReader({ directory: config.directory }),
    breakDisk: () => (disk.broken = true),
    fill: async () => {
      for (;;) {
        try {
          await journal.append([{ ...entry("a", ""), payload: new Uint8Array(500_000) }]);
        } catch (error) {
          if (hasCode(error, "TM-JOURNAL-FULL")) return;
          throw error;
        }
      }
    },
    remove: async () => {
      for (const open_ of journals) await open_.close();
      await directory.remove();
    },
  };
});
