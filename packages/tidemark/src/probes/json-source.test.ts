import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MOST_ANSWER_BYTES } from "./http-json.ts";
import type { JsonSource } from "./json-source.ts";
import { readJson, runCommand } from "./json-source.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-source-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const never = new AbortController().signal;
const script = (text: string, environment: Record<string, string> = {}): JsonSource & { kind: "command" } => ({
  kind: "command",
  command: ["/bin/sh", "-c", text],
  environment,
});

describe("a command as a source", () => {
  it("gets its arguments as they are: no shell reads them", async () => {
    const odd = '"; echo $HOME; `id`';
    expect(await readJson({ kind: "command", command: ["/usr/bin/printf", '["%s"]', "$HOME;`id`"] }, { signal: never })).toEqual([
      "$HOME;`id`",
    ]);
    expect(await runCommand({ kind: "command", command: ["/usr/bin/printf", "%s", odd] }, never)).toEqual({ exitCode: 0, output: odd });
  });

  it("sees of the environment PATH and what it is given, and nothing else", async () => {
    process.env["TIDEMARK_TEST_SECRET"] = "s3cret";
    try {
      const { output } = await runCommand({ kind: "command", command: ["/usr/bin/env"], environment: { GIVEN: "yes" } }, never);
      expect(
        output
          .trim()
          .split("\n")
          .map((line) => line.split("=")[0])
          .toSorted((a, b) => String(a).localeCompare(String(b))),
      ).toEqual(["GIVEN", "LC_ALL", "PATH"]);
    } finally {
      delete process.env["TIDEMARK_TEST_SECRET"];
    }
  });

  it("that fails shows its code, and nothing that it wrote", async () => {
    const fault = await readJson(script('echo "password=s3cret" >&2; echo s3cret; exit 3'), { signal: never }).catch(
      (error: Error) => error,
    );
    expect(fault).toMatchObject({ code: "TM-PROBE-FAILED" });
    expect(String(fault)).toContain("code 3");
    expect(String(fault)).not.toContain("s3cret");
    expect(await readJson(script("echo 4; exit 3"), { signal: never, anyExitCode: true })).toBe(4);
  });

  it("that is not there, that is ended, that says no JSON or never stops talking is a fault of the target", async () => {
    await expect(readJson({ kind: "command", command: [join(folder, "none")] }, { signal: never })).rejects.toMatchObject({
      code: "TM-PROBE-AWAY",
    });
    await expect(readJson(script("kill -9 $$"), { signal: never })).rejects.toMatchObject({ code: "TM-PROBE-FAILED" });
    await expect(readJson(script("echo s3cret"), { signal: never })).rejects.toMatchObject({ code: "TM-PROBE-GARBAGE" });
    await expect(readJson(script("exec yes"), { signal: never })).rejects.toMatchObject({ code: "TM-PROBE-GARBAGE" });
  });

  it("that is given up is killed with what it started", async () => {
    const giveUp = new AbortController();
    const pids = join(folder, "pids");
    const asked = readJson(script(`sleep 600 & echo $! $$ > ${pids}.new; mv ${pids}.new ${pids}; wait`), { signal: giveUp.signal });
    await expect.poll(() => readFile(pids, "utf8").catch(() => ""), { timeout: 5_000 }).not.toBe("");
    giveUp.abort();
    await expect(asked).rejects.toMatchObject({ code: "TM-PROBE-SLOW" });
    for (const pid of (await readFile(pids, "utf8")).trim().split(" ")) await expect.poll(() => isRunning(Number(pid))).toBe(false);
    await expect(readJson(script("echo 1"), { signal: giveUp.signal })).rejects.toMatchObject({ code: "TM-PROBE-SLOW" });
  });
});

describe("a file as a source", () => {
  it("is read, and is a fault of the target when it is missing, too long or no JSON", async () => {
    const path = join(folder, "answer.json");
    await expect(readJson({ kind: "file", path }, { signal: never })).rejects.toMatchObject({ code: "TM-PROBE-AWAY" });
    await writeFile(path, '{"a":1}');
    expect(await readJson({ kind: "file", path }, { signal: never })).toEqual({ a: 1 });
    await writeFile(path, '{"a":');
    await expect(readJson({ kind: "file", path }, { signal: never })).rejects.toMatchObject({ code: "TM-PROBE-GARBAGE" });
    await truncate(path, MOST_ANSWER_BYTES + 1);
    await expect(readJson({ kind: "file", path }, { signal: never })).rejects.toMatchObject({ code: "TM-PROBE-GARBAGE" });
  });
});

/** A zombie that nobody has waited for yet is not running. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/\) Z /.test(stat);
}
