// Writes a first configuration, and the password beside it. Nothing that is there is replaced unless somebody says so, a password never.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { link, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";

/** Rejects with TM-INIT-EXISTS when something is there and must not be replaced. */
export function refuseExisting(file: string, force: boolean): void {
  if (!force && existsSync(file)) throw new TidemarkError("TM-INIT-EXISTS", `write ${file}: it is there already`);
}

/** Whole or not at all. Rejects with TM-INIT-EXISTS and TM-INIT-WRITE. */
export async function writeConfig(file: string, text: string, force: boolean): Promise<void> {
  await writeWhole(file, text, { mode: 0o644, replace: force });
}

/** The schema for editors, beside the configuration, which names it. False: there is one already, and it stays. Rejects with TM-INIT-WRITE. */
export function writeSchema(file: string, text: string): Promise<boolean> {
  return writeNew(file, text, 0o644);
}

/** Mode 0600, in a folder of mode 0700 where it is made. False: one is there already, and stays. Rejects with TM-INIT-WRITE. */
export async function writePassword(file: string, password: Redacted<string>): Promise<boolean> {
  return writeNew(file, `${password.reveal()}\n`, 0o600);
}

async function writeNew(file: string, text: string, mode: number): Promise<boolean> {
  try {
    await writeWhole(file, text, { mode, replace: false });
    return true;
  } catch (error) {
    if (error instanceof TidemarkError && error.code === "TM-INIT-EXISTS") return false;
    throw error;
  }
}

async function writeWhole(file: string, text: string, how: { readonly mode: number; readonly replace: boolean }): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString("hex")}.new`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const handle = await open(temporary, "wx", how.mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // A link refuses what is there; a rename replaces it.
    if (how.replace) await rename(temporary, file);
    else await link(temporary, file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") throw new TidemarkError("TM-INIT-EXISTS", `write ${file}: it is there already`);
    throw new TidemarkError("TM-INIT-WRITE", `could not write ${file}`, { cause });
  } finally {
    await rm(temporary, { force: true });
  }
}
