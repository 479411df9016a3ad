import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const schema = JSON.parse(
  readFileSync(new URL("../../packages/tidemark/schema/tidemark.schema.json", import.meta.url), "utf8"),
) as SchemaPart;
const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");

interface SchemaPart {
  readonly description?: string;
  readonly title?: string;
  readonly $ref?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaPart>>;
  readonly [keyword: string]: unknown;
}

/** Every property of the schema with the way to it. */
function properties(part: SchemaPart, way: string): { way: string; key: string; part: SchemaPart }[] {
  const own = Object.entries(part.properties ?? {}).flatMap(([key, child]) => [
    { way: `${way}/${key}`, key, part: child },
    ...properties(child, `${way}/${key}`),
  ]);
  const others = Object.entries(part).flatMap(([keyword, child]) =>
    ["properties", "examples", "default", "enum"].includes(keyword) || typeof child !== "object" || child === null || Array.isArray(child)
      ? []
      : keyword === "$defs"
        ? Object.entries(child as Record<string, SchemaPart>).flatMap(([name, definition]) => properties(definition, name))
        : properties(child as SchemaPart, way),
  );
  return [...own, ...others];
}

const all = properties(schema, "");

describe("the configuration's schema", () => {
  it("has every key documented in docs/configuration.md", () => {
    expect(all.length).toBeGreaterThan(70);
    expect(all.filter(({ key }) => !page.includes(`\`${key}\``)).map(({ way }) => way)).toEqual([]);
  });

  it("describes every key for editors, or points to what does", () => {
    expect(all.filter(({ part }) => part.description === undefined && part.$ref === undefined).map(({ way }) => way)).toEqual([]);
  });

  it("states the same defaults as the page", () => {
    const stated = all.filter(({ part }) => part.default !== undefined);
    expect(stated.length).toBeGreaterThan(20);
    const wrong = stated.filter(
      ({ key, part }) =>
        !page.split("\n").some((line) => line.startsWith(`| \`${key}\` |`) && line.trimEnd().endsWith(`| \`${String(part.default)}\` |`)),
    );
    expect(wrong.map(({ way, part }) => `${way}: ${String(part.default)}`)).toEqual([]);
  });
});
