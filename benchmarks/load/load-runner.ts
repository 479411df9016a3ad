import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LoadPlan, LoadResult } from "./driver.ts";

const LOAD_PROCESS = fileURLToPath(new URL("./load-process.ts", import.meta.url));

/** Runs `plan` in a load process of its own. Rejects when it fails or when not one write was acknowledged. */
export async function runLoad(plan: LoadPlan): Promise<LoadResult> {
  const child = spawn(
    process.execPath,
    ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", LOAD_PROCESS, JSON.stringify(plan)],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`the load process for ${plan.target.driver} ended with ${code ?? "a signal"}`);
  const result = JSON.parse(output) as LoadResult;
  if (result.acknowledged === 0)
    throw new Error(`${plan.target.driver}: nothing was acknowledged; first refusal: ${result.firstRefusal ?? "none"}`);
  return result;
}
