import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./store-world.ts";

/** The key pair that s3rver knows. */
export const S3RVER_ENVIRONMENT = { TEST_KEY_ID: "S3RVER", TEST_SECRET: "S3RVER" } as const;

export interface S3rver {
  readonly endpoint: string;
  readonly port: number;
  readonly bucket: string;
  readonly stop: () => Promise<void>;
}

/** Starts s3rver as a process of its own on a free loopback port, with an empty bucket. */
export async function startS3rver(): Promise<S3rver> {
  const folder = await temporaryFolder();
  const bucket = "tidemark";
  const script = fileURLToPath(new URL("s3rver-process.ts", import.meta.url));
  // Its continuation tokens are made with a cipher that OpenSSL 3 calls legacy.
  const child = spawn(process.execPath, ["--openssl-legacy-provider", script, folder.path, bucket], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const port = await new Promise<number>((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const match = /listening (\d+)/.exec(said);
      if (match !== null) resolve(Number(match[1]));
    });
    child.once("exit", (code) => reject(new Error(`s3rver ended with ${code} before it listened: ${said}`)));
    child.once("error", reject);
  });
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    bucket,
    stop: async () => {
      child.kill("SIGKILL");
      await exited;
      await folder.remove();
    },
  };
}
