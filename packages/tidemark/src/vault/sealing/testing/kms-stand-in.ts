import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** The credentials whose signatures the stand-in takes, as variables. */
export const KMS_ENVIRONMENT = { TEST_KMS_KEY_ID: "stand-in", TEST_KMS_SECRET: "stand-in-secret" } as const;

/** Starts the stand-in for AWS KMS as a process of its own on a free loopback port. */
export async function startKmsStandIn(): Promise<{ readonly endpoint: string; readonly stop: () => Promise<void> }> {
  const script = fileURLToPath(new URL("kms-stand-in-process.ts", import.meta.url));
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const port = await new Promise<number>((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const match = /listening (\d+)/.exec(said);
      if (match !== null) resolve(Number(match[1]));
    });
    child.once("exit", (code) => reject(new Error(`the stand-in for KMS ended with ${code}: ${said}`)));
  });
  return {
    endpoint: `http://127.0.0.1:${port}`,
    stop: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
