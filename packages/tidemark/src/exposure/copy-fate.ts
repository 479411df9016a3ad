// What an accident does to a copy, by where both are. An outer failure domain contains the inner ones, so that two copies in
// different zones are on different machines, whatever these are called. A domain that nobody named proves nothing.
import type { FailureDomain, FailureDomainKind } from "../objectives/failure-domain.ts";

export type Fate = "survives" | "lost" | "unknown";

/**
 * The kinds whose difference proves a difference of the kind. Accounts lie across places: two accounts may well use the same
 * zone and region, while a machine belongs to one account.
 */
const TELLS_APART: Readonly<Record<FailureDomainKind, readonly FailureDomainKind[]>> = {
  process: ["process", "machine", "zone", "region", "account"],
  machine: ["machine", "zone", "region", "account"],
  zone: ["zone", "region"],
  region: ["region"],
  account: ["account"],
};

/** What becomes of a copy in `domain` when the domain of `kind` that `struck` lies in is lost. */
export function fateOf(domain: FailureDomain, struck: FailureDomain, kind: FailureDomainKind): Fate {
  if (differ(domain, struck, kind)) return "survives";
  if (same(domain, struck, kind)) return "lost";
  // One machine lies in one place and belongs to one account, even where nobody said which.
  if (kind !== "process" && kind !== "machine" && same(domain, struck, "machine") && !differ(domain, struck, "machine")) return "lost";
  return "unknown";
}

function differ(one: FailureDomain, other: FailureDomain, kind: FailureDomainKind): boolean {
  return TELLS_APART[kind].some((outer) => one[outer] !== undefined && other[outer] !== undefined && one[outer] !== other[outer]);
}

function same(one: FailureDomain, other: FailureDomain, kind: FailureDomainKind): boolean {
  return one[kind] !== undefined && one[kind] === other[kind];
}
