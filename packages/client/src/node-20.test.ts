import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { FakeGateway } from "./testing/fake-gateway.ts";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
const TSC = fileURLToPath(new URL("../../../node_modules/typescript/bin/tsc", import.meta.url));
/** The oldest major version that the package promises to run on. */
const OLDEST_MAJOR = 20;

/** The oldest Node.js on the PATH that the package still promises to run on. */
function oldestNode(): string {
  const found = (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "node"))
    .filter((path) => existsSync(path))
    .map((path) => ({ path, major: Number(/^v(\d+)/.exec(spawnSync(path, ["--version"], { encoding: "utf8" }).stdout)?.[1] ?? 0) }))
    .filter(({ major }) => major >= OLDEST_MAJOR)
    .sort((left, right) => left.major - right.major);
  return found[0]?.path ?? process.execPath;
}

test(
  "the built package works as plain JavaScript on the oldest Node.js of this machine, without the server",
  { timeout: 60_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "tidemark-client-"));
    const gateway = new FakeGateway();
    try {
      const built = spawnSync(
        process.execPath,
        [TSC, "-p", PACKAGE, "--outDir", join(folder, "dist"), "--tsBuildInfoFile", join(folder, "info")],
        { encoding: "utf8" },
      );
      expect(built.stdout + built.stderr).toBe("");
      writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
      writeFileSync(
        join(folder, "program.js"),
        `import { TidemarkClient } from "./dist/client.js";
       const client = new TidemarkClient({ url: process.argv[2], token: "t" });
       const receipts = await Promise.all(Array.from({ length: 50 }, (_, n) => client.write("place-order", { n }, { key: "k" + (n % 3) })));
       const status = await receipts[7].applied();
       await client.close();
       console.log(receipts.length, status.status);`,
      );
      gateway.script(({ response }) => void response.destroy());
      const { stdout } = await promisify(execFile)(oldestNode(), [join(folder, "program.js"), await gateway.listen()], { env: {} });
      expect(stdout.trim()).toBe("50 applied");
    } finally {
      await gateway.close();
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test("the package depends on nothing", () => {
  const manifest = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8")) as Record<string, unknown>;
  for (const kind of ["dependencies", "peerDependencies", "optionalDependencies"]) expect(manifest[kind]).toBeUndefined();
});
