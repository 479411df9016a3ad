import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { CLIENT_CODES, DEFAULT_LIMITS } from "./client.ts";
import { FakeGateway } from "./testing/fake-gateway.ts";

const PAGE = readFileSync(fileURLToPath(new URL("../../../docs/sdk.md", import.meta.url)), "utf8");
const SOURCE = new URL("./client.ts", import.meta.url).href;
const EXAMPLES = [...PAGE.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1] ?? "");

describe("docs/sdk.md", () => {
  test("has examples", () => expect(EXAMPLES.length).toBeGreaterThanOrEqual(4));

  test.each(EXAMPLES.map((code, index) => ({ index: index + 1, code })))("example $index runs as it stands", async ({ code }) => {
    const gateway = new FakeGateway();
    const folder = mkdtempSync(join(tmpdir(), "tidemark-sdk-page-"));
    try {
      const url = await gateway.listen();
      writeFileSync(
        join(folder, "example.mts"),
        code.replace('"@tidemark/client"', JSON.stringify(SOURCE)).replace("http://127.0.0.1:7400", url),
      );
      const child = spawn(process.execPath, [join(folder, "example.mts")], {
        env: { TIDEMARK_TOKEN: "t", NODE_OPTIONS: "--disable-warning=ExperimentalWarning" },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let errors = "";
      child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
      const exitCode = await new Promise((resolve) => child.once("close", resolve));
      expect({ code: exitCode, errors }).toEqual({ code: 0, errors: "" });
      expect(gateway.accepted.length).toBeGreaterThan(0);
    } finally {
      await gateway.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("lists every code of the client with its meaning", () => {
    for (const [code, { meaning }] of Object.entries(CLIENT_CODES)) expect(PAGE).toContain(`| \`${code}\` | ${meaning} |`);
  });

  test("states every limit with its default", () => {
    for (const name of Object.keys(DEFAULT_LIMITS)) expect(PAGE).toContain(`limits.${name}`);
    expect(PAGE).toContain(`${DEFAULT_LIMITS.requests} requests in flight`);
    expect(PAGE).toContain(`${DEFAULT_LIMITS.batchWrites} writes, ${DEFAULT_LIMITS.batchBytes / 1_024} KiB`);
    expect(PAGE).toContain(`${DEFAULT_LIMITS.queuedWrites.toLocaleString("en")} writes, ${DEFAULT_LIMITS.queuedBytes / 1_048_576} MiB`);
    expect(PAGE).toContain(`${DEFAULT_LIMITS.waits} connections`);
  });
});
