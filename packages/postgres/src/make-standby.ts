// What turns a copied data directory into a standby: the file standby.signal, and settings that say whom to follow. The
// password goes into a password file, never into a setting, which any superuser can read, or onto a command line.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Redacted } from "@tidemark/kernel/redacted";
import type { ServerSettings } from "./server-settings.ts";
import { quoteSetting, replaceFile, writeSettings } from "./server-settings.ts";
import type { PostgresUser } from "./unprivileged-user.ts";

export interface Upstream {
  readonly host: string;
  readonly port: number;
  /** A role with the REPLICATION attribute. */
  readonly user: string;
  /** Password file of libpq (see {@link writePassfile}), absolute, readable by the server's user. */
  readonly passfile: string;
  /** The member's identity (R6): what synchronous_standby_names and pg_stat_replication know it by. */
  readonly applicationName: string;
  /** Physical slot on the upstream. Default none. */
  readonly slot?: string;
  /** As libpq's sslmode. Default `prefer`. */
  readonly sslMode?: "disable" | "prefer" | "require" | "verify-ca" | "verify-full";
}

/** The settings by which a standby follows `upstream`; to be given to `configure` with the others. Throws TM-PG-SETTING. */
export function followSettings(upstream: Upstream): ServerSettings {
  const parts: [string, string][] = [
    ["host", upstream.host],
    ["port", String(upstream.port)],
    ["user", upstream.user],
    ["passfile", upstream.passfile],
    ["application_name", upstream.applicationName],
    ["sslmode", upstream.sslMode ?? "prefer"],
  ];
  return {
    primary_conninfo: parts.map(([name, value]) => `${name}=${quoteConnectionValue(value)}`).join(" "),
    primary_slot_name: upstream.slot ?? "",
    recovery_target_timeline: "latest",
  };
}

/** The settings of a standby that follows nobody: with a reload they end its WAL receiver (R3). */
export const FOLLOW_NOBODY: ServerSettings = { primary_conninfo: "", primary_slot_name: "", restore_command: "" };

/** Settings about a former upstream or recovery that a copy may bring along in postgresql.auto.conf, which beats all other files. */
const INHERITED = /^\s*(primary_conninfo|primary_slot_name|restore_command|recovery_target\w*|synchronous_standby_names)\s*=/;

/** Makes the stopped data directory start as a standby with `settings` and those that follow `upstream`. Durable when it resolves. */
export async function makeStandby(
  dataDir: string,
  options: { upstream: Upstream; settings: ServerSettings; user: PostgresUser },
): Promise<void> {
  const { upstream, settings, user } = options;
  await writeSettings(dataDir, { ...settings, ...followSettings(upstream) }, user);
  await dropInherited(dataDir, user);
  await replaceFile(join(dataDir, "standby.signal"), "", user);
}

/** Whether the data directory starts as a standby. */
export async function isMarkedStandby(dataDir: string): Promise<boolean> {
  return readFile(join(dataDir, "standby.signal")).then(
    () => true,
    () => false,
  );
}

/** Writes a libpq password file for replication as `user`, mode 0600, and syncs it. */
export async function writePassfile(path: string, login: { user: string; password: Redacted<string> }, owner: PostgresUser): Promise<void> {
  const escape = (value: string): string => value.replaceAll("\\", "\\\\").replaceAll(":", "\\:");
  await replaceFile(path, `*:*:*:${escape(login.user)}:${escape(login.password.reveal())}\n`, owner);
}

/** A value in a libpq connection string: in quotes, with \ and ' escaped. Throws TM-PG-SETTING on control characters. */
function quoteConnectionValue(value: string): string {
  quoteSetting(value);
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

async function dropInherited(dataDir: string, user: PostgresUser): Promise<void> {
  const path = join(dataDir, "postgresql.auto.conf");
  const text = await readFile(path, "utf8").catch(() => "");
  const kept = text.split("\n").filter((line) => !INHERITED.test(line));
  if (kept.join("\n") !== text) await replaceFile(path, kept.join("\n"), user);
}
