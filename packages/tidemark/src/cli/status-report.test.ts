import { execFileSync, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Config } from "../config/config.ts";
import { collectStatus } from "./status-report.ts";

/** Node cannot make a certificate. */
const HAS_OPENSSL = spawnSync("openssl", ["version"], { stdio: "ignore" }).status === 0;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-status-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: "ignore", cwd: folder });
}

/** A certificate for a name that nobody here has: signed by its own key, or by an authority that is not in the file. */
async function certificate(name: string, signed: "itself" | "authority"): Promise<{ certFile: string; keyFile: string }> {
  const subject = ["-subj", "/CN=gateway.example", "-addext", "subjectAltName=DNS:gateway.example"];
  const made = ["-days", "1", "-nodes", "-keyout", `${name}.key`, "-out", `${name}.crt`];
  if (signed === "itself") openssl("req", "-new", "-x509", ...subject, ...made);
  else {
    openssl("req", "-new", "-x509", "-subj", "/CN=authority", "-days", "1", "-nodes", "-keyout", "authority.key", "-out", "authority.crt");
    openssl("req", "-new", "-x509", ...subject, ...made, "-CA", "authority.crt", "-CAkey", "authority.key");
  }
  return { certFile: join(folder, `${name}.crt`), keyFile: join(folder, `${name}.key`) };
}

/** The gateway's answer, as `tidemark status` gets it from a server that has `served` where the configuration names `configured`. */
async function asked(served: { certFile: string; keyFile: string }, configured: { certFile: string; keyFile: string }) {
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
    control: { host: "127.0.0.1", port: 1, internalTokenFile },
    gateway: { host: "127.0.0.1", port, tls: configured },
  };
  try {
    return { ...(await collectStatus(config as unknown as Config, 20_000)), secrets };
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

describe.runIf(HAS_OPENSSL)("what status knows of a gateway that serves HTTPS", () => {
  it.each(["itself", "authority"] as const)("is what it answers, whatever name is in its certificate, signed by %s", async (signed) => {
    const own = await certificate("own", signed);
    expect(await asked(own, own)).toMatchObject({
      gateway: { known: true, value: { accepting: true } },
      control: { known: false, why: "nobody listens there" },
      secrets: ["Bearer the internal token"],
    });
  });

  it("is nothing where another certificate is served, and that one does not get the token", async () => {
    const [own, other] = [await certificate("own", "itself"), await certificate("other", "itself")];
    expect(await asked(other, own)).toMatchObject({
      gateway: { known: false, why: "it serves another certificate than gateway.tls names" },
      secrets: [],
    });
  });
});
