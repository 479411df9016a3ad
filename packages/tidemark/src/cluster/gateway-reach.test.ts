import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { getJson } from "../probes/http-json.ts";
import { AnotherCertificate, reachGateway, type GatewayReach } from "./gateway-reach.ts";
import { InternalClient } from "./internal-client.ts";
import { HAS_OPENSSL, ownCertificate, type CertificateFiles } from "./testing/certificates.ts";

const never = new AbortController().signal;

describe.runIf(HAS_OPENSSL)("the reach of a gateway with gateway.tls", () => {
  let folder: string;
  let own: CertificateFiles;
  let server: Server;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let asked: number;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidemark-reach-"));
    own = ownCertificate(folder, "own");
    asked = 0;
    answer = (_request, response) => response.end("{}");
    server = createServer({ cert: await readFile(own.certFile), key: await readFile(own.keyFile) }, (request, response) => {
      asked += 1;
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });

  const reach = (certFile = own.certFile): GatewayReach =>
    reachGateway({ host: "127.0.0.1", port: (server.address() as AddressInfo).port, tls: { certFile } });
  const client = (): InternalClient =>
    new InternalClient({ address: reach(), token: new Redacted("secret"), clock: systemClock, away: "TM-CLUSTER-GATEWAY-AWAY" });

  it("sends what it is given, and gives back what is answered, also nothing", async () => {
    answer = (request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      request.once("end", () => response.end(JSON.stringify({ method: request.method, url: request.url, body })));
    };
    const { body } = await client().request({ path: "/v1/x?y=1", body: { ü: 1 }, timeoutMs: 10_000 });
    expect(body).toEqual({ method: "POST", url: "/v1/x?y=1", body: '{"ü":1}' });
    answer = (_request, response) => response.writeHead(204).end();
    expect(await client().request({ path: "/", method: "DELETE", timeoutMs: 10_000 })).toEqual({ status: 204, body: undefined });
  });

  it("takes an answer that ends in the middle for none", async () => {
    answer = (_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{", () => response.destroy());
    };
    await expect(client().request({ path: "/", timeoutMs: 10_000 })).rejects.toMatchObject({ code: "TM-CLUSTER-GATEWAY-AWAY" });
    await expect(getJson(reach(), never)).rejects.toMatchObject({ code: "TM-PROBE-AWAY" });
  });

  it("waits no longer than it may, before an answer and within one", async () => {
    answer = () => undefined;
    const late = client().request({ path: "/", timeoutMs: 50 });
    await expect(late).rejects.toMatchObject({ code: "TM-CLUSTER-GATEWAY-AWAY" });
    await expect(late).rejects.toThrow("no answer within 50 ms");
    answer = (_request, response) => response.write("{");
    const { url, ask } = reach();
    const giveUp = new AbortController();
    const begun = await ask(url, { headers: {}, signal: giveUp.signal });
    const text = begun.text();
    giveUp.abort();
    await expect(text).rejects.toThrow("aborted");
  });

  it("follows nowhere else", async () => {
    answer = (_request, response) => response.writeHead(302, { location: "/elsewhere" }).end();
    await expect(client().request({ path: "/", timeoutMs: 10_000 })).rejects.toMatchObject({ code: "TM-CLUSTER-GATEWAY-AWAY" });
    expect(asked).toBe(1);
  });

  it("trusts the certificate that the file holds when it asks, and asks nobody while there is none", async () => {
    const named = join(folder, "named.crt");
    const { url, ask } = reach(named);
    const status = async (): Promise<number> => (await ask(url, { headers: {}, signal: never })).status;
    await expect(status()).rejects.toMatchObject({ code: "ENOENT" });
    await copyFile(ownCertificate(folder, "former").certFile, named);
    await expect(status()).rejects.toThrow(AnotherCertificate);
    await expect(getJson({ url, ask }, never)).rejects.toMatchObject({
      code: "TM-PROBE-AWAY",
      message: "it serves another certificate than gateway.tls names",
    });
    expect(asked).toBe(0);
    await copyFile(own.certFile, named);
    expect(await status()).toBe(200);
  });
});

it("a gateway without gateway.tls is reached over HTTP", () => {
  expect(reachGateway({ host: "::1", port: 7400 }).url).toBe("http://[::1]:7400");
});
