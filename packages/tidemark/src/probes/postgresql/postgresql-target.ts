// Where a PostgreSQL is and as whom to look at it. The password stays Redacted from here on; a target's text never has it.
import { TidemarkError } from "@tidemark/kernel/errors";
import { Redacted } from "@tidemark/kernel/redacted";

const TLS_MODES = ["disable", "prefer", "require", "verify-full"] as const;

/** As libpq's sslmode; `verify-ca`, which checks less than it seems to, is not offered. */
export type TlsMode = (typeof TLS_MODES)[number];

export interface PostgresqlTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: Redacted<string>;
  readonly database: string;
  readonly tls: TlsMode;
}

/** Reads `postgres://user:password@host:port/database?sslmode=…`. Throws TM-PROBE-TARGET, without repeating the address. */
export function parsePostgresqlTarget(address: Redacted<string>): PostgresqlTarget {
  const text = address.reveal();
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "postgres:" && url.protocol !== "postgresql:"))
    throw new TidemarkError("TM-PROBE-TARGET", "the address is no postgres:// URL");
  if (url.hostname === "") throw new TidemarkError("TM-PROBE-TARGET", "the address names no host");
  const tls = url.searchParams.get("sslmode") ?? "prefer";
  if (!isTlsMode(tls)) throw new TidemarkError("TM-PROBE-TARGET", `sslmode is one of ${TLS_MODES.join(", ")}`);
  const user = decoded(url.username) || "postgres";
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 5432 : Number(url.port),
    user,
    ...(url.password === "" ? {} : { password: new Redacted(decoded(url.password)) }),
    database: decoded(url.pathname.slice(1)) || user,
    tls,
  };
}

function isTlsMode(text: string): text is TlsMode {
  return (TLS_MODES as readonly string[]).includes(text);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new TidemarkError("TM-PROBE-TARGET", "a part of the address is not percent-encoded as it should be");
  }
}
