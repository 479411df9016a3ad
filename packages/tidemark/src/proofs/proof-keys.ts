// The keys of a deployment, in `<stateDir>/keys`:
//   proof-<key id>.pem              the private key in use, mode 0600
//   proof-public/<key id>.pem       every public key there ever was
//   proof-public/<key id>.rotation.json   how that key gave way to the next, signed by it
//
// Rotation is whole or not at all: the next private key is written as `.next`, then the rotation record is published
// (the moment it counts), then `.next` gets its name, then the old private key is removed. Opening finishes a rotation
// whose record stands and drops one whose record does not.
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Random } from "@tidemark/kernel/random";
import { FileLock } from "../audit/file-lock.ts";
import { makeProofKey, privatePem, readPrivateKey, readPublicKey, type ProofKey, type PublicProofKey } from "./proof-key.ts";
import { signRotation, type KeyRotation, type TrustedKeys } from "./proof.ts";

/** How long to wait for another process that opens or rotates the keys. */
const LOCK_WAIT_MS = 10_000;

const PRIVATE = /^proof-([0-9a-f]{32})\.pem$/;
const NEXT = /^proof-([0-9a-f]{32})\.pem\.next$/;

export interface ProofKeysOptions {
  /** Usually `<stateDir>/keys`. */
  readonly dir: string;
  readonly clock: Clock;
  readonly random: Random;
}

export interface ProofKeys extends TrustedKeys {
  /** The key to sign with. */
  readonly current: ProofKey;
}

/** Opens the keys and makes the first one. Safe between processes. Rejects with TM-PROOF-KEY. */
export function openProofKeys(options: ProofKeysOptions): Promise<ProofKeys> {
  return locked(options, () => readOrMake(options));
}

/** Replaces the current key. What the old one signed stays valid; it signs nothing more. Rejects with TM-PROOF-KEY. */
export function rotateProofKey(options: ProofKeysOptions, facts: { by: string; reason: string }): Promise<ProofKeys> {
  return locked(options, async () => {
    const { current } = await readOrMake(options);
    const next = makeProofKey(options.random);
    const rotation = signRotation(current, next, { ...facts, at: new Date(options.clock.wallMs()).toISOString() });
    await publish(options.dir, `proof-${next.keyId}.pem.next`, privatePem(next), 0o600);
    await publish(join(options.dir, "proof-public"), `${next.keyId}.pem`, next.pem, 0o644);
    await publish(join(options.dir, "proof-public"), `${current.keyId}.rotation.json`, `${JSON.stringify(rotation, null, 2)}\n`, 0o644);
    return readOrMake(options);
  });
}

/** The public keys and rotations of a folder (`keys/proof-public`, or a copy of it). Rejects with TM-PROOF-KEY. */
export async function readTrustedKeys(folder: string): Promise<TrustedKeys> {
  const publicKeys: PublicProofKey[] = [];
  const rotations: KeyRotation[] = [];
  try {
    for (const name of (await readdir(folder)).toSorted()) {
      const file = join(folder, name);
      if (name.endsWith(".rotation.json")) rotations.push(JSON.parse(await readFile(file, "utf8")) as KeyRotation);
      else if (name.endsWith(".pem")) publicKeys.push(readPublicKey(await readFile(file, "utf8"), file));
    }
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    throw new TidemarkError("TM-PROOF-KEY", `could not read the public keys in ${folder}`, { cause });
  }
  return { publicKeys, rotations };
}

async function locked<T>(options: ProofKeysOptions, action: () => Promise<T>): Promise<T> {
  let lock: FileLock | undefined;
  try {
    await mkdir(join(options.dir, "proof-public"), { recursive: true, mode: 0o755 });
    lock = new FileLock(join(options.dir, "proof-keys.lock"), options.clock);
    if (!(await lock.acquire(LOCK_WAIT_MS)))
      throw new TidemarkError("TM-PROOF-KEY", `waited ${LOCK_WAIT_MS} ms for the lock of the keys in ${options.dir}`);
    try {
      return await action();
    } finally {
      lock.release();
    }
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    throw new TidemarkError("TM-PROOF-KEY", `could not open the keys in ${options.dir}`, { cause });
  } finally {
    lock?.close();
  }
}

async function readOrMake(options: ProofKeysOptions): Promise<ProofKeys> {
  const { dir } = options;
  await finishRotation(dir);
  const [name, ...more] = (await readdir(dir)).filter((file) => PRIVATE.test(file));
  if (more.length > 0)
    throw new TidemarkError("TM-PROOF-KEY", `${dir} holds ${more.length + 1} private keys, and no rotation says which is in use`);
  let current: ProofKey;
  if (name === undefined) {
    current = makeProofKey(options.random);
    // The public key first: a private key that stands has a public one.
    await publish(join(dir, "proof-public"), `${current.keyId}.pem`, current.pem, 0o644);
    await publish(dir, `proof-${current.keyId}.pem`, privatePem(current), 0o600);
  } else {
    current = readPrivateKey(await readFile(join(dir, name), "utf8"), join(dir, name));
  }
  return { current, ...(await readTrustedKeys(join(dir, "proof-public"))) };
}

async function finishRotation(dir: string): Promise<void> {
  const { rotations } = await readTrustedKeys(join(dir, "proof-public"));
  for (const file of await readdir(dir)) {
    const next = NEXT.exec(file)?.[1];
    if (next === undefined) continue;
    if (rotations.some((rotation) => rotation.body.to === next)) {
      await rename(join(dir, file), join(dir, `proof-${next}.pem`));
    } else {
      await rm(join(dir, file));
      await rm(join(dir, "proof-public", `${next}.pem`), { force: true });
    }
  }
  for (const file of await readdir(dir)) {
    const keyId = PRIVATE.exec(file)?.[1];
    if (keyId !== undefined && rotations.some((rotation) => rotation.body.from === keyId)) await rm(join(dir, file));
  }
  await syncFolder(dir);
}

/** Writes a file whole and durable, or not at all. */
async function publish(folder: string, name: string, text: string, mode: number): Promise<void> {
  const temporary = join(folder, `${name}.new`);
  const handle = await open(temporary, "w", mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, join(folder, name));
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
