// Which configuration and which state folder a command is about.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { readRunFile } from "../platform/run-file.ts";

const DEFAULT_CONFIG = "tidemark.yaml";
export const DEFAULT_STATE_DIR = ".tidemark";

export interface PlaceOptions {
  readonly config?: string;
  readonly stateDir?: string;
}

/** A configuration file, and the state folder when it is not the file's own. */
export interface Place {
  readonly configFile: string;
  readonly stateDir?: string;
  /** Whether it is the example that comes with Tidemark. */
  readonly builtIn: boolean;
}

/** Adds --config and --state-dir. */
export function withPlace(command: Command): Command {
  return command
    .option("-c, --config <file>", `the configuration (default: ./${DEFAULT_CONFIG}; without one, the example that comes with Tidemark)`)
    .option("--state-dir <folder>", `where the state lies (default: the configuration's, ./${DEFAULT_STATE_DIR})`);
}

/** The configuration that was named, or tidemark.yaml of this folder, or what runs in the state folder, or the built-in example. */
export async function findPlace(options: PlaceOptions): Promise<Place> {
  const stateDir = options.stateDir === undefined ? {} : { stateDir: resolve(options.stateDir) };
  if (options.config !== undefined) return { configFile: resolve(options.config), ...stateDir, builtIn: false };
  if (existsSync(DEFAULT_CONFIG)) return { configFile: resolve(DEFAULT_CONFIG), ...stateDir, builtIn: false };
  const state = resolve(options.stateDir ?? DEFAULT_STATE_DIR);
  const run = await readRunFile(state);
  if (run !== undefined) return { configFile: run.configFile, stateDir: state, builtIn: run.configFile === builtInConfig() };
  return { configFile: builtInConfig(), stateDir: state, builtIn: true };
}

/** The example that comes with Tidemark. */
function builtInConfig(): string {
  return fileURLToPath(new URL("../../examples/orders.yaml", import.meta.url));
}

/** Loads the configuration of a place. */
export function loadPlace(place: Place): Promise<Config> {
  return loadConfig(place.configFile, place.stateDir === undefined ? {} : { stateDir: place.stateDir });
}

/** The state folder of a place. The configuration is read only where it is needed to know it. */
export async function stateDirOf(place: Place): Promise<string> {
  return place.stateDir ?? (await loadPlace(place)).stateDir;
}
