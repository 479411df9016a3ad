#!/usr/bin/env node
// The launcher: plain JavaScript that Node 20 can run. It starts the real program under Node 24, forwards signals and
// ends as the program ends.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findNode, runtimeEnvironment } from "./node-runtime.mjs";

const built = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const source = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const fromSource = existsSync(source);
let node;
try {
  node = findNode();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(69);
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
  process.exit(69);
});
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) process.removeAllListeners(name);
  process.kill(process.pid, signal);
});
