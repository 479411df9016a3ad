// Faults of a store that speaks S3, made by a proxy in front of s3rver; uploads in parts, which s3rver neither lists nor
// aborts, are answered by the proxy as S3's documentation says.
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { openS3Store } from "./s3-store.ts";
import { behindProxy, MIB } from "./testing/behind-proxy.ts";
import { s3Refusal, type Asked } from "./testing/s3-proxy.ts";
import { S3RVER_ENVIRONMENT } from "./testing/s3rver.ts";
import { codeOf, storeWorld } from "./testing/store-world.ts";

const behind = behindProxy();

describe("faults of the store (proxy in front of s3rver)", () => {
  it("tries again what is asked to come slower, and a bounded number of times", async () => {
    const store = await behind.open({ attempts: 3 });
    let refusals = 2;
    behind.proxy.decide = () => (refusals-- > 0 ? s3Refusal(503, "SlowDown") : "forward");
    await store.put("a", randomBytes(10));
    expect(behind.proxy.asked).toHaveLength(3);
    behind.proxy.asked.length = 0;
    refusals = Number.POSITIVE_INFINITY;
    await expect(store.put("a", randomBytes(10))).rejects.toMatchObject({
      code: "TM-OBJECT-STORE-AWAY",
      retry: "unknown",
      details: { reason: "slow-down", status: 503 },
    });
    expect(behind.proxy.asked).toHaveLength(3);
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
    const store = await behind.open({ attempts: 1 });
    behind.proxy.decide = () => s3Refusal(status, name);
    expect(await codeOf(store.put("a", randomBytes(10)))).toBe(code);
    expect(await codeOf(store.get("a"))).toBe(code);
  });

  it("takes a missing object from the store's own word only, never from somebody's 404", async () => {
    const store = await behind.open({ attempts: 1 });
    expect(await codeOf(store.get("absent"))).toBe("TM-OBJECT-MISSING");
    behind.proxy.decide = () => ({ status: 404, headers: { "content-type": "text/html" }, body: "<html>not here</html>" });
    expect(await codeOf(store.get("absent"))).toMatch(/TM-OBJECT-(STORE-FAULT|STORE-AWAY)/);
  });

  it("tells a missing bucket from a missing object, though the answer to HEAD has no body", async () => {
    const store = await openS3Store(behind.options({ bucket: "absent" }), storeWorld(S3RVER_ENVIRONMENT), "read");
    behind.keep(store);
    expect(await codeOf(store.head("a"))).toBe("TM-OBJECT-NO-STORE");
    expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-NO-STORE");
    expect(await codeOf(openS3Store(behind.options({ bucket: "absent" }), storeWorld(S3RVER_ENVIRONMENT)))).toBe("TM-OBJECT-NO-STORE");
  });

  it("is away when nothing listens, when it answers nothing, and when it hangs up", async () => {
    const store = await behind.open({ attempts: 2, requestTimeoutMs: 200 });
    behind.proxy.decide = () => "hang";
    const beganMs = performance.now();
    await expect(store.get("a")).rejects.toMatchObject({ code: "TM-OBJECT-STORE-AWAY" });
    expect(performance.now() - beganMs).toBeLessThan(4_000);
    behind.proxy.decide = () => "reset";
    await expect(store.put("a", randomBytes(10))).rejects.toMatchObject({
      code: "TM-OBJECT-STORE-AWAY",
      details: { reason: "unreachable" },
    });
    await behind.proxy.stop();
    await expect(store.head("a")).rejects.toMatchObject({ code: "TM-OBJECT-STORE-AWAY", details: { code: "ECONNREFUSED" } });
  });

  it("gives no short object when the connection ends or stalls within one", async () => {
    const store = await behind.open({ attempts: 1, requestTimeoutMs: 200 });
    for (const cut of ["reset", "stall"] as const) {
      behind.proxy.decide = () => ({ status: 200, headers: { "content-length": "1000" }, body: Buffer.alloc(400), cut });
      expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-STORE-AWAY");
    }
  });

  it("gives a body that takes longer than a request may, as long as it moves", async () => {
    const store = await behind.open({ attempts: 1, requestTimeoutMs: 200 });
    const body = randomBytes(40_000);
    behind.proxy.decide = () => ({ status: 200, headers: { "content-length": String(body.length) }, body, pieceEveryMs: 100 });
    const beganMs = performance.now();
    expect(Buffer.compare(await store.get("a"), body)).toBe(0);
    // One attempt with its pause has 2.2 s.
    expect(performance.now() - beganMs).toBeGreaterThan(2_500);
  });

  it("holds no memory for a size that was only announced", async () => {
    const store = await behind.open({ attempts: 1, requestTimeoutMs: 200 });
    behind.proxy.decide = () => ({ status: 200, headers: { "content-length": String(2 ** 40) }, body: Buffer.alloc(400), cut: "stall" });
    expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-TOO-LARGE");
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    behind.proxy.decide = () => ({ status: 200, headers: { "content-length": String(900 * MIB) }, body: Buffer.alloc(400), cut: "stall" });
    const sampling = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }, 5);
    expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-STORE-AWAY");
    clearInterval(sampling);
    expect(most).toBeLessThan(100 * MIB);
  });

  it("shows that the store lost what it accepted", async () => {
    const store = await behind.open();
    behind.proxy.decide = (asked) => (asked.method === "PUT" ? { status: 200, headers: { etag: '"x"' } } : "forward");
    await store.put("a", randomBytes(10));
    expect(await codeOf(store.get("a"))).toBe("TM-OBJECT-MISSING");
    expect(await store.head("a")).toBeUndefined();
  });

  it("refuses other bytes than those of the range", async () => {
    const store = await behind.open({ attempts: 1 });
    behind.proxy.decide = () => ({ status: 200, headers: { "content-length": "100" }, body: Buffer.alloc(100) });
    expect(await codeOf(store.get("a", { range: { start: 50, end: 200 } }))).toBe("TM-OBJECT-STORE-FAULT");
  });

  it("refuses a listing that is not in order (s3rver, which walks its folders)", async () => {
    const store = await behind.open();
    for (const key of ["a/c", "a-b"]) await store.put(key, randomBytes(1));
    const list = async (): Promise<void> => {
      for await (const { key } of store.list("")) void key;
    };
    expect(await codeOf(list())).toBe("TM-OBJECT-STORE-FAULT");
  });

  it("passes over objects that are not Tidemark's", async () => {
    const store = await behind.open();
    await store.put("own", randomBytes(1));
    const entry = (key: string): string =>
      `<Contents><Key>${behind.prefix}${key}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`;
    behind.proxy.decide = () => ({
      status: 200,
      body: `<ListBucketResult>${entry("")}${entry(".tidemark/probe")}${entry("a b")}${entry("own")}${entry("z/")}</ListBucketResult>`,
    });
    const keys: string[] = [];
    for await (const { key } of store.list("")) keys.push(key);
    expect(keys).toEqual(["own"]);
  });

  it("rejects with the signal's reason while a request is under way", async () => {
    const store = await behind.open();
    const stopping = new AbortController();
    const reason = new Error("stopped");
    behind.proxy.decide = () => {
      stopping.abort(reason);
      return "hang";
    };
    await expect(store.put("a", randomBytes(10), { signal: stopping.signal })).rejects.toBe(reason);
  });
});

describe("an object in parts (proxy in front of s3rver)", () => {
  it("is aborted when a part fails, with nothing under way any more", async () => {
    const store = await behind.open({ multipartAboveBytes: 5 * MIB, attempts: 1 });
    behind.proxy.decide = (asked) => {
      if (asked.method === "DELETE") return { status: 204 };
      return asked.query.get("partNumber") === "2" ? s3Refusal(500, "InternalError") : "forward";
    };
    expect(await codeOf(store.put("large", randomBytes(65 * MIB)))).toBe("TM-OBJECT-STORE-AWAY");
    const aborted = behind.proxy.asked.filter(({ method, query }) => method === "DELETE" && query.has("uploadId"));
    expect(aborted).toHaveLength(1);
    expect(behind.proxy.asked.indexOf(aborted[0] as Asked)).toBe(behind.proxy.asked.length - 1);
    behind.proxy.decide = () => "forward";
    expect(await store.head("large")).toBeUndefined();
  });

  it("tells what failed although aborting fails as well", async () => {
    const world = storeWorld(S3RVER_ENVIRONMENT);
    const store = await behind.open({ multipartAboveBytes: 5 * MIB, attempts: 1 }, world);
    behind.proxy.decide = (asked) =>
      asked.method === "DELETE"
        ? s3Refusal(500, "InternalError")
        : asked.query.has("partNumber")
          ? s3Refusal(403, "AccessDenied")
          : "forward";
    expect(await codeOf(store.put("large", randomBytes(20 * MIB)))).toBe("TM-OBJECT-STORE-DENIED");
    expect(world.lines.join()).toContain("could not abort");
  });

  it("is known as of unknown outcome when the answer to its completion was lost", async () => {
    const store = await behind.open({ multipartAboveBytes: 5 * MIB });
    let lost = 0;
    behind.proxy.decide = (asked) => {
      if (asked.method !== "POST" || !asked.query.has("uploadId")) return asked.method === "DELETE" ? { status: 204 } : "forward";
      return ++lost === 1 ? "lose-answer" : s3Refusal(404, "NoSuchUpload");
    };
    await expect(store.put("large", randomBytes(20 * MIB))).rejects.toMatchObject({ code: "TM-OBJECT-STORE-AWAY", retry: "unknown" });
    expect(await store.head("large")).toMatchObject({ bytes: 20 * MIB });
  });

  it("that was abandoned a day ago is aborted when the store is opened, and none of today (listing by the proxy)", async () => {
    const upload = (key: string, id: string, ageMs: number): string =>
      `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${new Date(Date.now() - ageMs).toISOString()}</Initiated></Upload>`;
    behind.proxy.decide = (asked) => {
      if (asked.method === "DELETE" && asked.query.has("uploadId")) return { status: 204 };
      const prefix = behind.prefix;
      const uploads = [
        upload(`${prefix}old`, "1", 90_000_000),
        upload(`${prefix}new`, "2", 60_000),
        upload("elsewhere/old", "3", 90_000_000),
      ];
      return asked.query.has("uploads")
        ? { status: 200, body: `<ListMultipartUploadsResult>${uploads.join("")}</ListMultipartUploadsResult>` }
        : "forward";
    };
    behind.keep(await openS3Store(behind.options(), storeWorld(S3RVER_ENVIRONMENT)));
    expect(
      behind.proxy.asked
        .filter(({ method, query }) => method === "DELETE" && query.has("uploadId"))
        .map(({ query }) => query.get("uploadId")),
    ).toEqual(["1"]);
  });
});
