// Which node or vault of the configuration an identity belongs to (R6): its name is the beginning of it.
import type { FailureDomain } from "../objectives/failure-domain.ts";
import { FAILURE_DOMAIN_KINDS } from "../objectives/failure-domain.ts";
import type { StoreConfig } from "../config/config.ts";
import { vaultPrefix } from "../vault/vault-identity.ts";
import { identityPrefix, newIdentity } from "./agent/node-file.ts";

export interface MemberPlace {
  /** The name of the node or vault. */
  readonly node: string;
  readonly prefix: string;
  /** Equal for two that lie in the very same failure domains (R7). */
  readonly domain: string;
}

/** Everybody whom commits may wait for, besides the primary: the other nodes, and the vaults that are synchronous. */
export function placesOf(store: Pick<StoreConfig, "nodes" | "vaults">, primary: string): MemberPlace[] {
  return [
    ...store.nodes
      .filter(({ name }) => name !== primary)
      .map(({ name, domain }) => ({ node: name, prefix: nodePrefix(name), domain: domainKey(domain) })),
    ...store.vaults
      .filter(({ synchronous }) => synchronous)
      .map(({ name, domain }) => ({ node: name, prefix: vaultPrefix(name), domain: domainKey(domain) })),
  ];
}

export function placeOf(places: readonly MemberPlace[], identity: string): MemberPlace | undefined {
  const prefix = identityPrefix(identity);
  return places.find((place) => place.prefix === prefix);
}

export function domainKey(domain: FailureDomain): string {
  return JSON.stringify(FAILURE_DOMAIN_KINDS.map((kind) => domain[kind] ?? ""));
}

/** How the identities of a node begin. */
function nodePrefix(name: string): string {
  return identityPrefix(newIdentity(name, { bytes: (length) => new Uint8Array(length), fraction: () => 0 }));
}
