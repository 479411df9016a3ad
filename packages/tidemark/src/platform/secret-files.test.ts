import { execFile } from "node:child_process";
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readOrCreateSecret, readSecret } from "./secret-files.ts";

describe("secret files", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidemark-secret-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it("makes a secret that only its owner can read, and keeps it", async () => {
    const file = join(folder, "a", "b", "store.password");
    const first = await readOrCreateSecret(file);
    expect(first.reveal()).toMatch(/^[\w-]{43}$/);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await readOrCreateSecret(file)).reveal()).toBe(first.reveal());
    expect(await readdir(join(folder, "a", "b"))).toEqual(["store.password"]);
  });

  it("gives every process the same secret when many ask for a new one at once", async () => {
    const file = join(folder, "token");
    const module_ = new URL("./secret-files.ts", import.meta.url).href;
    const script = `import(${JSON.stringify(module_)}).then(async (m) => { const all = await Promise.all(Array.from({ length: 8 }, () => m.readOrCreateSecret(process.argv[1]))); process.stdout.write(all.map((s) => s.reveal()).join("\\n")); })`;
    const run = promisify(execFile);
    const answers = await Promise.all(
      Array.from({ length: 4 }, () =>
        run(process.execPath, ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", "-e", script, file]),
      ),
    );
    const secrets = answers.flatMap((answer) => answer.stdout.split("\n"));
    expect(secrets).toHaveLength(32);
    expect(new Set(secrets).size).toBe(1);
    expect(await readdir(folder)).toEqual(["token"]);
  });

  it("does not show itself in text, JSON or a log", async () => {
    const secret = await readOrCreateSecret(join(folder, "token"));
    expect(`${String(secret)} ${JSON.stringify({ secret })}`).not.toContain(secret.reveal());
  });

  it("refuses a file that everybody can read, an empty one and one that is too long", async () => {
    const file = join(folder, "token");
    await writeFile(file, "known\n", { mode: 0o644 });
    await chmod(file, 0o644);
    await expect(readOrCreateSecret(file)).rejects.toMatchObject({ code: "TM-PLATFORM-SECRET" });
    await chmod(file, 0o600);
    expect((await readOrCreateSecret(file)).reveal()).toBe("known");
    await writeFile(file, " \n");
    await expect(readOrCreateSecret(file)).rejects.toMatchObject({ code: "TM-PLATFORM-SECRET" });
    await writeFile(file, "x".repeat(5_000));
    await expect(readOrCreateSecret(file)).rejects.toMatchObject({ code: "TM-PLATFORM-SECRET" });
  });

  it("says undefined of a file that is not there", async () => {
    expect(await readSecret(join(folder, "none"))).toBeUndefined();
  });
});
