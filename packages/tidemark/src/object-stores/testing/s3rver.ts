import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
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
  const bin = createRequire(import.meta.url).resolve("s3rver/bin/s3rver.js");
  const bucket = "tidemark";
  const child = spawn(process.execPath, [bin, "-d", folder.path, "-a", "127.0.0.1", "-p", "0", "--silent", "--configure-bucket", bucket], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const port = await new Promise<number>((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const match = /listening on 127\.0\.0\.1:(\d+)/.exec(said);
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
