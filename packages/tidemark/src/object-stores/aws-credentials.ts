// Credentials for AWS and what speaks its protocols, from a file in the form of ~/.aws/credentials or from variables. They
// are read when they are needed and again every few minutes, so that they can be changed under a running vault.
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { Clock } from "@tidemark/kernel/clock";
import type { AwsCredentialOptions } from "./object-store-options.ts";

/** After so long they are read again, in milliseconds. */
const READ_AGAIN_AFTER_MS = 300_000;

/** A longer file is no file of credentials. */
const MAX_FILE_BYTES = 65_536;

const OTHERS_MAY_READ = 0o007;

/** What the SDK asks for. It keeps them until `expiration`; they go nowhere else. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration: Date;
}

export interface CredentialWorld {
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The error for credentials that cannot be had; `why` holds no secret. */
  readonly refuse: (why: string, cause?: unknown) => Error;
}

/** A provider for the SDK, which rejects with what `world.refuse` makes. Reads nothing yet. */
export function awsCredentials(options: AwsCredentialOptions, world: CredentialWorld): () => Promise<AwsCredentials> {
  return async () => {
    const found = options.kind === "file" ? await fromFile(options, world) : fromEnvironment(options, world);
    return { ...found, expiration: new Date(world.clock.wallMs() + READ_AGAIN_AFTER_MS) };
  };
}

type Found = Omit<AwsCredentials, "expiration">;

function fromEnvironment(options: Extract<AwsCredentialOptions, { kind: "environment" }>, world: CredentialWorld): Found {
  const take = (name: string): string => {
    const value = world.environment[name];
    if (value === undefined || value === "") throw world.refuse(`the environment variable ${name} is not set`);
    return value;
  };
  return {
    accessKeyId: take(options.accessKeyId),
    secretAccessKey: take(options.secretAccessKey),
    ...(options.sessionToken === undefined ? {} : { sessionToken: take(options.sessionToken) }),
  };
}

async function fromFile(options: Extract<AwsCredentialOptions, { kind: "file" }>, world: CredentialWorld): Promise<Found> {
  const profile = options.profile ?? "default";
  const values = profileOf(await readPrivately(options.file, world), profile);
  if (values === undefined) throw world.refuse(`${options.file} has no profile [${profile}]`);
  const accessKeyId = values.get("aws_access_key_id");
  const secretAccessKey = values.get("aws_secret_access_key");
  const sessionToken = values.get("aws_session_token");
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw world.refuse(`[${profile}] in ${options.file} needs aws_access_key_id and aws_secret_access_key`);
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

async function readPrivately(file: string, world: CredentialWorld): Promise<string> {
  let why: string | undefined;
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const facts = await handle.stat();
      if (!facts.isFile()) why = "it is no file";
      else if ((facts.mode & OTHERS_MAY_READ) !== 0) why = "every user of this machine can read it too (chmod 600)";
      else if (facts.size > MAX_FILE_BYTES) why = `it has ${facts.size} bytes`;
      else return await handle.readFile("utf8");
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw world.refuse(`could not read ${file}`, error);
  }
  throw world.refuse(`could not take credentials from ${file}: ${why}`);
}

/** The settings of one `[profile]`, names in lower case; undefined when there is no such profile. */
export function profileOf(text: string, profile: string): ReadonlyMap<string, string> | undefined {
  let current: string | undefined;
  let found: Map<string, string> | undefined;
  for (const line of text.split(/\r?\n/)) {
    const section = /^\s*\[\s*(?:profile\s+)?([^\]]+?)\s*\]/.exec(line);
    if (section !== null) {
      current = section[1];
      if (current === profile) found ??= new Map();
      continue;
    }
    const setting = /^\s*([A-Za-z_]+)\s*=\s*(\S.*?)\s*$/.exec(line);
    if (setting !== null && current === profile) found?.set((setting[1] ?? "").toLowerCase(), setting[2] ?? "");
  }
  return found;
}
