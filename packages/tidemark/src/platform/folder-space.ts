import { stat, statfs } from "node:fs/promises";

/** The file system that a folder lies on. Rejects with the system's error, such as ENOENT. */
export async function folderSpace(path: string): Promise<{ fileSystem: string; freeBytes: number; totalBytes: number }> {
  const [{ dev }, { bsize, bavail, blocks }] = await Promise.all([stat(path), statfs(path)]);
  return { fileSystem: String(dev), freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}
