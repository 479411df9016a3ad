#!/usr/bin/env node
// The launcher: plain JavaScript that Node 20 can run. It starts the real program under Node 24, forwards signals and
// ends as the program ends.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findNode, runtimeEnvironment } from "./node-runtime.mjs";

/** PostgreSQL takes 1 to 125 from restore_command for "the WAL ends here" and opens the database: docs/wal-archiving.md, "Exit codes". */
const restoring = process.argv.includes("wal") && process.argv.includes("fetch");
const SURE_END = 99;
const UNEXPECTED = 255;

/** Ends with `code`; of `wal fetch` only 0, the sure end, and what stops PostgreSQL go out: Node breaks down with small numbers. */
function end(code) {
  if (!restoring || code === 0 || code >= 128) process.exit(code);
  process.exit(code === SURE_END ? 1 : UNEXPECTED);
}

const built = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const source = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const fromSource = existsSync(source);
let node;
try {
  node = findNode();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  end(69);
}
const args = fromSource
  ? ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", source]
  : ["--disable-warning=ExperimentalWarning", built];
const child = spawn(node, [...args, ...process.argv.slice(2)], { stdio: "inherit", env: runtimeEnvironment() });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) {
  // A terminal sends Ctrl-C to the whole group, so the program has had it already; forwarding it twice would force its exit.
  process.on(signal, () => {
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on("error", (error) => {
  process.stderr.write(`tidemark: cannot start ${node}: ${error.message}\n`);
  end(69);
});
child.on("exit", (code, signal) => {
  if (signal === null) end(code ?? 1);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) process.removeAllListeners(name);
  process.kill(process.pid, signal);
});
