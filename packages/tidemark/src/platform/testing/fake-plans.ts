import { fileURLToPath } from "node:url";
import type { RolePlan } from "../role-plan.ts";

/** Control, one agent and the gateway as fake roles; `behaviours` by name. */
export function fakePlans(options: {
  configFile: string;
  stateDir: string;
  diary: string;
  behaviours?: Readonly<Record<string, string>>;
}): RolePlan[] {
  const script = fileURLToPath(new URL("./fake-role-process.ts", import.meta.url));
  const plan = (name: string, kind: RolePlan["kind"], stopStage: number): RolePlan => ({
    name,
    kind,
    ...(kind === "agent" ? { node: "pg1" } : {}),
    command: [
      process.execPath,
      "--conditions=@tidemark/source",
      "--disable-warning=ExperimentalWarning",
      script,
      name,
      options.configFile,
      options.stateDir,
      options.diary,
      options.behaviours?.[name] ?? "",
    ],
    stopStage,
    stopLimitMs: options.behaviours?.[name] === "deaf" ? 200 : 10_000,
  });
  return [plan("control", "control", 2), plan("agent-pg1", "agent", 1), plan("gateway", "gateway", 0)];
}
