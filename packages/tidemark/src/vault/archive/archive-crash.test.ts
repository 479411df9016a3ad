// kill -9 at every step around storing, reading again, cataloguing, expiring and removing; then the next process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseLsn } from "@tidemark/kernel/lsn";
import { openFolderStore } from "../../object-stores/folder-store.ts";
import { storeWorld } from "../../object-stores/testing/store-world.ts";
import { localRing } from "../sealing/testing/local-keys.ts";
import { unsealObject } from "../sealing/sealed-object.ts";
import { ArchiveBench, SEGMENT_BYTES, keySpace, segmentBytes } from "./testing/archive-bench.ts";

const SEGMENTS = 6;
const PROCESS = fileURLToPath(new URL("testing/archive-process.ts", import.meta.url));

let bench: ArchiveBench;
beforeEach(async () => {
  bench = await ArchiveBench.make();
  await bench.seal(1, 0, SEGMENTS);
  await bench.grow(1, SEGMENTS * SEGMENT_BYTES + 700);
});
afterEach(async () => {
  await bench.clear();
});

async function runProcess(dieAt: string, times: number): Promise<{ signal: string | null; lines: string[]; errors: string }> {
  const flags = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning"];
  const child = spawn(process.execPath, [...flags, PROCESS, bench.root, String(SEGMENTS), dieAt, String(times)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let errors = "";
  child.stdout.on("data", (data: Buffer) => (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
  const [, signal] = (await once(child, "close")) as [number | null, string | null];
  return { signal, lines: out.trimEnd().split("\n"), errors };
}

/** What the store holds under its names, opened: segments and the growing one, each whole and right, or none. */
async function stored(): Promise<{ whole: number[]; partial: number[] }> {
  const store = await openFolderStore({ kind: "folder", directory: bench.path("store") }, storeWorld());
  const [whole, partial]: [number[], number[]] = [[], []];
  for await (const { key } of store.list(keySpace.root)) {
    const parsed = keySpace.parse(key);
    if (parsed === undefined || parsed.kind === "evidence" || parsed.kind === "history") throw new Error(`what is ${key}?`);
    const { raw } = await unsealObject(await store.get(key), { keys: localRing(1) });
    const segment = Number(parsed.start) / SEGMENT_BYTES;
    expect(Buffer.from(raw).equals(segmentBytes(1, segment).subarray(0, raw.length)), key).toBe(true);
    (parsed.kind === "segment" ? whole : partial).push(segment);
  }
  await store.close();
  return { whole: whole.sort((a, b) => a - b), partial };
}

const STEPS: readonly (readonly [step: string, times: number])[] = [
  ["seal", 1],
  ["seal", 3],
  ["put", 1],
  ["put", 4],
  ["stored", 1],
  ["stored", 3],
  ["stored", SEGMENTS + 1],
  ["read", 1],
  ["read", 4],
  ["catalogued", 1],
  ["catalogued", 5],
  ["catalogued", SEGMENTS + 1],
  ["listed", 1],
  ["removing", 1],
  ["removing", 2],
  ["removed", 1],
  ["removed", 3],
];

describe("an archive that is killed", () => {
  it.each(STEPS)(
    "at step %s number %i has no hole, claimed nothing that is not there, and the next process ends the work",
    async (step, times) => {
      const killed = await runProcess(step, times);
      expect(killed.signal, killed.errors).toBe("SIGKILL");
      const there = await stored();
      // It may end early, never have a hole: what is there is the beginning.
      expect(there.whole).toEqual(there.whole.map((_, index) => index));
      const claims = killed.lines.flatMap((line) => /^claims \S+ (\S+)$/.exec(line)?.[1] ?? []);
      const claimed = claims.reduce((most, text) => (parseLsn(text) > most ? parseLsn(text) : most), 0n);
      expect(BigInt(there.whole.length + (there.partial.length > 0 ? 1 : 0)) * BigInt(SEGMENT_BYTES)).toBeGreaterThanOrEqual(claimed);
      // What is archived nowhere is still here.
      for (let segment = there.whole.length; segment < SEGMENTS; segment++) {
        expect((await readFile(bench.sealedPath(1, segment))).equals(segmentBytes(1, segment))).toBe(true);
      }
      const next = await runProcess("never", 0);
      expect(next.lines.at(-1), next.errors).toBe("settled");
      const after = await stored();
      expect(after.whole).toEqual(Array.from({ length: SEGMENTS }, (_, index) => index));
      expect(after.partial).toEqual([SEGMENTS]);
      expect(next.lines.at(-2)).toBe("claims 0/0 0/602BC");
    },
  );
});
