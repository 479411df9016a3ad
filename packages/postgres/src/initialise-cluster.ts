import { spawn } from "node:child_process";
import { appendFile, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { PostgresBinaries } from "./binaries.ts";
import { beginPartialFolder } from "./partial-folder.ts";
import { replaceFile } from "./server-settings.ts";
import type { PostgresUser } from "./unprivileged-user.ts";
import { serverEnvironment, spawnIdentity } from "./unprivileged-user.ts";

export interface InitialiseOptions {
  /** Name of the role that owns the cluster. */
  readonly superuser: string;
  readonly password: Redacted<string>;
  /** Networks (CIDR) besides loopback that may connect with a password, also for replication. Default none. */
  readonly networks?: readonly string[];
}

/** How much of initdb's output an error keeps, bytes. */
const OUTPUT_KEPT = 8_192;

/**
 * Makes a data directory with initdb: checksums on, UTF-8, a locale that does not depend on the machine's libraries (an
 * index sorted by one glibc is damaged under another), SCRAM-SHA-256 for everybody, nobody trusted. Everything is synced
 * before the folder takes its place. Rejects with TM-PG-DATA-DIR when `dataDir` is not empty, TM-PG-INITDB otherwise.
 */
export async function initialiseCluster(
  place: { binaries: PostgresBinaries; dataDir: string; user: PostgresUser },
  options: InitialiseOptions,
): Promise<void> {
  const { binaries, dataDir, user } = place;
  const partial = await beginPartialFolder(dataDir, user);
  try {
    await withPasswordFile({ password: options.password, beside: dataDir }, user, async (passwordFile) => {
      await run(binaries.initdb, initdbArguments(binaries.major, partial.path, { superuser: options.superuser, passwordFile }), user);
    });
    await replaceFile(join(partial.path, "pg_hba.conf"), renderHba(options.networks ?? []), user);
    await appendFile(join(partial.path, "postgresql.conf"), "\n# Tidemark's settings come last.\ninclude_if_exists = 'tidemark.conf'\n");
    await partial.publish();
  } catch (error) {
    await partial.discard();
    throw error;
  }
}

/** From version 17 PostgreSQL has a C.UTF-8 of its own; before, `C` is the one locale that is the same everywhere. */
function initdbArguments(major: number, dataDir: string, login: { superuser: string; passwordFile: string }): string[] {
  const locale = major >= 17 ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] : ["--locale=C"];
  return [
    `--pgdata=${dataDir}`,
    `--username=${login.superuser}`,
    `--pwfile=${login.passwordFile}`,
    "--auth=scram-sha-256",
    "--data-checksums",
    "--encoding=UTF8",
    ...locale,
    "--no-instructions",
  ];
}

/** Who may connect: whoever knows the password, from this machine and from `networks`. Throws TM-PG-SETTING. */
export function renderHba(networks: readonly string[]): string {
  const addresses = ["127.0.0.1/32", "::1/128", ...networks];
  for (const address of addresses) {
    if (!/^[0-9a-fA-F.:]+\/\d{1,3}$/.test(address))
      throw new TidemarkError("TM-PG-SETTING", `"${address}" is not a network such as 10.0.0.0/8`);
  }
  const lines = ["local all all scram-sha-256", "local replication all scram-sha-256"];
  for (const address of addresses) lines.push(`host all all ${address} scram-sha-256`, `host replication all ${address} scram-sha-256`);
  return ["# TYPE DATABASE USER ADDRESS METHOD", ...lines, ""].join("\n");
}

/**
 * The password goes through a file that only `user` can read, never through a command line. It lies beside the data
 * directory, where `user` can get to: the temporary folder may be closed to everybody but us.
 */
async function withPasswordFile(
  { password, beside }: { password: Redacted<string>; beside: string },
  user: PostgresUser,
  use: (path: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(dirname(beside), ".initdb-"));
  const path = join(folder, "password");
  try {
    await writeFile(path, `${password.reveal()}\n`, { mode: 0o600 });
    if (user.switches) {
      await chown(path, user.uid, user.gid);
      await chown(folder, user.uid, user.gid);
    }
    await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function run(program: string, parameters: string[], user: PostgresUser): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, {
      ...spawnIdentity(user),
      env: serverEnvironment(user),
      cwd: "/",
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-OUTPUT_KEPT);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (cause) => reject(new TidemarkError("TM-PG-INITDB", `could not start ${program}`, { cause })));
    child.on("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new TidemarkError("TM-PG-INITDB", `initdb ended with ${signal ?? `exit code ${code}`}`, { details: { output } }));
    });
  });
}
