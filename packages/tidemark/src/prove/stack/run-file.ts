import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";

/** What the supervisor says in `run.json` of the processes that it keeps. */
export interface RunFile {
  readonly supervisor: number;
  readonly roles: readonly { readonly name: string; readonly kind: string; readonly node?: string; readonly pid?: number }[];
}

/** Reads run.json of a state folder. Throws TM-PROVE-STACK when it is not there or is none. */
export function readRunFile(stateDir: string): RunFile {
  const path = join(stateDir, "run.json");
  let value: { supervisor?: unknown; roles?: unknown };
  try {
    value = JSON.parse(readFileSync(path, "utf8")) as typeof value;
  } catch (cause) {
    throw new TidemarkError("TM-PROVE-STACK", `read ${path}`, { cause });
  }
  const supervisor =
    typeof value.supervisor === "object" && value.supervisor !== null ? (value.supervisor as { pid?: unknown }).pid : value.supervisor;
  if (typeof supervisor !== "number" || !Array.isArray(value.roles))
    throw new TidemarkError("TM-PROVE-STACK", `read ${path}: it names no supervisor and roles`);
  return { supervisor, roles: value.roles as RunFile["roles"] };
}
