// Secrets are never in the configuration: it is read by every role, copied between machines and kept in version control. What looks
// like one is refused before anything else is said of its place, and never repeated.
import type { ConfigPath, Finding } from "./config-problem.ts";

/** Keys that hold a secret wherever they stand, with what to write instead. */
const SECRET_KEYS: ReadonlyMap<string, string> = new Map([
  ["password", "`passwordFile`, a file of mode 0600 with the password"],
  ["passwd", "`passwordFile`, a file of mode 0600 with the password"],
  ["secret", "the path of a file of mode 0600 with the secret, such as `keyFile`"],
  ["token", "the path of a file of mode 0600 with the token, such as `bearerFile`"],
  ["bearer", "`bearerFile`, a file of mode 0600 with the token"],
]);

/** Environment variables that hold a secret, and not the way to one. */
const SECRET_VARIABLE = /(PASSWORD|PASSWD|SECRET|TOKEN)/;
const WAY_TO_IT = /(FILE|PATH|DIR|URI)$/;

/** SQL and PostgreSQL's settings are texts of their own, in which such words mean something else. */
const NOT_LOOKED_AT: ReadonlySet<string> = new Set(["commands", "settings"]);

const IN_A_FILE = "an address without credentials; a secret stands in a file of its own (`passwordFile`, `bearerFile`, `urlFile`)";

/** What in the file is a secret. `value` is any data. */
export function checkSecrets(value: unknown, path: ConfigPath = []): Finding[] {
  if (typeof value === "string") return hasCredentials(value) ? [found(path, "an address with credentials", IN_A_FILE)] : [];
  if (Array.isArray(value)) return value.flatMap((item, index) => checkSecrets(item, [...path, index]));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    const at = [...path, key];
    if (NOT_LOOKED_AT.has(key)) return [];
    const instead = SECRET_KEYS.get(key);
    if (instead !== undefined && isText(inner)) return [found(at, "a secret", instead)];
    if (
      path.at(-1) === "environment" &&
      SECRET_VARIABLE.test(key) &&
      !WAY_TO_IT.test(key) &&
      isText(inner) &&
      path.at(-2) !== "credentials"
    )
      return [found(at, "a secret", "a variable that names a file or a profile, such as PGPASSFILE")];
    return checkSecrets(inner, at);
  });
}

function found(path: ConfigPath, what: string, expected: string): Finding {
  return { path, code: "TM-CONFIG-SECRET", message: `${what} stands in the configuration, which is no place for secrets`, expected };
}

function isText(value: unknown): boolean {
  return typeof value === "string" || typeof value === "number";
}

/** A user in an HTTP address is refused as well: there it is a secret as often as not. Takes time that grows with the text alone. */
function hasCredentials(text: string): boolean {
  const scheme = /^[a-z][a-z0-9+.-]{0,20}:\/\//i.exec(text)?.[0];
  // A connection string of libpq: `host=db1 password=…`.
  if (scheme === undefined) return /^\s*\w{1,40}\s*=/.test(text) && /(?:^|\s)password\s*=\s*\S/i.test(text);
  const authority = /^[^/?#\s]*/.exec(text.slice(scheme.length))?.[0] ?? "";
  const user = authority.slice(0, Math.max(0, authority.lastIndexOf("@")));
  return user.includes(":") || (user !== "" && /^https?:/i.test(scheme)) || (/^postgres/i.test(scheme) && /[?&]password=/i.test(text));
}
