// Finds a Node.js that can run Tidemark. Valid on Node 20, because it runs before the right one is found.
//
// Tidemark needs Node 24 (type stripping, node:sqlite). The running Node serves when it is new enough; otherwise the
// binary package of this platform, an optional dependency locked by package-lock.json, is used. `.bin/node` is never
// relied upon: npm does not link it when a second platform is listed.
import { createRequire } from "node:module";
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** Oldest major version of Node.js that runs the TypeScript sources and has node:sqlite. */
export const OLDEST_NODE_MAJOR = 24;

/** @returns {string} path of a Node.js binary of at least {@link OLDEST_NODE_MAJOR}; throws with a hint when there is none. */
export function findNode() {
  if (Number(process.versions.node.split(".")[0]) >= OLDEST_NODE_MAJOR) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const binary = join(dirname(manifest), "bin", "node");
    if (existsSync(binary)) return binary;
  } catch {
    // Not installed: said below, with what to do.
  }
  throw new Error(
    `Tidemark needs Node.js ${OLDEST_NODE_MAJOR} or newer; this is ${process.version} and the package ${name} is not installed.\n` +
      `Hint: run "npm ci" without --omit=optional, or install Node.js ${OLDEST_NODE_MAJOR}.`,
  );
}

/**
 * The environment with the compile cache on: a restart is part of the recovery time. The cache is code that gets run, so
 * it lies where the code lies, never in a folder that others may write to; where we may not write there is none.
 * @returns {NodeJS.ProcessEnv}
 */
export function runtimeEnvironment() {
  if (process.env.NODE_COMPILE_CACHE !== undefined) return process.env;
  const cache = join(nodeModules(), ".cache", "tidemark");
  try {
    mkdirSync(cache, { recursive: true });
    accessSync(cache, constants.W_OK);
    return { ...process.env, NODE_COMPILE_CACHE: cache };
  } catch {
    return process.env; // Only slower.
  }
}

/** The folder that this package is installed in, or that of the workspace. */
function nodeModules() {
  const here = dirname(fileURLToPath(import.meta.url));
  const installed = here.lastIndexOf(`${sep}node_modules${sep}`);
  return join(installed === -1 ? join(here, "..", "..", "..") : here.slice(0, installed), "node_modules");
}
