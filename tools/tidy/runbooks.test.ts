// Every alert rule has a page that says what to do, and every page a rule.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RULES } from "../../packages/tidemark/src/alerts/rule-table.ts";
import { root } from "./source-files.ts";

const RULES_FOLDER = join(root, "packages/tidemark/src/alerts/rules");
const PAGES_FOLDER = join(root, "docs/runbooks");
const SECTIONS = ["What it means", "At risk now", "Look here", "Do this", "When it is over"];

/** Files of the folder that are no rule. */
const BESIDE = new Set(["rule.ts", "burn-rate-verdict.ts", "rules.test.ts"]);

const names = RULES.map(({ name }) => name).toSorted();

describe("alert rules and runbooks", () => {
  it("have one file and one page of the same name for each rule", () => {
    const files = readdirSync(RULES_FOLDER)
      .filter((name) => !BESIDE.has(name))
      .map((name) => name.replace(/\.ts$/, ""));
    const pages = readdirSync(PAGES_FOLDER).map((name) => name.replace(/\.md$/, ""));
    expect(files.toSorted()).toEqual(names);
    expect(pages.toSorted()).toEqual(names);
  });

  it.each(RULES.map((rule) => [rule.name, rule] as const))(
    "%s has a page with its severity, when it fires, and every section with words in it",
    (name, rule) => {
      const page = readFileSync(join(PAGES_FOLDER, `${name}.md`), "utf8");
      expect(page).toMatch(new RegExp(`^# ${name}\n\n\\*\\*${rule.severity}\\*\\*\\. Fires `));
      const sections = page.split(/^## /m).slice(1);
      expect(sections.map((section) => section.split("\n")[0])).toEqual(SECTIONS);
      for (const section of sections) expect(section.split("\n").slice(1).join(" ").trim().length).toBeGreaterThan(40);
    },
  );

  it("stand in the list of docs/alerts.md with their severity", () => {
    const list = readFileSync(join(root, "docs/alerts.md"), "utf8");
    const rows = [...list.matchAll(/^\| \[([a-z0-9-]+)\]\(runbooks\/\1\.md\) \| (page|ticket) \|/gm)].map(
      (match) => `${match[1]} ${match[2]}`,
    );
    expect(rows.toSorted()).toEqual(RULES.map(({ name, severity }) => `${name} ${severity}`).toSorted());
  });
});
