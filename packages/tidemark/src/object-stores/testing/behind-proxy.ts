// A store behind the proxy behind s3rver, new for each test.
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { S3StoreOptions } from "../object-store-options.ts";
import type { ObjectStore } from "../object-store.ts";
import { openS3Store } from "../s3-store.ts";
import { s3Refusal, startS3Proxy, type Asked, type Fate, type S3Proxy } from "./s3-proxy.ts";
import { startS3rver, S3RVER_ENVIRONMENT, type S3rver } from "./s3rver.ts";
import { storeWorld } from "./store-world.ts";

export const MIB = 1_048_576;

export interface BehindProxy {
  readonly server: S3rver;
  readonly proxy: S3Proxy;
  /** The prefix of the store of this test. */
  readonly prefix: string;
  options(changes?: Partial<S3StoreOptions>): S3StoreOptions;
  /** Opens a store with a prefix of its own; what the proxy was asked for that is forgotten. */
  open(changes?: Partial<S3StoreOptions>, world?: ReturnType<typeof storeWorld>): Promise<ObjectStore>;
  /** Closes `store` after the test. */
  keep(store: ObjectStore): ObjectStore;
}

/** Starts s3rver for the file's tests and a proxy for each of them. */
export function behindProxy(): BehindProxy {
  let server: S3rver;
  let proxy: S3Proxy;
  let stores = 0;
  const opened: ObjectStore[] = [];
  beforeAll(async () => {
    server = await startS3rver();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    stores++;
    proxy = await startS3Proxy(server.port);
  });
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    await proxy.stop();
  });
  return {
    get server() {
      return server;
    },
    get proxy() {
      return proxy;
    },
    get prefix() {
      return `proxy-${stores}/`;
    },
    options(changes = {}) {
      return {
        kind: "s3",
        bucket: server.bucket,
        prefix: this.prefix,
        region: "eu-central-1",
        endpoint: proxy.endpoint,
        credentials: { kind: "environment", accessKeyId: "TEST_KEY_ID", secretAccessKey: "TEST_SECRET" },
        requestTimeoutMs: 2_000,
        ...changes,
      };
    },
    async open(changes = {}, world = storeWorld(S3RVER_ENVIRONMENT)) {
      stores++;
      const store = this.keep(await openS3Store(this.options(changes), world));
      proxy.asked.length = 0;
      return store;
    },
    keep(store) {
      opened.push(store);
      return store;
    },
  };
}

/** Answers as S3 does to `If-None-Match: *`, from what went by. */
export function conditional(): (asked: Asked) => Fate {
  const taken = new Set<string>();
  return (asked) => {
    if (asked.method === "DELETE" && !asked.query.has("uploadId")) taken.delete(asked.path);
    const writes = (asked.method === "PUT" && !asked.query.has("uploadId")) || (asked.method === "POST" && asked.query.has("uploadId"));
    if (!writes) return "forward";
    if (asked.headers["if-none-match"] === "*" && taken.has(asked.path)) return s3Refusal(412, "PreconditionFailed");
    taken.add(asked.path);
    return "forward";
  };
}
