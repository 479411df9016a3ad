import { join } from "node:path";
import { objectStoreContract } from "./contract/object-store-contract.ts";
import type { S3StoreOptions } from "./object-store-options.ts";
import { openObjectStore } from "./open-object-store.ts";
import { startS3rver, S3RVER_ENVIRONMENT } from "./testing/s3rver.ts";
import { storeWorld, temporaryFolder } from "./testing/store-world.ts";

objectStoreContract("a folder", async () => {
  const folder = await temporaryFolder();
  return {
    open: (name, access) => openObjectStore({ kind: "folder", directory: join(folder.path, name) }, storeWorld(), access),
    remove: folder.remove,
  };
});

objectStoreContract("S3, against s3rver", async () => {
  const server = await startS3rver();
  const options = (name: string): S3StoreOptions => ({
    kind: "s3",
    bucket: server.bucket,
    prefix: `below/${name}/`,
    region: "eu-central-1",
    endpoint: server.endpoint,
    credentials: { kind: "environment", accessKeyId: "TEST_KEY_ID", secretAccessKey: "TEST_SECRET" },
  });
  return {
    open: (name, access) => openObjectStore(options(name), storeWorld(S3RVER_ENVIRONMENT), access),
    walksFolders: true,
    remove: server.stop,
  };
});
