// Golden timelines: what is pending, firing, told and over at which second.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { JudgementScript } from "./testing/judgement-script.ts";

const folder = fileURLToPath(new URL("testdata/", import.meta.url));
const place = mkdtempSync(join(tmpdir(), "tidemark-judgement-"));

afterAll(() => rmSync(place, { recursive: true, force: true }));

describe.each(readdirSync(folder).filter((name) => name.endsWith(".script.txt")))("the timeline %s", (name) => {
  it("is judged as its golden output says", async () => {
    const script = new JudgementScript(join(place, `${name}.sqlite`));
    await script.run(readFileSync(join(folder, name), "utf8"));
    const golden = join(folder, `${basename(name, ".script.txt")}.golden.txt`);
    const output = `${script.lines.join("\n")}\n`;
    if (process.env["TIDEMARK_UPDATE_GOLDEN"] === "1") writeFileSync(golden, output);
    expect(output).toBe(readFileSync(golden, "utf8"));
  });
});
