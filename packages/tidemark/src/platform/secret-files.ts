// Secrets lie in files of their own, mode 0600, made with random content when they are absent. Several processes may
// ask for the same secret at once: it is written whole under another name, made durable, and then linked into place,
// which succeeds for exactly one of them; all of them read what stands there.
import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { Redacted } from "@tidemark/kernel/redacted";

/** Random bytes of a new secret; 32 bytes are 43 characters of base64url. */
const SECRET_BYTES = 32;

/** The largest secret that is read; a longer file is no secret but a mistake. */
const MAX_SECRET_BYTES = 4_096;

const OTHERS_MAY_READ = 0o007;

/**
 * The secret in `file`, without white space around it. Makes the file, and the folders above it (mode 0700), when it is
 * absent. Idempotent, and safe between processes. Rejects with TM-PLATFORM-SECRET when the file is empty, too long or
 * open to everybody, or cannot be read or made.
 */
export async function readOrCreateSecret(file: string): Promise<Redacted<string>> {
  return (await readSecret(file)) ?? (await createSecret(file));
}

/** The secret in `file`, or undefined when there is no such file. Rejects with TM-PLATFORM-SECRET as {@link readOrCreateSecret}. */
export async function readSecret(file: string): Promise<Redacted<string> | undefined> {
  try {
    const facts = await stat(file);
    if ((facts.mode & OTHERS_MAY_READ) !== 0) {
      throw new TidemarkError("TM-PLATFORM-SECRET", `read the secret in ${file}: every user of this machine can read it too`, {
        hint: `chmod 600 ${file}, and change the secret if others may have seen it.`,
      });
    }
    if (facts.size > MAX_SECRET_BYTES)
      throw new TidemarkError(
        "TM-PLATFORM-SECRET",
        `read the secret in ${file}: it has ${facts.size} bytes, at most ${MAX_SECRET_BYTES} are allowed`,
      );
    const text = (await readFile(file, "utf8")).trim();
    if (text === "") throw new TidemarkError("TM-PLATFORM-SECRET", `read the secret in ${file}: the file is empty`);
    return new Redacted(text);
  } catch (error) {
    if (error instanceof TidemarkError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new TidemarkError("TM-PLATFORM-SECRET", `could not read the secret in ${file}`, { cause: error });
  }
}

async function createSecret(file: string): Promise<Redacted<string>> {
  const temporary = `${file}.${process.pid}-${randomBytes(6).toString("hex")}`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(`${randomBytes(SECRET_BYTES).toString("base64url")}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    try {
      await link(temporary, file);
    } catch (error) {
      // Another process was faster; its secret is the one.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    } finally {
      await unlink(temporary);
    }
    await syncFolder(dirname(file));
  } catch (error) {
    throw new TidemarkError("TM-PLATFORM-SECRET", `could not make the secret ${file}`, { cause: error });
  }
  const secret = await readSecret(file);
  if (secret === undefined) throw new TidemarkError("TM-PLATFORM-SECRET", `made the secret ${file} and it is gone again`);
  return secret;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
