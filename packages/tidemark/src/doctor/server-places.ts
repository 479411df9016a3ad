// The PostgreSQL servers that a configuration names, and how each is reached to look at it.
import type { Redacted } from "@tidemark/kernel/redacted";
import type { ConnectionTarget } from "../check/connection-target.ts";
import { OBSERVER_USER, derivedPassword } from "../cluster/store-secrets.ts";
import type { Config } from "../config/config.ts";
import type { ObservedSource } from "../config/observed-config.ts";
import type { FailureDomain } from "../objectives/failure-domain.ts";
import type { ProbeWorld } from "../observer/probe-world.ts";

export interface ServerPlace {
  readonly store: string;
  /** As in the configuration. */
  readonly name: string;
  readonly domain: FailureDomain;
  /** Reads the secret. Rejects with a TidemarkError that never holds it. */
  readonly target: () => Promise<ConnectionTarget>;
}

/** @param token the internal token, from which the observer's passwords in Tidemark's own stores are derived. */
export function serverPlaces(
  config: Pick<Config, "stores" | "observed">,
  secrets: { readonly token: Redacted<string>; readonly readSecret: ProbeWorld["readSecret"] },
): ServerPlace[] {
  const own = Object.entries(config.stores).flatMap(([store, { nodes, database }]) =>
    nodes.map(({ name, domain, host, port }): ServerPlace => ({
      store,
      name,
      domain,
      target: () =>
        Promise.resolve({
          host,
          port,
          database,
          user: OBSERVER_USER,
          password: derivedPassword(secrets.token, store, OBSERVER_USER),
          sslMode: "disable",
          shown: `${host}:${port}/${database} as ${OBSERVER_USER}`,
        }),
    })),
  );
  const observed = Object.entries(config.observed).flatMap(([store, { copies }]) =>
    copies.flatMap(({ name, domain, source }): ServerPlace[] =>
      source.kind === "postgresql" ? [{ store, name, domain, target: () => observedTarget(source, secrets.readSecret) }] : [],
    ),
  );
  return [...own, ...observed];
}

async function observedTarget(
  source: Extract<ObservedSource, { kind: "postgresql" }>,
  readSecret: ProbeWorld["readSecret"],
): Promise<ConnectionTarget> {
  const { host, port, user, database, tls, passwordFile } = source;
  return {
    host,
    port,
    user,
    database,
    sslMode: tls,
    ...(passwordFile === undefined ? {} : { password: await readSecret(passwordFile) }),
    // Node.js trusts its own list of certificates; libpq would want a file.
    ...(tls === "verify-full" ? { rootCert: "system" } : {}),
    shown: `${host}:${port}/${database} as ${user}`,
  };
}
