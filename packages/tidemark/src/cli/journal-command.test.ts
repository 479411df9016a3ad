import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { entry } from "../journal/contract/journal-contract.ts";
import { openJournal } from "../journal/embedded/open-journal.ts";
import { journalConfig, temporaryDirectory } from "../journal/testing/journal-setup.ts";
import { journalCommand } from "./journal-command.ts";
import { makePaint } from "./terminal.ts";

describe("tidemark journal", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let folder: string;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    folder = join(directory.path, "journal");
    const journal = await openJournal({
      config: journalConfig(folder, { segmentBytes: 4_096, quotaBytes: 65_536 }),
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
    for (let i = 1; i <= 20; i++)
      await journal.append([entry(`key-${i}`, i % 2 === 0 ? `{"n":${i},"text":"${"x".repeat(300)}"}` : `not JSON ${i}`)]);
    await journal.close();
  });
  afterEach(() => directory.remove());

  async function run(...args: string[]): Promise<{ out: string[]; code: number }> {
    const out: string[] = [];
    let code = 0;
    const terminal = {
      out: (text: string) => void out.push(text),
      err: () => undefined,
      paint: makePaint(false),
      columns: 100,
      interactive: false,
    };
    await journalCommand({ terminal, end: (given) => (code = given) }).parseAsync(args, { from: "user" });
    return { out, code };
  }

  it("verifies a whole journal with exit code 0", async () => {
    const { out, code } = await run("verify", "--directory", folder);
    expect(code).toBe(0);
    expect(out[0]).toMatch(/✓ journal [0-9a-f-]{36} is whole/);
    expect(out.join("\n")).toContain("20 records, 1 to 20");
  });

  it("verifies a damaged one with exit code 1 and the range", async () => {
    const segment = join(folder, "000000000001.segment");
    const bytes = await readFile(segment);
    bytes[1_100] = (bytes[1_100] ?? 0) ^ 1;
    await writeFile(segment, bytes);
    const text = await run("verify", "--directory", folder);
    expect(text.code).toBe(1);
    expect(text.out.join(" ").replaceAll(/\s+/g, " ")).toContain("records 2 to 2 cannot be read");
    const { out, code } = await run("verify", "--directory", folder, "--json");
    expect(code).toBe(1);
    expect(JSON.parse(out.join("\n"))).toMatchObject({
      whole: false,
      records: 19,
      damage: [{ code: "TM-JOURNAL-DAMAGED", segment: 1, from: "2", upTo: "2" }],
    });
  });

  it("dumps a range and a partition, as lines and as JSON", async () => {
    const lines = (await run("dump", "--directory", folder, "--from", "3", "--to", "4")).out;
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^3 {2}2023-11-14T22:13:20\.000Z {2}p\d\/g1 {2}write {2}"key-3" {2}not JSON 3$/);
    const records = (await run("dump", "--directory", folder, "--json")).out.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(records.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 20 }, (_, i) => String(i + 1)));
    expect(records[1]).toMatchObject({ sequence: "2", kind: "write", key: "key-2", generation: 1, payload: { n: 2 } });
    expect(records[0]).toMatchObject({ payloadBase64: Buffer.from("not JSON 1").toString("base64") });
    const partitions = await Promise.all(
      [0, 1, 2, 3].map(async (partition) => (await run("dump", "--directory", folder, "--partition", String(partition))).out.length),
    );
    expect(partitions.reduce((sum, count) => sum + count, 0)).toBe(20);
  });

  it("says with a code that a folder has no journal", async () => {
    await expect(run("verify", "--directory", directory.path)).rejects.toMatchObject({ code: "TM-JOURNAL-MISSING" });
    await expect(run("dump", "--directory", directory.path)).rejects.toMatchObject({ code: "TM-JOURNAL-MISSING" });
  });
});
