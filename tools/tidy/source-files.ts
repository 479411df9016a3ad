import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

/** The root of the checkout. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

export interface SourceFile {
  /** Path from the root, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** Every text file of the checkout that git tracks or would track, but for the lock file. */
export function trackedFiles(): SourceFile[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  return listed
    .split("\n")
    .filter(
      (path) =>
        path !== "" &&
        path !== "package-lock.json" &&
        /\.(ts|tsx|mjs|json|md|yaml|yml|sql|sh|html|css|txt)$/.test(path) &&
        existsSync(join(root, path)),
    )
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

/** The TypeScript of the packages, without tests. */
export function productSources(files: readonly SourceFile[]): SourceFile[] {
  return files.filter(({ path }) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path) && !isTest(path));
}

/** Tests, their support and their doubles. */
export function isTest(path: string): boolean {
  return (
    /\.(test|e2e|bench)\.ts$/.test(path) ||
    /\/(testing|contract|simulated|testdata|fixtures)\//.test(path) ||
    path.startsWith("packages/simulator/")
  );
}

/** The specifiers that a source imports or re-exports, statically or dynamically. */
export function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
}
