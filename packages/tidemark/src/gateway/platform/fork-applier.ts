import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FromApplier } from "../../applier/applier-link.ts";
import type { ForkApplier } from "../applier-channel.ts";

/** Whether this runs from the TypeScript sources; the built package has JavaScript beside it. */
const FROM_SOURCE = import.meta.url.endsWith(".ts");
const ENTRY = fileURLToPath(new URL(`../../applier/applier-role.${FROM_SOURCE ? "ts" : "js"}`, import.meta.url));
const EXEC_ARGV = [...(FROM_SOURCE ? ["--conditions=@tidemark/source"] : []), "--disable-warning=ExperimentalWarning"];

/** Runs `src/applier/applier-role` as a child with an IPC channel. It ends by itself when the channel closes. */
export const forkApplier: ForkApplier = ({ onMessage, onExit }) => {
  const child = fork(ENTRY, [], { execArgv: EXEC_ARGV, serialization: "json", stdio: ["ignore", "inherit", "inherit", "ipc"] });
  let over = false;
  const end = (code: number | null, signal: string | null): void => {
    if (over) return;
    over = true;
    onExit({ code, signal });
  };
  child.on("message", (message) => onMessage(message as FromApplier));
  child.on("exit", end);
  // Could not be started, or a message could not be sent because it is ending: then `exit` follows or has come.
  child.on("error", () => {
    if (child.pid === undefined) end(null, null);
  });
  return {
    pid: child.pid ?? -1,
    send: (message) => {
      if (child.connected) child.send(message, () => undefined);
    },
    kill: () => void child.kill("SIGKILL"),
  };
};
