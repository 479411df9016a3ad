import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";

/** The way to a value in tidemark.yaml: keys and list indexes. */
export type ConfigPath = readonly (string | number)[];

/** One thing that is wrong in tidemark.yaml, with its place. */
export interface ConfigProblem {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
  /** JSON Pointer to the value, such as `/stores/orders/nodes/pg1`; empty for the whole file. */
  readonly path: string;
  /** What is wrong, without the place. */
  readonly message: string;
  /** What was expected there. */
  readonly expected: string;
  readonly code: ErrorCode;
}

/** A problem before its line and column are known. `at` says whether the key or its value is meant. */
export interface Finding {
  readonly path: ConfigPath;
  readonly at?: "key" | "value";
  readonly message: string;
  readonly expected: string;
  readonly code: ErrorCode;
}

/** The most problems that are printed; the number of the others is said. */
export const PROBLEMS_SHOWN = 50;

/** A tidemark.yaml with problems, all of them. */
export class ConfigError extends TidemarkError {
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    super(
      "TM-CONFIG-INVALID",
      `read the configuration ${file}: ${problems.length === 1 ? "1 problem" : `${problems.length} problems`}\n${formatProblems(problems)}`,
      {
        details: { file, problems: problems.length },
      },
    );
    this.problems = problems;
  }
}

/** One paragraph for each problem: `file:line:column`, what is wrong, what was expected. */
function formatProblems(problems: readonly ConfigProblem[]): string {
  const shown = problems.slice(0, PROBLEMS_SHOWN).map((problem) => {
    const where = problem.path === "" ? "" : ` at ${problem.path}`;
    return `${problem.file}:${problem.line}:${problem.column}: ${problem.message} (${problem.code}${where})\n  expected: ${problem.expected}`;
  });
  if (problems.length > PROBLEMS_SHOWN) shown.push(`… and ${problems.length - PROBLEMS_SHOWN} more`);
  return shown.join("\n");
}

/** The path as a JSON Pointer (RFC 6901). */
export function toPointer(path: ConfigPath): string {
  return path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** A JSON Pointer as a path; list indexes stay text. */
export function fromPointer(pointer: string): string[] {
  if (pointer === "") return [];
  return pointer
    .slice(1)
    .split("/")
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}
