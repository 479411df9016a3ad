import { TidemarkError, type Retry } from "@tidemark/kernel/errors";
import { ConfigError } from "../config/config-problem.ts";
import { EXIT } from "../platform/exit-codes.ts";
import { wrap, type Terminal } from "./terminal.ts";

const RETRY_WORDS: Readonly<Record<Retry, string>> = {
  never: "The same attempt will fail again.",
  later: "The same attempt may succeed later.",
  unknown: "It may have taken effect; repeat only what is idempotent.",
};

/** What is asked for does not run, cannot be reached, or runs already. */
const UNAVAILABLE: ReadonlySet<string> = new Set(["TM-PLATFORM-NOT-UP", "TM-PLATFORM-ALREADY-UP", "TM-PLATFORM-CONTROL-AWAY"]);

/** The most causes behind an error that are shown. */
const CAUSES_SHOWN = 4;

/**
 * Shows an error: what was attempted and what happened, the code, whether to try again, a hint. A stack trace stands in
 * it only with TIDEMARK_DEBUG=1. Answers the exit code.
 */
export function printError(error: unknown, terminal: Terminal, env: NodeJS.ProcessEnv = process.env): number {
  const { paint, columns, err } = terminal;
  if (error instanceof TidemarkError) {
    const [what, ...details] = error.message.split("\n");
    err(`${paint.bad("error:")} ${wrap(what ?? "", columns - 7, "  ")}`);
    // Lines of a log or of the configuration have a form of their own.
    for (const line of details) err(/^ {2}\S/.test(line) ? wrap(line, columns, "  ") : line);
    for (const cause of causesOf(error)) err(paint.dim(`  ${wrap(`because: ${cause}`, columns - 2, "    ")}`));
    err(`  ${paint.dim("code:")}  ${error.code}`);
    err(`  ${paint.dim("retry:")} ${wrap(RETRY_WORDS[error.retry], columns - 9, "         ")}`);
    err(`  ${paint.dim("hint:")}  ${wrap(error.hint, columns - 9, "         ")}`);
  } else {
    const message = error instanceof Error ? error.message : String(error);
    err(`${paint.bad("error:")} ${wrap(`unexpected: ${message}`, columns - 7, "  ")}`);
    err(
      `  ${paint.dim("hint:")}  ${wrap("This is probably a bug of Tidemark. TIDEMARK_DEBUG=1 shows where it happened.", columns - 9, "         ")}`,
    );
  }
  if (env["TIDEMARK_DEBUG"] === "1" && error instanceof Error) err(paint.dim(error.stack ?? ""));
  return exitCodeOf(error);
}

/** The exit code for an error that ended a command. */
function exitCodeOf(error: unknown): number {
  if (!(error instanceof TidemarkError)) return EXIT.failed;
  if (error instanceof ConfigError || error.code.startsWith("TM-CONFIG-")) return EXIT.configuration;
  if (UNAVAILABLE.has(error.code)) return EXIT.unavailable;
  if (error.code === "TM-PLATFORM-ROLE-STOPPED") return EXIT.failStop;
  if (error.code === "TM-PLATFORM-ROLE-UNKNOWN") return EXIT.usage;
  return error.retry === "later" ? EXIT.temporary : EXIT.failed;
}

/** What is behind an error; not what was said already, and not that `fetch failed` where its own cause says why. */
function causesOf(error: Error): string[] {
  const causes: string[] = [];
  let cause = error.cause;
  while (cause instanceof Error && causes.length < CAUSES_SHOWN) {
    const words = cause.message.split("\n")[0] ?? "";
    const isEmpty = words === "" || (words === "fetch failed" && cause.cause instanceof Error);
    if (!isEmpty && ![error.message, ...causes].some((said) => said.includes(words))) causes.push(words);
    cause = cause.cause;
  }
  return causes;
}
