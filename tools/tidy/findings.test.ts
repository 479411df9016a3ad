// Every finding has a file, a page, a line in a list, and a test that shows it on a real PostgreSQL and is silent about its healthy twin.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FINDING_RULES } from "../../packages/tidemark/src/check/finding-rules.ts";
import { DOCTOR_RULES } from "../../packages/tidemark/src/doctor/doctor-rules.ts";
import { root, trackedFiles } from "./source-files.ts";

const SOURCES = "packages/tidemark/src";
const TABLES = [
  { rules: FINDING_RULES, folder: "check", list: "docs/check.md" },
  { rules: DOCTOR_RULES, folder: "doctor", list: "docs/doctor.md" },
] as const;
const ALL = TABLES.flatMap(({ rules, folder, list }) =>
  rules.map(({ name, code, severity, title }) => ({ name, code, severity, title, folder, list })),
);

const text = (path: string): string => readFileSync(join(root, path), "utf8");
const namesIn = (path: string): string[] => readdirSync(join(root, path)).map((name) => name.replace(/\.(ts|md)$/, ""));

/** Each test against a real server, by itself. */
const tests = trackedFiles()
  .filter(({ path }) => /\/(check|doctor)\/[^/]+\.pg\.test\.ts$/.test(path))
  .flatMap(({ text: source }) => source.split(/^ *it(?:\.\w+\([^)]*\))?\(/m).slice(1));

/** The findings that a test says must be there, and those that it says must not. */
function expectations(test: string): { present: Set<string>; absent: Set<string> } {
  const absent = new Set(
    [...test.matchAll(/not\.toContain\("([a-z-]+)[" ]/g), ...test.matchAll(/!\(await [^)]+\)+\.includes\("([a-z-]+)"\)/g)].map(
      (match) => match[1] ?? "",
    ),
  );
  const lists = [...test.matchAll(/const names = \[([^\]]+)\]/g)].flatMap((match) =>
    [...(match[1] ?? "").matchAll(/"([a-z-]+)"/g)].map((one) => one[1] ?? ""),
  );
  if (/names\.includes\(name\)\)\)\.toEqual\(\[\]\)/.test(test)) for (const name of lists) absent.add(name);
  for (const line of test.split("\n").filter((one) => one.includes(".toEqual([])"))) {
    for (const match of line.matchAll(/startsWith\("([a-z-]+)"\)/g))
      for (const { name } of ALL) if (name.startsWith(match[1] ?? "")) absent.add(name);
    for (const match of line.matchAll(/name === "([a-z-]+)"/g)) absent.add(match[1] ?? "");
  }
  const positive = test.replaceAll(/not\.toContain\([^)]*\)|!\(await [^)]+\)+\.includes\([^)]*\)/g, "");
  const present = new Set(ALL.map(({ name }) => name).filter((name) => positive.includes(`"${name}"`) || positive.includes(`"${name} `)));
  return { present, absent };
}

describe("findings", () => {
  it("have names and codes of their own", () => {
    expect(new Set(ALL.map(({ name }) => name)).size).toBe(ALL.length);
    expect(ALL.filter(({ name, code }) => code !== `TM-FINDING-${name.toUpperCase()}`)).toEqual([]);
  });

  it("have one file and one page of the same name for each rule, and none is left over", () => {
    for (const { rules, folder } of TABLES)
      expect(namesIn(`${SOURCES}/${folder}/findings`).toSorted()).toEqual(rules.map(({ name }) => name).toSorted());
    expect(namesIn("docs/findings").toSorted()).toEqual(ALL.map(({ name }) => name).toSorted());
  });

  it.each(ALL)("$name has a page with its title, code and severity, and stands in $list", ({ name, code, severity, title, list }) => {
    const page = text(`docs/findings/${name}.md`);
    expect(page.startsWith(`# ${title}\n\n\`${code}\` · ${severity}\n`)).toBe(true);
    expect(page).toMatch(/\n## How it is seen\n[^]+\n## What to do\n/);
    expect(text(list)).toContain(`| [${name}](findings/${name}.md) | ${severity} | ${title} |`);
  });

  it.each(ALL)("$name is shown by a real server, and its healthy twin is not accused", ({ name }) => {
    const all = tests.map(expectations);
    expect(
      all.some(({ present }) => present.has(name)),
      "no test shows it",
    ).toBe(true);
    expect(
      all.some(({ absent }) => absent.has(name)),
      "no test is silent about its twin",
    ).toBe(true);
  });
});
