import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { LoadPlan, LoadResult } from "./driver.ts";

const LOAD_PROCESS = fileURLToPath(new URL("./load-process.ts", import.meta.url));

/**
 * Runs `plan` in a load process of its own. Rejects when it fails or when not one write was acknowledged.
 * @param onMeasuring called when the warm-up is over.
 */
export async function runLoad(plan: LoadPlan, onMeasuring: () => void = () => undefined): Promise<LoadResult> {
  const args = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", LOAD_PROCESS, JSON.stringify(plan)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let result: LoadResult | undefined;
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line === "measuring") onMeasuring();
    else result = JSON.parse(line) as LoadResult;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0 || result === undefined) throw new Error(`the load process for ${plan.target.driver} ended with ${code ?? "a signal"}`);
  if (result.acknowledged === 0)
    throw new Error(`${plan.target.driver}: nothing was acknowledged; first refusal: ${result.firstRefusal ?? "none"}`);
  return result;
}
