// The launcher as PostgreSQL starts it: what it ends with decides whether a recovery ends or stops (trap 33).
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const LAUNCHER = fileURLToPath(new URL("../../bin/tidemark.mjs", import.meta.url));

let folder: string;
let server: Server | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-launcher-"));
  await writeFile(join(folder, "token"), "secret\n", { mode: 0o600 });
});

afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function vault(listener: RequestListener): Promise<string[]> {
  server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return ["--url", `127.0.0.1:${(server.address() as AddressInfo).port}`, "--token-file", join(folder, "token"), "--patience", "0"];
}

async function fetchEnds(args: string[], env: NodeJS.ProcessEnv = {}): Promise<number | string | null> {
  const child = spawn(process.execPath, [LAUNCHER, "wal", "fetch", ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: "ignore",
  });
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  return code ?? signal;
}

const SEGMENT = "000000010000000000000001";

function problem(status: number, code: string): RequestListener {
  return (_request, response) =>
    void response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify({ code, detail: "so it is" }));
}

test("only the sure end of the WAL ends with 1", async () => {
  expect(await fetchEnds([SEGMENT, "out", ...(await vault(problem(404, "TM-VAULT-END-OF-WAL")))])).toBe(1);
});

test("a 404 of something that is no vault is not the end", async () => {
  expect(await fetchEnds([SEGMENT, "out", ...(await vault((_request, response) => void response.writeHead(404).end("no")))])).toBe(200);
});

test("an answer of 200 without its checksum is not a file", async () => {
  expect(await fetchEnds([SEGMENT, "out", ...(await vault((_request, response) => void response.end("hello")))])).toBe(200);
});

test("an answer that is cut is not a file", async () => {
  const listener: RequestListener = (_request, response) => {
    response.writeHead(200, { "content-length": 100, "tidemark-wal-sha256": "00" });
    response.write("half", () => response.destroy());
  };
  expect(await fetchEnds([SEGMENT, "out", ...(await vault(listener))])).toBe(200);
});

test("bytes that changed on the way are damage", async () => {
  const listener: RequestListener = (_request, response) => {
    response.writeHead(200, { "tidemark-wal-sha256": "00".repeat(32), "tidemark-wal-complete": "true" }).end("bytes");
  };
  expect(await fetchEnds([SEGMENT, "out", ...(await vault(listener))])).toBe(202);
});

test("wrong use stops PostgreSQL as well", async () => {
  expect(await fetchEnds([])).toBe(206);
  expect(await fetchEnds([SEGMENT, "out", "--no-such-option"])).toBe(206);
  expect(await fetchEnds([SEGMENT, "out", "--config", join(folder, "absent.yaml")])).toBe(206);
});

test("a program that breaks down stops PostgreSQL: Node ends with 1, which would mean the end", async () => {
  const broken = join(folder, "broken.cjs");
  await writeFile(broken, `if (process.argv[1].endsWith("main.ts") || process.argv[1].endsWith("main.js")) process.exit(1);`);
  expect(await fetchEnds([SEGMENT, "out"], { NODE_OPTIONS: `--require=${broken}` })).toBe(255);
  const thrown = join(folder, "thrown.cjs");
  await writeFile(thrown, `if (/main\\.[tj]s$/.test(process.argv[1])) setTimeout(() => { throw new Error("a bug"); }, 0);`);
  expect(await fetchEnds([SEGMENT, "out"], { NODE_OPTIONS: `--require=${thrown}` })).toBe(255);
});
