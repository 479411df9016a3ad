import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Notification } from "../alert.ts";
import { AlertReceiverServer } from "../testing/alert-receiver-server.ts";
import { REPLAY_WINDOW_MS, signWebhook, verifyWebhook } from "./webhook-signature.ts";
import { webhookReceiver } from "./webhook-receiver.ts";

const KEY = "the-new-key-that-is-long-enough-0001";
const OLD_KEY = "the-old-key-that-is-long-enough-0002";
const SECRET_PATH = "/hooks/T0SECRET/B1SECRET";

const notification: Notification = {
  id: "018f-7",
  kind: "firing",
  fingerprint: "0123456789abcdef",
  rule: "exposure-above-objective",
  subject: { service: "orders", scenario: "node-loss" },
  severity: "page",
  group: "orders",
  summary: "too much",
  evidence: { exposureMs: 90_000 },
  startsAtMs: 1_700_000_000_000,
};

let place: string;
let server: AlertReceiverServer;

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "tidemark-webhook-"));
  await writeFile(join(place, "key"), `# newest first\n${KEY}\n${OLD_KEY}\n`);
  server = await AlertReceiverServer.start();
});
afterEach(async () => {
  await server.stop();
  await rm(place, { recursive: true, force: true });
});

const deliver = (over: { timeoutMs?: number; keyFile?: string; url?: string } = {}): Promise<void> =>
  webhookReceiver({
    name: "hook",
    url: new Redacted(over.url ?? `${server.url}${SECRET_PATH}`),
    keyFile: over.keyFile ?? join(place, "key"),
    deployment: "prod",
    runbooks: "https://runbooks.example",
    clock: systemClock,
    ...(over.timeoutMs === undefined ? {} : { timeoutMs: over.timeoutMs }),
  }).deliver([notification], { signal: new AbortController().signal, givenUp: 3 });

async function failure(attempt: Promise<void>): Promise<{ code: string; printed: string }> {
  const error: unknown = await attempt.then(
    () => expect.unreachable("it was delivered"),
    (reason: unknown) => reason,
  );
  return { code: (error as { code: string }).code, printed: `${inspect(error, { depth: 10 })} ${JSON.stringify(error)}` };
}

describe("a webhook", () => {
  it("brings notifications with their identity, their runbook and what was given up, signed with both keys while one is changed", async () => {
    await deliver();
    const [request] = server.requests;
    expect(JSON.parse(request?.body ?? "")).toEqual({
      version: 1,
      deployment: "prod",
      group: "orders",
      givenUp: 3,
      notifications: [
        {
          id: "018f-7",
          kind: "firing",
          fingerprint: "0123456789abcdef",
          subject: { service: "orders", scenario: "node-loss" },
          severity: "page",
          group: "orders",
          summary: "too much",
          evidence: { exposureMs: 90_000 },
          rule: "exposure-above-objective",
          runbook: "https://runbooks.example/exposure-above-objective.md",
          startsAt: "2023-11-14T22:13:20.000Z",
        },
      ],
    });
    const header = String(request?.headers["tidemark-signature"]);
    for (const key of [KEY, OLD_KEY])
      expect(verifyWebhook({ body: request?.body ?? "", header, key: new Redacted(key), nowMs: Date.now() })).toBe("valid");
  });

  it("says away for what may pass, refused for what will not, and shows no more of the address than its origin", async () => {
    const seen: Record<number, string> = {};
    for (const status of [302, 400, 401, 404, 408, 429, 500, 503]) {
      server.answer = (response) => response.writeHead(status, { location: "http://127.0.0.1:1/elsewhere" }).end(`no\n  thanks ${status}`);
      const { code, printed } = await failure(deliver());
      seen[status] = code.replace("TM-ALERT-RECEIVER-", "");
      expect(printed).not.toContain("SECRET/");
      expect(printed).not.toContain(KEY);
      expect(printed).toContain(server.url);
    }
    expect(seen).toEqual({
      302: "REFUSED",
      400: "REFUSED",
      401: "REFUSED",
      404: "REFUSED",
      408: "AWAY",
      429: "AWAY",
      500: "AWAY",
      503: "AWAY",
    });
    expect(server.requests).toHaveLength(8);
  });

  it("gives up waiting for an answer, and for a server that is not there", async () => {
    server.answer = () => undefined;
    const silent = await failure(deliver({ timeoutMs: 50 }));
    expect(silent.code).toBe("TM-ALERT-RECEIVER-AWAY");
    expect(silent.printed).toContain("no answer within 50 ms");
    const nobody = await failure(deliver({ url: `http://127.0.0.1:1${SECRET_PATH}` }));
    expect(nobody.code).toBe("TM-ALERT-RECEIVER-AWAY");
    expect(nobody.printed).not.toContain("SECRET/");
  });

  it("sends nothing without a right key or address, and says which file, not what is in it", async () => {
    await writeFile(join(place, "short"), "tooshort\n");
    await writeFile(join(place, "empty"), "\n");
    for (const name of ["short", "empty", "absent"]) {
      const { code, printed } = await failure(deliver({ keyFile: join(place, name) }));
      expect(code).toBe("TM-ALERT-SECRET");
      expect(printed).not.toContain("tooshort");
    }
    for (const url of ["not an address SECRET/", "ftp://x/SECRET/", "https://user:SECRET/@x/"]) {
      const { code, printed } = await failure(deliver({ url }));
      expect(code).toBe("TM-ALERT-SECRET");
      expect(printed).not.toContain("SECRET/");
    }
    expect(server.requests).toHaveLength(0);
  });
});

describe("a webhook's signature", () => {
  const key = new Redacted(KEY);
  const atMs = 1_700_000_000_000;
  const header = signWebhook("the body", atMs, [key]);

  it("is not that of another body, another time or another key, and is stale after five minutes", () => {
    const verify = (over: Partial<Parameters<typeof verifyWebhook>[0]>): string =>
      verifyWebhook({ body: "the body", header, key, nowMs: atMs, ...over });
    expect(verify({})).toBe("valid");
    expect(verify({ nowMs: atMs + REPLAY_WINDOW_MS })).toBe("valid");
    expect(verify({ nowMs: atMs + REPLAY_WINDOW_MS + 1 })).toBe("stale");
    expect(verify({ nowMs: atMs - REPLAY_WINDOW_MS - 1 })).toBe("stale");
    expect(verify({ body: "the body " })).toBe("forged");
    expect(verify({ header: header.replace(`t=${atMs}`, `t=${atMs + 1}`) })).toBe("forged");
    expect(verify({ key: new Redacted(OLD_KEY) })).toBe("forged");
    for (const text of ["", "v1=00", `t=1,v1=${"0".repeat(63)}`, `${header},v2=1`]) expect(verify({ header: text })).toBe("forged");
  });

  it("is what openssl makes of the same, as docs/webhooks.md says", () => {
    const digest = execFileSync("openssl", ["dgst", "-sha256", "-hmac", KEY, "-r"], { input: `${atMs}.the body`, encoding: "utf8" }).split(
      " ",
    )[0];
    expect(header).toBe(`t=${atMs},v1=${digest}`);
  });
});
