// An archive as a process of its own, for tests that kill it at a step. Arguments: the bench's folder, how many
// segments are sealed there, the step to die at and its how-manieth occurrence (0: never). Says what it claims, line by line.
import { writeSync } from "node:fs";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { openFolderStore } from "../../../object-stores/folder-store.ts";
import { storeWorld } from "../../../object-stores/testing/store-world.ts";
import { localRing } from "../../sealing/testing/local-keys.ts";
import type { Archive } from "../archive.ts";
import { DirectSealer } from "../object-sealer.ts";
import { openArchive } from "../open-archive.ts";
import { ArchiveBench, QUICK, SEGMENT_BYTES, SYSTEM } from "./archive-bench.ts";

const [root = "", segments = "0", dieAt = "", times = "0"] = process.argv.slice(2);
const bench = ArchiveBench.at(root);
let left = Number(times);
let over = false;
const sealer = new DirectSealer({ keys: localRing(1), zstdLevel: 1, random: systemRandom });
bench.grown(1, Number(segments) * SEGMENT_BYTES + 700);
let archive: Archive | undefined;
archive = await openArchive({
  systemIdentifier: SYSTEM,
  folder: bench.folder,
  frontier: bench.frontier,
  stores: [{ name: "main", store: await openFolderStore({ kind: "folder", directory: bench.path("store") }, storeWorld()) }],
  sealer,
  partialEveryMs: 5,
  keepLocalBytes: 2 * SEGMENT_BYTES,
  limits: { ...QUICK, listEveryMs: 1_000 },
  clock: systemClock,
  logger: silentLogger,
  step: (step) => {
    const reach = archive?.status().stores[0]?.recoveryPoint;
    if (reach !== undefined && !over) writeSync(1, `claims ${reach.from} ${reach.lsn}\n`);
    if (step === dieAt && --left === 0) process.kill(process.pid, "SIGKILL");
  },
});
const stopping = new AbortController();
const ran = archive.run(stopping.signal);
await archive.settled(stopping.signal);
// Until what may leave has left, so that those steps come too.
while (archive.status().local.segments > 2) await new Promise((resolve) => setTimeout(resolve, 5));
const point = archive.status().stores[0]?.recoveryPoint;
over = true;
writeSync(1, `claims ${point?.from} ${point?.lsn}\nsettled\n`);
stopping.abort(new Error("done"));
await ran;
await archive.close();
