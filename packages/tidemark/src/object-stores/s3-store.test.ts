// What s3rver cannot be: a store with conditional puts, locks and encryption. The proxy answers in its place as S3's
// documentation says and checks the requests' headers; no real S3 has seen these tests.
import { randomBytes } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import type { AwsCredentialOptions } from "./object-store-options.ts";
import { lateObjectStore } from "./open-object-store.ts";
import { openS3Store } from "./s3-store.ts";
import { behindProxy, conditional, MIB } from "./testing/behind-proxy.ts";
import { s3Refusal, type Asked, type Fate } from "./testing/s3-proxy.ts";
import { S3RVER_ENVIRONMENT } from "./testing/s3rver.ts";
import { codeOf, storeWorld, temporaryFolder } from "./testing/store-world.ts";

const behind = behindProxy();

/** The objects' requests alone, not those of opening. */
const isObject = (asked: Asked): boolean => !asked.path.includes("/.tidemark/") && asked.path.split("/").length > 2;

const LOCKED_BUCKET = `<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`;
const locks = (asked: Asked): Fate =>
  asked.query.has("object-lock") ? { status: 200, headers: { "content-type": "application/xml" }, body: LOCKED_BUCKET } : "forward";

describe("conditional puts", () => {
  it("are not claimed of a store that passes over If-None-Match (s3rver)", async () => {
    const store = await behind.open();
    expect(store.abilities.conditional).toBe(false);
    await store.put("a", randomBytes(1), { ifAbsent: true });
    expect(await codeOf(store.put("a", randomBytes(1), { ifAbsent: true }))).toBe("TM-OBJECT-EXISTS");
    expect(behind.proxy.asked.filter(({ headers }) => headers["if-none-match"] !== undefined)).toEqual([]);
  });

  it("are not claimed of a store that does not implement them (proxy in front of s3rver)", async () => {
    behind.proxy.decide = (asked) => (asked.headers["if-none-match"] === undefined ? "forward" : s3Refusal(501, "NotImplemented"));
    expect((await behind.open()).abilities.conditional).toBe(false);
  });

  it("let one of many writers win, in one request or in parts (proxy that answers 412 in front of s3rver)", async () => {
    behind.proxy.decide = conditional();
    const store = await behind.open({ multipartAboveBytes: 5 * MIB });
    expect(store.abilities.conditional).toBe(true);
    for (const [key, bytes] of [
      ["small", 10],
      ["large", 17 * MIB],
    ] as const) {
      const outcomes = await Promise.all(Array.from({ length: 3 }, () => codeOf(store.put(key, randomBytes(bytes), { ifAbsent: true }))));
      expect(outcomes.sort()).toEqual(["TM-OBJECT-EXISTS", "TM-OBJECT-EXISTS", "no error"]);
    }
    const completed = behind.proxy.asked.filter(({ method, query }) => method === "POST" && query.has("uploadId"));
    expect(completed.map(({ headers }) => headers["if-none-match"])).toEqual(["*", "*", "*"]);
  });

  it("are told as taken when the answer to the first attempt was lost, and the object is there (proxy)", async () => {
    const decide = conditional();
    let lose = false;
    behind.proxy.decide = (asked) => {
      const fate = decide(asked);
      if (!lose || asked.method !== "PUT") return fate;
      lose = false;
      return "lose-answer";
    };
    const store = await behind.open();
    lose = true;
    const body = randomBytes(100);
    expect(await codeOf(store.put("a", body, { ifAbsent: true }))).toBe("TM-OBJECT-EXISTS");
    expect(Buffer.compare(await store.get("a"), body)).toBe(0);
  });
});

describe("object lock (headers checked by the proxy; s3rver knows no locks)", () => {
  it("is refused at the opening when it is configured and the bucket has none", async () => {
    expect(await codeOf(openS3Store(behind.options({ lock: { mode: "compliance", forMs: 1_000 } }), storeWorld(S3RVER_ENVIRONMENT)))).toBe(
      "TM-OBJECT-UNSUPPORTED",
    );
  });

  it.each([
    ["governance", 100, "GOVERNANCE"],
    ["compliance", 6 * MIB, "COMPLIANCE"],
  ] as const)("goes with the object that is to stay, in mode %s", async (mode, bytes, header) => {
    behind.proxy.decide = locks;
    const store = await behind.open({ lock: { mode, forMs: 86_400_000 }, multipartAboveBytes: 5 * MIB });
    expect(store.abilities.lock).toBe(true);
    expect(store.lockForMs).toBe(86_400_000);
    await store.put("locked", randomBytes(bytes), { lockedUntilMs: Date.UTC(2031, 4, 5, 6, 7, 8) });
    const first = behind.proxy.asked.find(isObject);
    expect(first?.headers).toMatchObject({
      "x-amz-object-lock-mode": header,
      "x-amz-object-lock-retain-until-date": "2031-05-05T06:07:08Z",
    });
    if (bytes === 100) expect(first?.headers["content-md5"]).toMatch(/^[A-Za-z0-9+/]{22}==$/);
    behind.proxy.asked.length = 0;
    await store.put("passing", randomBytes(10));
    expect(Object.keys(behind.proxy.asked[0]?.headers ?? {}).filter((name) => name.includes("lock"))).toEqual([]);
  });

  it("keeps an object from being deleted, until it has ended", async () => {
    let until = "";
    behind.proxy.decide = (asked) =>
      asked.method === "HEAD" && until !== ""
        ? { forwardWith: { "x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": until } }
        : locks(asked);
    const store = await behind.open();
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
    const store = await behind.open({ serverSideEncryption, multipartAboveBytes: 5 * MIB });
    await store.put("small", randomBytes(10));
    await store.put("large", randomBytes(6 * MIB));
    const begun = behind.proxy.asked.filter((asked) => isObject(asked) && !asked.query.has("uploadId") && asked.method !== "HEAD");
    expect(begun).toHaveLength(2);
    for (const asked of begun) expect(asked.headers).toMatchObject(headers);
  });

  it("carry no checksums that older stores do not know, and are signed over their body", async () => {
    const store = await behind.open();
    await store.put("a", randomBytes(10_000));
    await store.get("a");
    for (const { headers } of behind.proxy.asked) {
      expect(Object.keys(headers).filter((name) => /checksum|trailer|expect/.test(name))).toEqual([]);
      expect(headers["x-amz-content-sha256"]).toMatch(/^[0-9a-f]{64}$/);
    }
    const always = await behind.open({ checksums: "always" });
    await always.put("a", randomBytes(10_000)).catch(() => undefined);
    expect(Object.keys(behind.proxy.asked[0]?.headers ?? {}).some((name) => name.includes("checksum"))).toBe(true);
  });

  it("name the bucket in the path or in the host", async () => {
    await (await behind.open()).head("a");
    expect(behind.proxy.asked[0]?.path).toMatch(new RegExp(`^/${behind.server.bucket}/`));
    behind.proxy.decide = (asked) => {
      if (asked.query.has("list-type")) return { status: 200, body: "<ListBucketResult></ListBucketResult>" };
      return s3Refusal(404, "NoSuchKey");
    };
    const hosted = await openS3Store(
      behind.options({ pathStyle: false, endpoint: behind.proxy.endpoint.replace("127.0.0.1", "localhost") }),
      storeWorld(S3RVER_ENVIRONMENT),
      "read",
    );
    behind.keep(hosted);
    behind.proxy.asked.length = 0;
    expect(await codeOf(hosted.get("a"))).toMatch(/TM-OBJECT-(MISSING|STORE-AWAY)/);
    for (const { headers, path } of behind.proxy.asked)
      expect([headers.host?.split(":")[0], path]).toEqual([
        `${behind.server.bucket}.localhost`,
        expect.not.stringContaining(behind.server.bucket),
      ]);
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
    let said = "";
    behind.proxy.decide = (asked) => s3Refusal(403, "SignatureDoesNotMatch", `${said} ${String(asked.headers.authorization)}`);
    const store = await openS3Store(behind.options({ credentials }), world, "read");
    behind.keep(store);
    for (said of [SECRET, TOKEN, "you sent"]) {
      const error: unknown = await store.get("a").catch((caught: unknown) => caught);
      expect(behind.proxy.asked[0]?.headers["x-amz-security-token"]).toBe(TOKEN);
      const shown =
        inspect([error, world.facts, world.lines], { depth: 20, showHidden: true }) +
        JSON.stringify(error, Object.getOwnPropertyNames(error));
      expect(shown).toContain("SignatureDoesNotMatch");
      for (const secret of [SECRET, TOKEN, "Signature="]) expect(shown).not.toContain(secret);
      expect(shown).not.toMatch(/[0-9a-f]{64}/);
    }
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
      const store = await openS3Store(behind.options({ credentials: { kind: "file", file, profile: "archive" } }), storeWorld());
      behind.keep(store);
      await store.put("a", randomBytes(1));
      const attempt = (credentials: AwsCredentialOptions): Promise<string> =>
        codeOf(openS3Store(behind.options({ credentials }), storeWorld()));
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
      const error: unknown = await openS3Store(behind.options({ endpoint }), storeWorld(S3RVER_ENVIRONMENT)).catch(
        (caught: unknown) => caught,
      );
      expect(error).toMatchObject({ code: "TM-OBJECT-STORE-SETTINGS" });
      expect(inspect(error)).not.toMatch(/user:|token=x/);
    },
  );
});

describe("a store that is opened late", () => {
  it("rejects while it is away, and works when it is there", async () => {
    behind.proxy.decide = () => s3Refusal(503, "SlowDown");
    const store = lateObjectStore(behind.options({ attempts: 1 }), storeWorld(S3RVER_ENVIRONMENT));
    expect(store.name).toBe(`s3://${behind.server.bucket}/${behind.prefix}`);
    expect(await codeOf(store.put("a", randomBytes(10)))).toBe("TM-OBJECT-STORE-AWAY");
    expect(store.abilities).toEqual({ conditional: false, lock: false, coldReads: false });
    behind.proxy.decide = conditional();
    await store.put("a", randomBytes(10));
    expect(store.abilities).toEqual({ conditional: true, lock: false, coldReads: true });
    expect((await store.get("a")).length).toBe(10);
    await store.close();
  });
});
