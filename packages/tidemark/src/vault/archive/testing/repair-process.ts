// An archive as a process of its own that finds a damaged segment and puts it right from its store, for tests that kill it at a step.
// Arguments: the bench's folder, how many segments are sealed there, the step to die at (`never`). Says `whole` when all segments were read and
// nothing is damaged.
import { writeSync } from "node:fs";
import { openFolderStore } from "../../../object-stores/folder-store.ts";
import { storeWorld } from "../../../object-stores/testing/store-world.ts";
import { ArchiveBench, QUICK, SEGMENT_BYTES, until } from "./archive-bench.ts";

const [root = "", segments = "0", dieAt = ""] = process.argv.slice(2);
const bench = ArchiveBench.at(root);
const count = Number(segments);
bench.grown(1, count * SEGMENT_BYTES);
const archive = await bench.open(
  { main: await openFolderStore({ kind: "folder", directory: bench.path("store") }, storeWorld()) },
  {
    limits: { ...QUICK, listEveryMs: 1_000 },
    step: (step) => {
      if (step === dieAt) process.kill(process.pid, "SIGKILL");
    },
  },
);
await archive.settled(AbortSignal.timeout(15_000));
// Twice: the first round may have begun before the damage was there.
await until(
  () => archive.damage().length === 0 && archive.status().local.checked >= 2 * count,
  () => archive.status(),
);
writeSync(1, "whole\n");
await archive.stop();
