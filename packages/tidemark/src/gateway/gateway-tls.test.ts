import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HAS_OPENSSL, ownCertificate, type CertificateFiles } from "../cluster/testing/certificates.ts";
import { readSecret } from "../platform/secret-files.ts";
import { runGatewayRole } from "./gateway-role.ts";
import { testConfig } from "./testing/gateway-fixture.ts";

let stateDir: string;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tidemark-gateway-tls-"));
});
afterEach(() => rm(stateDir, { recursive: true, force: true }));

const certificate = (name: string): CertificateFiles => ownCertificate(stateDir, name);

/** Runs the role and `work` beside it, then ends it. */
async function withGateway(tls: CertificateFiles, work: (url: string) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  let running: Promise<void> | undefined;
  const ready = new Promise<string>((resolve, reject) => {
    running = runGatewayRole({
      config: { ...testConfig({ stateDir, gateway: { tls } }), stores: {} },
      logger: silentLogger,
      clock: systemClock,
      random: systemRandom,
      signal: stop.signal,
      onReady: (address) => resolve(address.url),
    });
    running.catch(reject);
  });
  try {
    await work(await ready);
  } finally {
    stop.abort();
    await running;
  }
}

/** The status that the gateway answers over a connection that trusts `ca` alone. Rejects where the handshake fails. */
function statusOver(url: string, options: { ca: Buffer; token: string }): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${options.token}` };
    const call = request(`${url}/v1/status`, { ca: options.ca, servername: "localhost", agent: false, headers }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode));
    });
    call.once("error", reject);
    call.end();
  });
}

describe.runIf(HAS_OPENSSL)("a gateway with gateway.tls", () => {
  test("serves HTTPS with that certificate, and nobody who speaks HTTP or trusts another one reaches it", async () => {
    const [own, other] = [certificate("own"), certificate("other")];
    await withGateway(own, async (url) => {
      expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
      const token = (await readSecret(join(stateDir, "test.token")))?.reveal() ?? "";
      expect(await statusOver(url, { ca: await readFile(own.certFile), token })).toBe(200);
      await expect(statusOver(url, { ca: await readFile(other.certFile), token })).rejects.toThrow("self-signed certificate");
      await expect(fetch(`${url.replace("https:", "http:")}/healthz`)).rejects.toThrow("fetch failed");
    });
  });

  test.each([
    ["a certificate that is not there", "no such file", (own: CertificateFiles) => ({ ...own, certFile: join(stateDir, "none") })],
    [
      "the key of another certificate",
      "key values mismatch",
      (own: CertificateFiles) => ({ ...own, keyFile: certificate("other").keyFile }),
    ],
    ["a file that is no certificate", "no start line", (own: CertificateFiles) => ({ ...own, certFile: own.keyFile })],
    ["a key that is broken", "DECODER|PEM|unsupported", (own: CertificateFiles) => ({ ...own, keyFile: join(stateDir, "broken.key") })],
  ])("does not start with %s, and says which files", async (_, why, spoilt) => {
    await writeFile(join(stateDir, "broken.key"), "-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----\n");
    const files = spoilt(certificate("own"));
    const error: unknown = await withGateway(files, async () => undefined).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "TM-GATEWAY-TLS", details: files });
    expect(String((error as Error).cause)).toMatch(new RegExp(why, "i"));
    // The journal is not locked: the next start finds everything as it was.
    await withGateway(certificate("next"), async (url) => expect(url).toContain("https"));
  });
});
