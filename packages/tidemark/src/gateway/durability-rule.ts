import { TidemarkError } from "@tidemark/kernel/errors";
import type { Config, StoreConfig, VaultConfig } from "../config/config.ts";
import {
  FAILURE_DOMAIN_KINDS,
  SCENARIO_TAKES,
  SCENARIOS,
  type FailureDomain,
  type FailureDomainKind,
  type Scenario,
} from "../objectives/failure-domain.ts";

/**
 * What an acknowledgement is worth (R16): where an acknowledged write stands, and which accidents it therefore survives.
 *
 * Derivation. An acknowledged write has copies in known places (the journal's domains) and, where a store acknowledges
 * once applied, in the primary and one other of its nodes and synchronous vaults, but nobody can say beforehand in which of them. An accident takes one
 * domain away whole. The write survives it if for every domain of that kind either a known copy lies outside of it, or
 * more copies were demanded than lie inside. Synchronous vaults are such copies as nodes are; but a vault alone is no database,
 * so with every node inside nothing is claimed. A place that is not known counts as inside. Journal and nodes are on disk,
 * so the loss of a process takes nothing. A bad write takes no copy away and spoils all: never claimed here.
 */
export interface Guarantee {
  /** When the acknowledgement is given. */
  readonly acknowledge: "journal" | "applied";
  /** Where the write stands at least: the journal's domains and, once applied, those of all nodes that may hold it. */
  readonly domains: readonly FailureDomain[];
  readonly survives: readonly Scenario[];
  /** The same in words, for people. */
  readonly words: string;
}

/** The guarantee of an acknowledgement of `store`, with a journal that is durable in `journalDomains`. */
export function guaranteeOf(store: StoreConfig, journalDomains: readonly FailureDomain[]): Guarantee {
  const demanded = store.acknowledge === "applied" ? demandedCopies(store) : 0;
  const nodes = demanded > 0 ? store.nodes.map((node) => node.domain) : [];
  const vaults = demanded > 1 ? synchronousVaults(store).map((vault) => vault.domain) : [];
  const survives = SCENARIOS.filter((scenario) => {
    const kind = SCENARIO_TAKES[scenario];
    return kind !== undefined && survivesLossOf(kind, { known: journalDomains, nodes, vaults, demanded });
  });
  return {
    acknowledge: store.acknowledge,
    domains: [...journalDomains, ...nodes, ...vaults],
    survives,
    words: guaranteeWords(store, journalDomains, demanded),
  };
}

/** What a synchronous set may shrink to while its other members are away: one (R1). Below it commits wait. */
const LEAST_SET = 1;

function synchronousVaults(store: StoreConfig): readonly VaultConfig[] {
  return store.vaults.filter((vault) => vault.synchronous);
}

/**
 * Copies that hold a commit when it returns. Only `never-lose` keeps the promise when the synchronous members are gone, and
 * with a set that may shrink to one member (R1) it is one copy besides the primary, however many are required.
 */
function demandedCopies(store: StoreConfig): number {
  const others = store.nodes.length - 1 + synchronousVaults(store).length;
  return 1 + (store.policy.kind === "never-lose" ? Math.min(store.required, others, LEAST_SET) : 0);
}

interface Copies {
  readonly known: readonly FailureDomain[];
  readonly nodes: readonly FailureDomain[];
  readonly vaults: readonly FailureDomain[];
  readonly demanded: number;
}

function survivesLossOf(kind: FailureDomainKind, copies: Copies): boolean {
  if (kind === "process") return true;
  const names = new Set([...copies.known, ...copies.nodes, ...copies.vaults].map((domain) => placeIn(domain, kind)));
  names.delete(undefined);
  if (names.size === 0) return false;
  return [...names].every((lost) => {
    const outside = (domain: FailureDomain): boolean => placeIn(domain, kind) !== undefined && placeIn(domain, kind) !== lost;
    if (copies.known.some(outside)) return true;
    if (copies.vaults.length > 0 && !copies.nodes.some(outside)) return false;
    return [...copies.nodes, ...copies.vaults].filter((domain) => !outside(domain)).length < copies.demanded;
  });
}

/** The name of the domain of `kind` with the outer ones before it, for `a/db1` and `b/db1` are two machines. */
function placeIn(domain: FailureDomain, kind: FailureDomainKind): string | undefined {
  if (domain[kind] === undefined) return undefined;
  const outer = FAILURE_DOMAIN_KINDS.slice(FAILURE_DOMAIN_KINDS.indexOf(kind)).toReversed();
  return outer.map((name) => domain[name] ?? "").join("/");
}

function guaranteeWords(store: StoreConfig, journalDomains: readonly FailureDomain[], demanded: number): string {
  const journal =
    journalDomains.length === 1
      ? "fsynced in the journal on one machine"
      : `fsynced in the journal in ${journalDomains.length} failure domains`;
  if (store.acknowledge === "journal") return journal;
  if (demanded > 1) {
    const by = synchronousVaults(store).length === 0 ? "PostgreSQL nodes" : "of the PostgreSQL nodes and vaults";
    return `${journal}, applied, and flushed by ${demanded} ${by}`;
  }
  return `${journal}, applied and flushed by the PostgreSQL primary; on more nodes only while they keep up`;
}

/** An objective that acknowledgements do not reach. */
export interface Weakness {
  readonly service: string;
  readonly store: string;
  readonly scenario: Scenario;
  readonly message: string;
}

/**
 * Every objective with an RPO of zero that a store's acknowledgement is too weak for (R16). Empty when the gateway may
 * start. `bad-write` is not judged here: no acknowledgement protects from it, only recovery to a point in time does.
 */
export function weakerThanObjectives(config: Config, journalDomains: readonly FailureDomain[] = [config.journal.domain]): Weakness[] {
  const found: Weakness[] = [];
  for (const [service, { stores, objectives }] of Object.entries(config.services)) {
    for (const name of stores) {
      const store = config.stores[name];
      if (store === undefined) continue;
      const guarantee = guaranteeOf(store, journalDomains);
      for (const scenario of SCENARIOS) {
        if (objectives[scenario]?.rpoMs !== 0 || SCENARIO_TAKES[scenario] === undefined || guarantee.survives.includes(scenario)) continue;
        const message = `service "${service}" may lose nothing in ${scenario}, but an acknowledgement of store "${name}" is only ${guarantee.words}`;
        found.push({ service, store: name, scenario, message });
      }
    }
  }
  return found;
}

/** Throws TM-GATEWAY-WEAKER-THAN-OBJECTIVE when an objective asks for more than acknowledgements give. */
export function demandObjectives(config: Config, journalDomains: readonly FailureDomain[]): void {
  const weak = weakerThanObjectives(config, journalDomains);
  if (weak.length > 0) throw new TidemarkError("TM-GATEWAY-WEAKER-THAN-OBJECTIVE", weak.map((one) => one.message).join("; "));
}
