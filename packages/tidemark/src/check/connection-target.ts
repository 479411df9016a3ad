// Where to connect and as whom: from a connection string as libpq takes it, the PG… environment, and the password file.
// https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNSTRING
import { readFileSync, statSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import { Redacted } from "@tidemark/kernel/redacted";

const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
export type SslMode = (typeof SSL_MODES)[number];

export interface ConnectionTarget {
  /** A name, an address, or a folder of Unix sockets. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password?: Redacted<string>;
  readonly sslMode: SslMode;
  /** Files; `rootCert: "system"` trusts the certificates that Node.js trusts. */
  readonly rootCert?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  /** For people: without secrets. */
  readonly shown: string;
}

/** Parameters of a connection string that mean something here. Others that libpq has are accepted and have no effect. */
const FROM_ENVIRONMENT: Readonly<Record<string, string>> = {
  host: "PGHOST",
  port: "PGPORT",
  dbname: "PGDATABASE",
  user: "PGUSER",
  password: "PGPASSWORD",
  passfile: "PGPASSFILE",
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
};

/** Reads a `postgres://` URL or `key=value` pairs; undefined: the environment alone. Throws TM-CHECK-TARGET, which never quotes the string. */
export function readTarget(text: string | undefined, env: NodeJS.ProcessEnv): ConnectionTarget {
  const given = text === undefined ? {} : /^postgres(ql)?:\/\//.test(text) ? fromUrl(text) : fromPairs(text);
  const value = (name: string): string | undefined => given[name] || env[FROM_ENVIRONMENT[name] ?? ""] || undefined;
  const user = value("user") ?? userInfo().username;
  const host = value("host") ?? "localhost";
  if (host.includes(",")) throw problem("it names several hosts, and one server is checked at a time");
  const port = Number(value("port") ?? "5432");
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw problem("its port is no number from 1 to 65535");
  const database = value("dbname") ?? user;
  const sslMode = (value("sslmode") ?? "prefer") as SslMode;
  if (!SSL_MODES.includes(sslMode)) throw problem(`its sslmode is none of ${SSL_MODES.join(", ")}`);
  const password = value("password") ?? fromPassfile(value("passfile") ?? join(homedir(), ".pgpass"), [host, String(port), database, user]);
  const [rootCert, clientCert, clientKey] = [value("sslrootcert"), value("sslcert"), value("sslkey")];
  return {
    host,
    port,
    database,
    user,
    ...(password === undefined ? {} : { password: new Redacted(password) }),
    sslMode,
    ...(rootCert === undefined ? {} : { rootCert }),
    ...(clientCert === undefined ? {} : { clientCert }),
    ...(clientKey === undefined ? {} : { clientKey }),
    shown: `${host}:${port}/${database} as ${user}`,
  };
}

/** Takes the password out of a text that came from elsewhere, such as a server's message. */
export function withoutPassword(text: string, target: Pick<ConnectionTarget, "password">): string {
  const password = target.password?.reveal();
  if (password === undefined || password === "") return text;
  return [password, encodeURIComponent(password)].reduce((rest, secret) => rest.replaceAll(secret, "[redacted]"), text);
}

function problem(why: string): TidemarkError {
  return new TidemarkError("TM-CHECK-TARGET", `the connection string cannot be used: ${why}`);
}

function fromUrl(text: string): Record<string, string> {
  // Not by URL: a password may hold characters that it refuses, and its errors quote the whole text. What stands before the last @
  // is the password, also where an @ in it was not encoded: no piece of it may end up in the host, which is shown.
  const match =
    /^postgres(?:ql)?:\/\/(?:([^:@/?]*)(?::(.*))?@)?(\[[^\]]*\]|[^:/?,@]*)((?:,[^/?]*)?)(?::([^/?]*))?(?:\/([^?]*))?(?:\?(.*))?$/s.exec(
      text,
    );
  if (match === null) throw problem("it is not of the form postgres://user@host:port/database");
  const [, user, password, host, more, port, dbname, query] = match;
  const parts: Record<string, string> = {};
  const set = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== "") parts[name] = decode(value);
  };
  set("user", user);
  set("password", password);
  set("host", `${(host ?? "").replace(/^\[(.*)\]$/, "$1")}${more ?? ""}`);
  set("port", port);
  set("dbname", dbname);
  for (const pair of (query ?? "").split("&")) set(pair.split("=", 1)[0] ?? "", pair.slice(pair.indexOf("=") + 1));
  return parts;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw problem("a % in it is not followed by two hexadecimal digits (write %25 for a % itself)");
  }
}

function fromPairs(text: string): Record<string, string> {
  const parts: Record<string, string> = {};
  const pair = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?:\s+|$)/gsy;
  while (pair.lastIndex < text.length) {
    const match = pair.exec(text);
    if (match === null) throw problem("it is neither postgres://user@host:port/database nor pairs such as host=db1 dbname=shop");
    parts[match[1] ?? ""] = (match[2] ?? match[3] ?? "").replaceAll(/\\(.)/gs, "$1");
  }
  return parts;
}

/** The first line of the password file that fits; a file that others may read is passed over, as libpq does. */
function fromPassfile(path: string, wanted: readonly string[]): string | undefined {
  let lines: string[];
  try {
    const status = statSync(path);
    if (!status.isFile() || (status.mode & 0o077) !== 0) return undefined;
    lines = readFileSync(path, "utf8").split("\n");
  } catch {
    // There is none, or it is not for us: PostgreSQL will say whether it wants a password.
    return undefined;
  }
  for (const line of lines) {
    if (line.startsWith("#")) continue;
    const fields = line.replace(/\r$/, "").split(/(?<!\\):/);
    const password = fields.slice(4).join(":");
    const fits = wanted.every((value, index) => fields[index] === "*" || fields[index]?.replaceAll(/\\(.)/g, "$1") === value);
    if (fields.length >= 5 && fits) return password.replaceAll(/\\(.)/g, "$1");
  }
  return undefined;
}
