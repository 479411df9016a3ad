// s3rver as a process of its own. Arguments: its folder, a bucket. Says `listening <port>`. One thing is mended: it answers
// a put when it has seen all bytes, not when its file has them, and a read that follows at once may get less.
import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

interface FileStore {
  putObject(object: { bucket: string; key: string }): Promise<{ size: number }>;
  putPart(bucket: string, uploadId: string, partNumber: number, content: unknown): Promise<{ size: number }>;
  getResourcePath(bucket: string, key: string | undefined, kind: string): string;
}

interface Server {
  readonly store: FileStore;
  run(): Promise<{ port: number }>;
}

const S3rver = createRequire(import.meta.url)("s3rver") as new (options: object) => Server;
const [directory = "", bucket = ""] = process.argv.slice(2);
const server = new S3rver({ directory, address: "127.0.0.1", port: 0, silent: true, configureBuckets: [{ name: bucket, configs: [] }] });
const { store } = server;
const putObject = store.putObject.bind(store);
const putPart = store.putPart.bind(store);

async function written(file: string, size: number): Promise<void> {
  for (;;) {
    const facts = await stat(file).catch(() => undefined);
    if (facts?.size === size) return;
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

store.putObject = async (object) => {
  const result = await putObject(object);
  await written(store.getResourcePath(object.bucket, object.key, "object"), result.size);
  return result;
};
store.putPart = async (bucketName, uploadId, partNumber, content) => {
  const result = await putPart(bucketName, uploadId, partNumber, content);
  await written(join(store.getResourcePath(bucketName, undefined, "uploads"), uploadId, String(partNumber)), result.size);
  return result;
};

const { port } = await server.run();
process.stdout.write(`listening ${port}\n`);
// Its parent is gone when the pipe closes: nothing is left behind then.
process.stdin.resume().once("end", () => process.exit(0));
