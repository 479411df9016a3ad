// The store's own folder below its root: temporary files of puts, and of the probe that finds out what the file system can do.
import { link, open, readdir, statfs, lstat, unlink } from "node:fs/promises";
import { hostname } from "node:os";
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import { cannotDirect, DirectReader, type ReadWay } from "./direct-reader.ts";
import { isErrno } from "./folder-errors.ts";

/** Its name begins with a dot, which no key does. */
export const WORK_FOLDER = ".tidemark";

/** A temporary file of a process that cannot be asked (another machine's) is a leftover after so long, in milliseconds. */
const LEFTOVER_AFTER_MS = 3_600_000;

/** Not a multiple of any block: the probe reads a whole block and a piece of one. */
const PROBE_BYTES = 5_000;

/** File systems without a medium: what is read there is memory, with O_DIRECT or without. */
const MEMORY_FILE_SYSTEMS = new Set([0x0102_1994, 0x8584_58f6]);

const TEMPORARY = /^put-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}$/;

export interface FolderProbe {
  /** Files can be linked: the way to put an object only where there is none. */
  readonly links: boolean;
  readonly reads: ReadWay;
  readonly coldReads: boolean;
  /** Why reads are not cold. */
  readonly why?: string;
}

/** A new name that tells which process of which machine it belongs to. */
export function temporaryName(random: Random): string {
  return `put-${machine()}-${process.pid}-${Buffer.from(random.bytes(8)).toString("hex")}`;
}

/** Removes temporary files whose process is gone: at once on this machine, after {@link LEFTOVER_AFTER_MS} from others. */
export async function clearLeftovers(root: string, world: { clock: Clock; logger: Logger }): Promise<void> {
  const folder = join(root, WORK_FOLDER);
  for (const name of await readdir(folder)) {
    const match = TEMPORARY.exec(name);
    if (match === null) continue;
    const file = join(folder, name);
    try {
      const own = match[1] === machine();
      const facts = await lstat(file);
      const left = own ? !isAlive(Number(match[2])) : world.clock.wallMs() - facts.mtimeMs > LEFTOVER_AFTER_MS;
      if (!left) continue;
      await unlink(file);
      world.logger.info({ file, bytes: facts.size }, "removed what an interrupted put had left");
    } catch (error) {
      // Its process, or another that opens the store, was faster.
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
}

/** Finds out by trying what the file system can do. A store that is opened for reading is not written to: nothing is known of it. */
export async function probeFolder(root: string, world: { random: Random }, access: "read" | "read-write"): Promise<FolderProbe> {
  if (access === "read") return { links: false, reads: "try", coldReads: false };
  const file = join(root, WORK_FOLDER, temporaryName(world.random));
  const linked = join(root, WORK_FOLDER, temporaryName(world.random));
  const body = world.random.bytes(PROBE_BYTES);
  try {
    const handle = await open(file, "wx", 0o600);
    try {
      await handle.writeFile(body);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    const memory = MEMORY_FILE_SYSTEMS.has((await statfs(root)).type);
    const directReads = await readsDirectly(file, body);
    const links = await canLink(file, linked);
    if (directReads && !memory) return { links, reads: "direct", coldReads: true };
    return { links, reads: "cached", coldReads: false, why: memory ? "a file system in memory" : "the file system does not do O_DIRECT" };
  } finally {
    await unlink(file);
  }
}

async function readsDirectly(file: string, body: Uint8Array): Promise<boolean> {
  try {
    const read = await new DirectReader("direct").read(file, { start: 0, end: body.length + 1, maxBytes: body.length + 1 });
    return Buffer.compare(read, body) === 0;
  } catch (error) {
    if (cannotDirect(error)) return false;
    throw error;
  }
}

async function canLink(file: string, linked: string): Promise<boolean> {
  try {
    await link(file, linked);
  } catch (error) {
    if (isErrno(error, "EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK")) return false;
    throw error;
  }
  await unlink(linked);
  return true;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isErrno(error, "ESRCH");
  }
}

let machineName: string | undefined;

/** Eight hexadecimal digits of the machine's name, which may hold what a file's name cannot. */
function machine(): string {
  machineName ??= createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
  return machineName;
}
