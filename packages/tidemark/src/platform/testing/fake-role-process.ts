// A role that does nothing but run, for the supervisor's tests. It is a real process with the real runtime of roles.
// Arguments: name, configuration, state folder, file that it writes its begin and end to, behaviour.
import { appendFileSync } from "node:fs";
import { TidemarkError } from "@tidemark/kernel/errors";
import { runRoleProcess } from "../role-runtime.ts";

const [name = "", configFile = "", stateDir = "", diary = "", behaviour = ""] = process.argv.slice(2);
const note = (what: string): void => appendFileSync(diary, `${name} ${what}\n`);

process.exitCode = await runRoleProcess({ role: name, configFile, stateDir }, async ({ signal, onReady, onChild }) => {
  note("begins");
  if (behaviour === "fail-stop")
    throw new TidemarkError("TM-JOURNAL-DAMAGED", "open the journal: bytes 4096 to 8191 of segment 3 are damaged");
  if (behaviour === "crash") throw new Error("a bug");
  if (behaviour === "child") onChild("applier", process.pid);
  onReady({ host: "127.0.0.1", port: 4_242 });
  const alive = setInterval(() => undefined, 1_000);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  note("ends");
  if (behaviour !== "deaf") clearInterval(alive);
});
if (behaviour === "deaf") await new Promise(() => undefined);
