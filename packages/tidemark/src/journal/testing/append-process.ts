// A process that appends until it is killed, and tells what was acknowledged: a line "sequence payload" for each record,
// written before anything else happens. Arguments: directory, writers, and optionally "before" or "after" with a number:
// it kills itself (SIGKILL) right before or right after telling the n-th acknowledgement.
import { writeSync } from "node:fs";
import { argv, kill, pid } from "node:process";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { silentLogger } from "@tidemark/kernel/logger";
import { openJournal } from "../embedded/open-journal.ts";
import { journalConfig } from "./journal-setup.ts";

const [directory = "", writers = "4", when = "never", count = "0"] = argv.slice(2);
const journal = await openJournal({
  config: journalConfig(directory, { segmentBytes: 65_536, quotaBytes: 1_073_741_824 }),
  clock: systemClock,
  random: systemRandom,
  logger: silentLogger,
});
let told = 0;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** All of `text` to the parent before anything else happens; the pipe does not block, so a full one is tried again. */
function tell(text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

async function write(): Promise<never> {
  for (;;) {
    const entries = Array.from({ length: 1 + Math.floor(systemRandom.fraction() * 3) }, () => ({
      kind: "write" as const,
      key: `k${Math.floor(systemRandom.fraction() * 100)}`,
      acceptedAtMs: systemClock.wallMs(),
      payload: Buffer.from(Buffer.from(systemRandom.bytes(10 + Math.floor(systemRandom.fraction() * 200))).toString("hex")),
    }));
    const appended = await journal.append(entries);
    told++;
    if (when === "before" && told === Number(count)) kill(pid, "SIGKILL");
    tell(appended.map(({ sequence }, i) => `${sequence} ${entries[i]?.payload.toString() ?? ""}\n`).join(""));
    if (when === "after" && told === Number(count)) kill(pid, "SIGKILL");
  }
}

tell(`open ${journal.id} ${journal.extent().durable}\n`);
await Promise.all(Array.from({ length: Number(writers) }, () => write()));
