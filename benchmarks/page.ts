import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const PAGE = fileURLToPath(new URL("../docs/benchmarks.md", import.meta.url));

/** Puts `text` between two marks of docs/benchmarks.md, in the place of what stood there. Throws when the marks are not there. */
export function putIntoPage(text: string, marks: { readonly begin: string; readonly end: string }): void {
  const page = readFileSync(PAGE, "utf8");
  const [before, rest, ...more] = page.split(marks.begin);
  const after = rest?.split(marks.end)[1];
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`${PAGE} does not have its marks once: ${marks.begin}`);
  writeFileSync(PAGE, `${before}${marks.begin}\n\n${text}\n${marks.end}${after}`);
}
