// kill -9 at every step of putting a damaged segment in its place again; then the next process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ArchiveBench, segmentBytes } from "./testing/archive-bench.ts";
import { flipped } from "./testing/faulty-store.ts";

const SEGMENTS = 3;
const DAMAGED = 1;
const PROCESS = fileURLToPath(new URL("testing/repair-process.ts", import.meta.url));
const RIGHT = segmentBytes(1, DAMAGED);
const WRONG = flipped(RIGHT, 300);

let bench: ArchiveBench;
beforeEach(async () => {
  bench = await ArchiveBench.make();
  await bench.seal(1, 0, SEGMENTS);
  const archived = await runProcess("never");
  expect(archived.out, archived.errors).toBe("whole\n");
  await writeFile(bench.sealedPath(1, DAMAGED), WRONG);
});
afterEach(async () => {
  await bench.clear();
});

async function runProcess(dieAt: string): Promise<{ signal: string | null; out: string; errors: string }> {
  const flags = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"];
  const child = spawn(process.execPath, [...flags, PROCESS, bench.root, String(SEGMENTS), dieAt], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, errors] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
  const [, signal] = (await once(child, "close")) as [number | null, string | null];
  return { signal, out, errors };
}

/** Files below the vault's folder, as paths from there. */
async function files(): Promise<string[]> {
  const all = await readdir(bench.folder.directory, { recursive: true, withFileTypes: true });
  return all.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe("a repair that is killed", () => {
  it.each(["repairing", "linked", "kept", "written", "replaced", "repaired"])(
    "at step %s leaves one of the two under the segment's name, and the next process ends the work and takes away what is left over",
    async (step) => {
      const killed = await runProcess(step);
      expect(killed.signal, killed.errors).toBe("SIGKILL");
      const between = await readFile(bench.sealedPath(1, DAMAGED));
      expect(between.equals(["replaced", "repaired"].includes(step) ? RIGHT : WRONG)).toBe(true);
      // The process was really killed where it says: what it was writing is still there.
      expect((await files()).some((path) => path.endsWith(".repair"))).toBe(step === "written");
      const next = await runProcess("never");
      expect(next.out, next.errors).toBe("whole\n");
      expect((await readFile(bench.sealedPath(1, DAMAGED))).equals(RIGHT)).toBe(true);
      const after = await files();
      expect(after.filter((path) => path.endsWith(".repair"))).toEqual([]);
      const evidence = after.filter((path) => path.startsWith(bench.folder.diverged) && !path.endsWith(".json"));
      expect(evidence.length).toBeGreaterThan(0);
      for (const path of evidence) expect((await readFile(path)).equals(WRONG)).toBe(true);
      expect(after.some((path) => path.startsWith(bench.folder.diverged) && path.endsWith("evidence.json"))).toBe(true);
    },
  );
});
