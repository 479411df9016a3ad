// What judgement is told by the configuration.
import { TidemarkError } from "@tidemark/kernel/errors";
import { checkSloTarget, DEFAULT_SLO_TARGET } from "../slo/slo-target.ts";
import type { Severity } from "./alert.ts";
import { RULES } from "./rule-table.ts";
import type { Durations } from "./alert-lifecycle.ts";
import type { Rule } from "./rules/rule.ts";

export interface JudgementSettings {
  readonly services: Readonly<Record<string, ServiceSettings>>;
  /** By the rule's name. */
  readonly rules?: Readonly<Record<string, RuleSettings>>;
  readonly receivers: readonly ReceiverSettings[];
}

export interface ServiceSettings {
  /** Who is told. */
  readonly owner?: string;
  /** The stores that it uses. */
  readonly stores: readonly string[];
  /** Share of seconds that have to be good, above 0 and below 1. Default 0.999. */
  readonly target?: number;
  /** How old the last proof of a copy may be. Default 7 days. */
  readonly mostProofAgeMs?: number;
}

export interface RuleSettings {
  readonly off?: boolean;
  readonly severity?: Severity;
  readonly forMs?: number;
  readonly keepMs?: number;
}

export interface ReceiverSettings {
  readonly name: string;
  /** Absent: both. */
  readonly severities?: readonly Severity[];
}

/** How old the last proof of a copy may be, milliseconds. */
export const DEFAULT_MOST_PROOF_AGE_MS = 7 * 86_400_000;

/** The settings with their defaults, and what follows from them. */
export class SettledJudgement {
  readonly #settings: JudgementSettings;
  readonly #users = new Map<string, { service: string; owner: string | undefined; mostProofAgeMs: number }>();

  /** Throws TM-ALERT-SETTING for a rule that does not exist, a duration below zero or a target that cannot be kept. */
  constructor(settings: JudgementSettings) {
    this.#settings = settings;
    for (const [name, { forMs, keepMs }] of Object.entries(settings.rules ?? {})) {
      if (!RULES.some((rule) => rule.name === name))
        throw new TidemarkError("TM-ALERT-SETTING", `there is no rule "${name}"; there are ${RULES.map((rule) => rule.name).join(", ")}`);
      for (const duration of [forMs, keepMs])
        if (duration !== undefined && !(duration >= 0))
          throw new TidemarkError("TM-ALERT-SETTING", `rule ${name}: a duration of ${duration} ms`);
    }
    for (const { target } of Object.values(settings.services)) if (target !== undefined) checkSloTarget(target);
    const stores = new Set(Object.values(settings.services).flatMap((service) => service.stores));
    for (const store of stores) {
      const users = Object.entries(settings.services).filter(([, service]) => service.stores.includes(store));
      const owners = [...new Set(users.flatMap(([, { owner }]) => owner ?? []))].toSorted();
      this.#users.set(store, {
        service: users
          .map(([name]) => name)
          .toSorted()
          .join(","),
        owner: owners.length === 0 ? undefined : owners.join(","),
        mostProofAgeMs: Math.min(...users.map(([, service]) => service.mostProofAgeMs ?? DEFAULT_MOST_PROOF_AGE_MS)),
      });
    }
  }

  get receivers(): readonly ReceiverSettings[] {
    return this.#settings.receivers;
  }

  receiversOf(severity: Severity): string[] {
    return this.receivers.filter(({ severities }) => severities?.includes(severity) ?? true).map(({ name }) => name);
  }

  isOff(rule: string): boolean {
    return this.#settings.rules?.[rule]?.off === true || !RULES.some(({ name }) => name === rule);
  }

  severityOf(rule: Rule): Severity {
    return this.#settings.rules?.[rule.name]?.severity ?? rule.severity;
  }

  /** What the configuration says goes before what the rule says of this case, and that before the rule's usual. */
  durationsOf(rule: Rule, forMs: number | undefined): Durations {
    const own = this.#settings.rules?.[rule.name];
    return { forMs: own?.forMs ?? forMs ?? rule.forMs, keepMs: own?.keepMs ?? rule.keepMs };
  }

  targetOf(service: string): number {
    return this.#settings.services[service]?.target ?? DEFAULT_SLO_TARGET;
  }

  ownerOf(service: string): string | undefined {
    return this.#settings.services[service]?.owner;
  }

  /** The services that use a store, their owners, and the strictest of their demands. */
  usersOf(store: string): { readonly service: string | undefined; readonly owner: string | undefined; readonly mostProofAgeMs: number } {
    return this.#users.get(store) ?? { service: undefined, owner: undefined, mostProofAgeMs: DEFAULT_MOST_PROOF_AGE_MS };
  }
}
