import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "@tidemark/kernel/platform/free-ports";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  HAS_OPENSSL,
  chainedCertificate,
  ownCertificate,
  signedCertificate,
  type CertificateFiles,
} from "../cluster/testing/certificates.ts";
import type { Config } from "../config/config.ts";
import { collectStatus } from "./status-report.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-status-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** The gateway's answer, as `tidemark status` gets it from a server that has `served` where the configuration names `configured`. */
async function asked(served: CertificateFiles, configured: CertificateFiles) {
  const secrets: (string | undefined)[] = [];
  const server = createServer({ cert: await readFile(served.certFile), key: await readFile(served.keyFile) }, (request, response) => {
    secrets.push(request.headers.authorization);
    response.setHeader("content-type", "application/json").end('{"accepting":true}');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  await mkdir(join(folder, "secrets"), { recursive: true, mode: 0o700 });
  const internalTokenFile = join(folder, "secrets", "internal.token");
  await writeFile(internalTokenFile, "the internal token\n", { mode: 0o600 });
  const { port } = server.address() as AddressInfo;
  const config = {
    name: "shop",
    stateDir: folder,
    stores: { orders: {} },
    control: { host: "127.0.0.1", port: (await freePorts(1))[0], internalTokenFile },
    gateway: { host: "127.0.0.1", port, tls: configured },
  };
  try {
    return { ...(await collectStatus(config as unknown as Config, 20_000)), secrets };
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

describe.runIf(HAS_OPENSSL)("what status knows of a gateway that serves HTTPS", () => {
  it.each([
    ["itself", ownCertificate],
    ["an authority", signedCertificate],
    ["an authority whose certificate is in the file", chainedCertificate],
  ])("is what it answers, whatever name is in its certificate, signed by %s", async (_by, certificate) => {
    const own = await certificate(folder, "own", "gateway.example");
    expect(await asked(own, own)).toMatchObject({
      gateway: { known: true, value: { accepting: true } },
      control: { known: false, why: "nobody listens there" },
      secrets: ["Bearer the internal token"],
    });
  });

  it.each([
    ["", ownCertificate],
    [" of the same authority", signedCertificate],
    [" of the authority that is in the file", chainedCertificate],
  ])("is nothing where another certificate%s is served, and that one does not get the token", async (_of, certificate) => {
    const [own, other] = [await certificate(folder, "own"), await certificate(folder, "other")];
    expect(await asked(other, own)).toMatchObject({
      gateway: { known: false, why: "it serves another certificate than gateway.tls names" },
      secrets: [],
    });
  });
});
