import { readFileSync } from "node:fs";
import { errorCatalogue } from "@tidemark/kernel/error-catalogue";
import type { ErrorEntry } from "@tidemark/kernel/errors";
import { describe, expect, it } from "vitest";
import { ERROR_DOCS_FILE, renderErrorDocs } from "../generate-error-docs.ts";
import { productSources, trackedFiles } from "./source-files.ts";

const entries = Object.entries(errorCatalogue as Readonly<Record<string, ErrorEntry>>);

describe("the error catalogue", () => {
  it("agrees with docs/errors.md (node tools/run.mjs error-docs)", () => {
    expect(readFileSync(ERROR_DOCS_FILE, "utf8")).toBe(renderErrorDocs());
  });

  it("says of every code what it means and what to do, in sentences", () => {
    const wrong = entries.filter(
      ([code, { meaning, hint }]) =>
        !/^TM-[A-Z]+(-[A-Z0-9]+)+$/.test(code) || !/\S+ \S+.*[.!?]$/s.test(meaning) || !/\S+ \S+.*[.!?)`]$/s.test(hint),
    );
    expect(wrong.map(([code]) => code)).toEqual([]);
  });

  it("has each code once: of two areas with the same one the later would win, silently", () => {
    const areas = productSources(trackedFiles()).filter(({ path }) => path.includes("kernel/src/error-codes/"));
    const codes = areas.flatMap(({ text }) => [...text.matchAll(/^ {2}"(TM-[A-Z0-9-]+)": \{/gm)].map((match) => match[1] ?? ""));
    expect(codes.length).toBeGreaterThan(0);
    expect(codes.filter((code, index) => codes.indexOf(code) !== index)).toEqual([]);
    expect(codes.sort()).toEqual(entries.map(([code]) => code).sort());
  });

  it("has no code that nothing throws", () => {
    const text = productSources(trackedFiles())
      .filter(({ path }) => !path.includes("/error-codes/"))
      .map((file) => file.text)
      .join("\n");
    expect(entries.map(([code]) => code).filter((code) => !text.includes(code))).toEqual([]);
  });
});
