import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { findExecutable } from "./contenders/peer-process.ts";

/** What a figure must be read with. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly disk: string;
  readonly node: string;
  readonly peers: Readonly<Record<string, string>>;
}

/** Describes this machine; `folder` lies on the measured disk. What cannot be found out is "unknown". */
export function describeMachine(folder: string): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${osName()}, Linux ${release()}`,
    disk: diskOf(folder),
    node: process.version,
    peers: {
      "redis-server": commandLine("redis-server", ["--version"])?.match(/v=([\d.]+)/)?.[1] ?? "not installed",
      "rabbitmq-server": commandLine("dpkg-query", ["-W", "-f", "${Version}", "rabbitmq-server"]) ?? "not installed",
    },
  };
}

function osName(): string {
  const line = readOrUndefined("/etc/os-release")?.match(/^PRETTY_NAME="?([^"\n]*)/m);
  return line?.[1] ?? process.platform;
}

/** The file system of `folder` with its mount options, without the name of the device's owner or machine. */
function diskOf(folder: string): string {
  const mounts = (readOrUndefined("/proc/mounts") ?? "").split("\n").map((line) => line.split(" "));
  const mount = mounts
    .filter(([, point = ""]) => point === "/" || folder === point || folder.startsWith(`${point}/`))
    .sort(([, left = ""], [, right = ""]) => right.length - left.length)[0];
  return mount === undefined ? "unknown" : `${mount[2] ?? "unknown"} on ${mount[0] ?? "unknown"}`;
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function commandLine(command: string, args: readonly string[]): string | undefined {
  const path = findExecutable(command);
  if (path === undefined) return undefined;
  try {
    return execFileSync(path, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined; // A package that is not there: said as "not installed".
  }
}
