// What s3rver cannot be: a store with conditional puts, locks and encryption, and one with faults. The proxy answers in its
// place as S3's documentation says and checks the requests' headers; no real S3 has seen these tests.
import { randomBytes } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { S3StoreOptions } from "./object-store-options.ts";
import type { ObjectStore } from "./object-store.ts";
import { lateObjectStore } from "./open-object-store.ts";
import { openS3Store } from "./s3-store.ts";
import { s3Refusal, startS3Proxy, type Asked, type Fate, type S3Proxy } from "./testing/s3-proxy.ts";
import { startS3rver, S3RVER_ENVIRONMENT, type S3rver } from "./testing/s3rver.ts";
import { codeOf, storeWorld, temporaryFolder } from "./testing/store-world.ts";

const MIB = 1_048_576;
let server: S3rver;
let proxy: S3Proxy;
let stores = 0;
const opened: ObjectStore[] = [];

beforeAll(async () => {
  server = await startS3rver();
});
afterAll(() => server.stop());
beforeEach(async () => {
  proxy = await startS3Proxy(server.port);
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  await proxy.stop();
});

const options = (changes: Partial<S3StoreOptions> = {}): S3StoreOptions => ({
  kind: "s3",
  bucket: server.bucket,
  prefix: `proxy-${stores}/`,
  region: "eu-central-1",
  endpoint: proxy.endpoint,
  credentials: { kind: "environment", accessKeyId: "TEST_KEY_ID", secretAccessKey: "TEST_SECRET" },
  requestTimeoutMs: 2_000,
  ...changes,
});

async function open(changes: Partial<S3StoreOptions> = {}, world = storeWorld(S3RVER_ENVIRONMENT)): Promise<ObjectStore> {
  stores++;
  const store = await openS3Store(options(changes), world);
  opened.push(store);
  proxy.asked.length = 0;
  return store;
}

/** The objects' requests alone, not those of opening. */
const isObject = (asked: Asked): boolean => !asked.path.includes("/.tidemark/") && asked.path.split("/").length > 2;

/** Answers as S3 does to `If-None-Match: *`, from what went by. */
function conditional(): (asked: Asked) => Fate {
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

const LOCKED_BUCKET = `<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`;
const locks = (asked: Asked): Fate =>
  asked.query.has("object-lock") ? { status: 200, headers: { "content-type": "application/xml" }, body: LOCKED_BUCKET } : "forward";

describe("conditional puts", () => {
  it("are not claimed of a store that passes over If-None-Match (s3rver)", async () => {
    const store = await open();
    expect(store.abilities.conditional).toBe(false);
    await store.put("a", randomBytes(1), { ifAbsent: true });
    expect(await codeOf(store.put("a", randomBytes(1), { ifAbsent: true }))).toBe("TM-OBJECT-EXISTS");
    expect(proxy.asked.filter(({ headers }) => headers["if-none-match"] !== undefined)).toEqual([]);
  });

  it("are not claimed of a store that does not implement them (proxy in front of s3rver)", async () => {
    proxy.decide = (asked) => (asked.headers["if-none-match"] === undefined ? "forward" : s3Refusal(501, "NotImplemented"));
    expect((await open()).abilities.conditional).toBe(false);
  });

  it("let one of many writers win, in one request or in parts (proxy that answers 412 in front of s3rver)", async () => {
    proxy.decide = conditional();
    const store = await open({ multipartAboveBytes: 5 * MIB });
    expect(store.abilities.conditional).toBe(true);
    for (const [key, bytes] of [
      ["small", 10],
      ["large", 17 * MIB],
    ] as const) {
      const outcomes = await Promise.all(Array.from({ length: 3 }, () => codeOf(store.put(key, randomBytes(bytes), { ifAbsent: true }))));
      expect(outcomes.sort()).toEqual(["TM-OBJECT-EXISTS", "TM-OBJECT-EXISTS", "no error"]);
    }
    const completed = proxy.asked.filter(({ method, query }) => method === "POST" && query.has("uploadId"));
    expect(completed.map(({ headers }) => headers["if-none-match"])).toEqual(["*", "*", "*"]);
  });

  it("are told as taken when the answer to the first attempt was lost, and the object is there (proxy)", async () => {
    const decide = conditional();
    let lose = false;
    proxy.decide = (asked) => {
      const fate = decide(asked);
      if (!lose || asked.method !== "PUT") return fate;
      lose = false;
      return "lose-answer";
    };
    const store = await open();
    lose = true;
    const body = randomBytes(100);
    expect(await codeOf(store.put("a", body, { ifAbsent: true }))).toBe("TM-OBJECT-EXISTS");
    expect(Buffer.compare(await store.get("a"), body)).toBe(0);
  });
});

describe("object lock (headers checked by the proxy; s3rver knows no locks)", () => {
  it("is refused at the opening when it is configured and the bucket has none", async () => {
    expect(await codeOf(openS3Store(options({ lock: { mode: "compliance", forMs: 1_000 } }), storeWorld(S3RVER_ENVIRONMENT)))).toBe(
      "TM-OBJECT-UNSUPPORTED",
    );
  });

  it.each([
    ["governance", 100, "GOVERNANCE"],
    ["compliance", 6 * MIB, "COMPLIANCE"],
  ] as const)("goes with the object that is to stay, in mode %s", async (mode, bytes, header) => {
    proxy.decide = locks;
    const store = await open({ lock: { mode, forMs: 86_400_000 }, multipartAboveBytes: 5 * MIB });
    expect(store.abilities.lock).toBe(true);
    expect(store.lockForMs).toBe(86_400_000);
    await store.put("locked", randomBytes(bytes), { lockedUntilMs: Date.UTC(2031, 4, 5, 6, 7, 8) });
    const [first] = proxy.asked.filter(isObject);
    expect(first?.headers).toMatchObject({
      "x-amz-object-lock-mode": header,
      "x-amz-object-lock-retain-until-date": "2031-05-05T06:07:08Z",
    });
    if (bytes === 100) expect(first?.headers["content-md5"]).toMatch(/^[A-Za-z0-9+/]{22}==$/);
    proxy.asked.length = 0;
    await store.put("passing", randomBytes(10));
    expect(Object.keys(proxy.asked[0]?.headers ?? {}).filter((name) => name.includes("lock"))).toEqual([]);
  });

  it("keeps an object from being deleted, until it has ended", async () => {
    let until = "";
    proxy.decide = (asked) =>
      asked.method === "HEAD" && until !== ""
        ? { forwardWith: { "x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": until } }
        : locks(asked);
    const store = await open();
    await store.put("a", randomBytes(10));
    until = new Date(Date.now() + 60_000).toISOString();
    expect(await codeOf(store.delete("a"))).toBe("TM-OBJECT-LOCKED");
    expect((await store.get("a")).length).toBe(10);
    until = new Date(Date.now() - 60_000).toISOString();
    await store.delete("a");
    until = "";
    expect(await store.head("a")).toBeUndefined();
  });
});

describe("requests (headers checked by the proxy)", () => {
  it.each([
    [{ kind: "AES256" }, { "x-amz-server-side-encryption": "AES256" }],
    [
      { kind: "aws:kms", keyId: "key-1", bucketKey: true },
      {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
        "x-amz-server-side-encryption-bucket-key-enabled": "true",
      },
    ],
  ] as const)("ask for server-side encryption as configured: %o", async (serverSideEncryption, headers) => {
    const store = await open({ serverSideEncryption, multipartAboveBytes: 5 * MIB });
    await store.put("small", randomBytes(10));
    await store.put("large", randomBytes(6 * MIB));
    const begun = proxy.asked.filter((asked) => isObject(asked) && !asked.query.has("uploadId") && asked.method !== "HEAD");
    expect(begun).toHaveLength(2);
    for (const asked of begun) expect(asked.headers).toMatchObject(headers);
  });

  it("carry no checksums that older stores do not know, and are signed over their body", async () => {
    const store = await open();
    await store.put("a", randomBytes(10_000));
    await store.get("a");
    for (const { headers } of proxy.asked) {
      expect(Object.keys(headers).filter((name) => /checksum|trailer|expect/.test(name))).toEqual([]);
      expect(headers["x-amz-content-sha256"]).toMatch(/^[0-9a-f]{64}$/);
    }
    const always = await open({ checksums: "always" });
    await always.put("a", randomBytes(10_000)).catch(() => undefined);
    expect(Object.keys(proxy.asked[0]?.headers ?? {}).some((name) => name.includes("checksum"))).toBe(true);
  });

  it("name the bucket in the path or in the host", async () => {
    await (await open()).head("a");
    expect(proxy.asked[0]?.path).toMatch(new RegExp(`^/${server.bucket}/`));
    proxy.decide = (asked) => {
      if (asked.query.has("list-type")) return { status: 200, body: "<ListBucketResult></ListBucketResult>" };
      return s3Refusal(404, "NoSuchKey");
    };
    const hosted = await openS3Store(
      options({ pathStyle: false, endpoint: proxy.endpoint.replace("127.0.0.1", "localhost") }),
      storeWorld(S3RVER_ENVIRONMENT),
      "read",
    );
    opened.push(hosted);
    proxy.asked.length = 0;
    expect(await codeOf(hosted.get("a"))).toMatch(/TM-OBJECT-(MISSING|STORE-AWAY)/);
    for (const { headers, path } of proxy.asked)
      expect([headers.host?.split(":")[0], path]).toEqual([`${server.bucket}.localhost`, expect.not.stringContaining(server.bucket)]);
  });
});

describe("faults of the store (proxy in front of s3rver)", () => {
  it("tries again what is asked to come slower, and a bounded number of times", async () => {
    const store = await open({ attempts: 3 });
    let refusals = 2;
    proxy.decide = () => (refusals-- > 0 ? s3Refusal(503, "SlowDown") : "forward");
    await store.put("a", randomBytes(10));
    expect(proxy.asked).toHaveLength(3);
    proxy.asked.length = 0;
    refusals = Number.POSITIVE_INFINITY;
    await expect(store.put("a", randomBytes(10))).rejects.toMatchObject({
      code: "TM-OBJECT-STORE-AWAY",
      retry: "unknown",
      details: { reason: "slow-down", status: 503 },
    });
    expect(proxy.asked).toHaveLength(3);
  });

  it.each([
    [500, "InternalError", "TM-OBJECT-STORE-AWAY"],
    [502, "BadGateway", "TM-OBJECT-STORE-AWAY"],
    [403, "AccessDenied", "TM-OBJECT-STORE-DENIED"],
    [403, "SignatureDoesNotMatch", "TM-OBJECT-STORE-DENIED"],
    [403, "RequestTimeTooSkewed", "TM-OBJECT-STORE-DENIED"],
    [404, "NoSuchBucket", "TM-OBJECT-NO-STORE"],
    [403, "QuotaExceeded", "TM-OBJECT-STORE-FULL"],
    [507, "XMinioStorageFull", "TM-OBJECT-STORE-FULL"],
    [400, "EntityTooLarge", "TM-OBJECT-TOO-LARGE"],
    [400, "XAmzContentSHA256Mismatch", "TM-OBJECT-STORE-FAULT"],
    [301, "PermanentRedirect", "TM-OBJECT-STORE-SETTINGS"],
    [501, "NotImplemented", "TM-OBJECT-UNSUPPORTED"],
    [409, "ConditionalRequestConflict", "TM-OBJECT-STORE-AWAY"],
  ])("calls %i %s %s", async (status, name, code) => {
    const store = await open({ attempts: 1 });
    proxy.decide = () => s3Refusal(status, name);
    expect(await codeOf(store.put("a", randomBytes(10)))).toBe(code);
    expect(await codeOf(store.get("a"))).toBe(code);
  });

  it("takes a missing object from the store's own word only, never from somebody's 404", async () => {
    const store = await open({ attempts: 1 });
    expect(await codeOf(store.get("absent"))).toBe("TM-OBJECT-MISSING");
    proxy.decide = () => ({ status: 404, headers: { "content-type": "text/html" }, body: "<html>not here</html>" });
    expect(await codeOf(store.get("absent"))).toMatch(/TM-OBJECT-(STORE-FAULT|STORE-AWAY)/);
  });

  it("tells a missing bucket from a missing object, though the answer to HEAD has no body", async () => {
    const store = await openS3Store(options({ bucket: "absent" }), storeWorld(S3RVER_ENVIRONMENT), "read");
    opened.push(store);
    expect(await codeOf(store.head("a"))).toBe("TM-OBJECT-NO-STORE");
    expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-NO-STORE");
    expect(await codeOf(openS3Store(options({ bucket: "absent" }), storeWorld(S3RVER_ENVIRONMENT)))).toBe("TM-OBJECT-NO-STORE");
  });

  it("is away when nothing listens, when it answers nothing, and when it hangs up", async () => {
    const store = await open({ attempts: 2, requestTimeoutMs: 200 });
    proxy.decide = () => "hang";
    const beganMs = performance.now();
    await expect(store.get("a")).rejects.toMatchObject({ code: "TM-OBJECT-STORE-AWAY" });
    expect(performance.now() - beganMs).toBeLessThan(4_000);
    proxy.decide = () => "reset";
    await expect(store.put("a", randomBytes(10))).rejects.toMatchObject({
      code: "TM-OBJECT-STORE-AWAY",
      details: { reason: "unreachable" },
    });
    await proxy.stop();
    await expect(store.head("a")).rejects.toMatchObject({ code: "TM-OBJECT-STORE-AWAY", details: { code: "ECONNREFUSED" } });
  });

  it("gives no short object when the connection ends or stalls within one", async () => {
    const store = await open({ attempts: 1, requestTimeoutMs: 200 });
    for (const cut of ["reset", "stall"] as const) {
      proxy.decide = () => ({ status: 200, headers: { "content-length": "1000" }, body: Buffer.alloc(400), cut });
      expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-STORE-AWAY");
    }
  });

  it("holds no memory for a size that was only announced", async () => {
    const store = await open({ attempts: 1, requestTimeoutMs: 200 });
    proxy.decide = () => ({ status: 200, headers: { "content-length": String(2 ** 40) }, body: Buffer.alloc(400), cut: "stall" });
    expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-TOO-LARGE");
    const before = process.memoryUsage().rss;
    proxy.decide = () => ({ status: 200, headers: { "content-length": String(900 * MIB) }, body: Buffer.alloc(400), cut: "stall" });
    expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-STORE-AWAY");
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * MIB);
  });

  it("shows that the store lost what it accepted", async () => {
    const store = await open();
    proxy.decide = (asked) => (asked.method === "PUT" ? { status: 200, headers: { etag: '"x"' } } : "forward");
    await store.put("a", randomBytes(10));
    expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-MISSING");
    expect(await store.head("a")).toBeUndefined();
  });

  it("refuses other bytes than those of the range", async () => {
    const store = await open({ attempts: 1 });
    proxy.decide = () => ({ status: 200, headers: { "content-length": "100" }, body: Buffer.alloc(100) });
    expect(await codeOf(store.get("a", { range: { start: 50, end: 200 } }))).toBe("TM-OBJECT-STORE-FAULT");
  });

  it("refuses a listing that is not in order (s3rver, which walks its folders)", async () => {
    const store = await open();
    for (const key of ["a/c", "a-b"]) await store.put(key, randomBytes(1));
    const list = async (): Promise<void> => {
      for await (const { key } of store.list("")) void key;
    };
    expect(await codeOf(list())).toBe("TM-OBJECT-STORE-FAULT");
  });

  it("passes over objects that are not Tidemark's", async () => {
    const store = await open();
    await store.put("own", randomBytes(1));
    const entry = (key: string): string =>
      `<Contents><Key>proxy-${stores}/${key}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`;
    proxy.decide = () => ({
      status: 200,
      body: `<ListBucketResult>${entry("")}${entry(".tidemark/probe")}${entry("a b")}${entry("own")}${entry("z/")}</ListBucketResult>`,
    });
    const keys: string[] = [];
    for await (const { key } of store.list("")) keys.push(key);
    expect(keys).toEqual(["own"]);
  });

  it("rejects with the signal's reason while a request is under way", async () => {
    const store = await open();
    const stopping = new AbortController();
    const reason = new Error("stopped");
    proxy.decide = () => {
      stopping.abort(reason);
      return "hang";
    };
    await expect(store.put("a", randomBytes(10), { signal: stopping.signal })).rejects.toBe(reason);
  });
});

describe("an object in parts (proxy in front of s3rver)", () => {
  it("is aborted when a part fails, with nothing under way any more", async () => {
    const store = await open({ multipartAboveBytes: 5 * MIB, attempts: 1 });
    proxy.decide = (asked) => {
      if (asked.method === "DELETE") return { status: 204 };
      return asked.query.get("partNumber") === "2" ? s3Refusal(500, "InternalError") : "forward";
    };
    expect(await codeOf(store.put("large", randomBytes(65 * MIB)))).toBe("TM-OBJECT-STORE-AWAY");
    const aborted = proxy.asked.filter(({ method, query }) => method === "DELETE" && query.has("uploadId"));
    expect(aborted).toHaveLength(1);
    expect(proxy.asked.indexOf(aborted[0] as Asked)).toBe(proxy.asked.length - 1);
    proxy.decide = () => "forward";
    expect(await store.head("large")).toBeUndefined();
  });

  it("tells what failed although aborting fails as well", async () => {
    const world = storeWorld(S3RVER_ENVIRONMENT);
    const store = await open({ multipartAboveBytes: 5 * MIB, attempts: 1 }, world);
    proxy.decide = (asked) =>
      asked.method === "DELETE"
        ? s3Refusal(500, "InternalError")
        : asked.query.has("partNumber")
          ? s3Refusal(403, "AccessDenied")
          : "forward";
    expect(await codeOf(store.put("large", randomBytes(20 * MIB)))).toBe("TM-OBJECT-STORE-DENIED");
    expect(world.lines.join()).toContain("could not abort");
  });

  it("is known as of unknown outcome when the answer to its completion was lost", async () => {
    const store = await open({ multipartAboveBytes: 5 * MIB });
    let lost = 0;
    proxy.decide = (asked) => {
      if (asked.method !== "POST" || !asked.query.has("uploadId")) return asked.method === "DELETE" ? { status: 204 } : "forward";
      return ++lost === 1 ? "lose-answer" : s3Refusal(404, "NoSuchUpload");
    };
    await expect(store.put("large", randomBytes(20 * MIB))).rejects.toMatchObject({ code: "TM-OBJECT-STORE-AWAY", retry: "unknown" });
    expect(await store.head("large")).toMatchObject({ bytes: 20 * MIB });
  });

  it("that was abandoned a day ago is aborted when the store is opened, and none of today (listing by the proxy)", async () => {
    const upload = (key: string, id: string, ageMs: number): string =>
      `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${new Date(Date.now() - ageMs).toISOString()}</Initiated></Upload>`;
    proxy.decide = (asked) => {
      if (asked.method === "DELETE" && asked.query.has("uploadId")) return { status: 204 };
      const prefix = `proxy-${stores}/`;
      const uploads = [
        upload(`${prefix}old`, "1", 90_000_000),
        upload(`${prefix}new`, "2", 60_000),
        upload("elsewhere/old", "3", 90_000_000),
      ];
      return asked.query.has("uploads")
        ? { status: 200, body: `<ListMultipartUploadsResult>${uploads.join("")}</ListMultipartUploadsResult>` }
        : "forward";
    };
    stores++;
    opened.push(await openS3Store(options(), storeWorld(S3RVER_ENVIRONMENT)));
    expect(
      proxy.asked.filter(({ method, query }) => method === "DELETE" && query.has("uploadId")).map(({ query }) => query.get("uploadId")),
    ).toEqual(["1"]);
  });
});

describe("secrets", () => {
  const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  const TOKEN = "FwoGZXIvYXdzEBYaDEXAMPLETOKENwithMoreThanThirtyCharacters";

  it("are in no error and no line of the log, whatever the store sends back", async () => {
    const world = storeWorld({ TEST_KEY_ID: "AKIAIOSFODNN7EXAMPLE", TEST_SECRET: SECRET, TEST_TOKEN: TOKEN });
    const credentials = {
      kind: "environment",
      accessKeyId: "TEST_KEY_ID",
      secretAccessKey: "TEST_SECRET",
      sessionToken: "TEST_TOKEN",
    } as const;
    proxy.decide = (asked) => s3Refusal(403, "SignatureDoesNotMatch", `you sent ${JSON.stringify(asked.headers)} and ${SECRET} signed it`);
    const store = await openS3Store(options({ credentials }), world, "read");
    opened.push(store);
    const error: unknown = await store.get("a").catch((caught: unknown) => caught);
    expect(proxy.asked[0]?.headers["x-amz-security-token"]).toBe(TOKEN);
    const shown =
      inspect([error, world.facts, world.lines], { depth: 20, showHidden: true }) +
      JSON.stringify(error, Object.getOwnPropertyNames(error));
    expect(shown).toContain("SignatureDoesNotMatch");
    for (const secret of [SECRET, TOKEN, "Signature="]) expect(shown).not.toContain(secret);
    expect(shown).not.toMatch(/[0-9a-f]{64}/);
  });

  it("are taken from a file in the form of ~/.aws/credentials, which nobody else may read", async () => {
    const folder = await temporaryFolder();
    try {
      const file = join(folder.path, "credentials");
      writeFileSync(
        file,
        "# comment\n[default]\naws_access_key_id = other\naws_secret_access_key=wrong\n\n[archive]\naws_access_key_id=S3RVER\naws_secret_access_key = S3RVER\n",
        { mode: 0o600 },
      );
      const store = await openS3Store(options({ credentials: { kind: "file", file, profile: "archive" } }), storeWorld());
      opened.push(store);
      await store.put("a", randomBytes(1));
      const attempt = (given: S3StoreOptions["credentials"]): Promise<string> =>
        codeOf(openS3Store(options({ ...(given === undefined ? {} : { credentials: given }) }), storeWorld()));
      expect(await attempt({ kind: "file", file })).toBe("TM-OBJECT-STORE-DENIED");
      expect(await attempt({ kind: "file", file, profile: "absent" })).toBe("TM-OBJECT-STORE-SETTINGS");
      expect(await attempt({ kind: "file", file: `${file}.absent` })).toBe("TM-OBJECT-STORE-SETTINGS");
      expect(await attempt({ kind: "environment", accessKeyId: "UNSET", secretAccessKey: "UNSET" })).toBe("TM-OBJECT-STORE-SETTINGS");
      chmodSync(file, 0o644);
      expect(await attempt({ kind: "file", file, profile: "archive" })).toBe("TM-OBJECT-STORE-SETTINGS");
    } finally {
      await folder.remove();
    }
  });

  it.each(["ftp://host", "no url", "http://user:password@host", "https://host/?token=x"])(
    "are not taken from an endpoint, which is in messages: %s",
    async (endpoint) => {
      const error: unknown = await openS3Store(options({ endpoint }), storeWorld(S3RVER_ENVIRONMENT)).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: "TM-OBJECT-STORE-SETTINGS" });
      expect(inspect(error)).not.toMatch(/user:|token=x/);
    },
  );
});

describe("a store that is opened late", () => {
  it("rejects while it is away, and works when it is there", async () => {
    stores++;
    proxy.decide = () => s3Refusal(503, "SlowDown");
    const store = lateObjectStore(options({ attempts: 1 }), storeWorld(S3RVER_ENVIRONMENT));
    expect(store.name).toBe(`s3://${server.bucket}/proxy-${stores}/`);
    expect(await codeOf(store.put("a", randomBytes(10)))).toBe("TM-OBJECT-STORE-AWAY");
    expect(store.abilities).toEqual({ conditional: false, lock: false, coldReads: false });
    proxy.decide = conditional();
    await store.put("a", randomBytes(10));
    expect(store.abilities).toEqual({ conditional: true, lock: false, coldReads: true });
    expect((await store.get("a")).length).toBe(10);
    await store.close();
  });
});
