// The questions of `tidemark init`. Each has a usual answer, so that Enter goes on; an answer that cannot be is asked for again.
import { formatGivenDuration, parseDuration } from "@tidemark/kernel/duration";
import type { BusinessConfig } from "../config/observed-config.ts";
import type { ServiceConfig } from "../config/config.ts";
import { parseAddress, type ListenAddress } from "../config/listen-address.ts";
import { tierObjective } from "../objectives/tier-objectives.ts";
import type { FirstAnswers } from "./first-config.ts";
import type { FoundStore } from "./found-store.ts";

export interface Question {
  readonly text: string;
  /** Said before it is asked for the first time. */
  readonly about?: string;
  /** Taken when nothing is answered; shown, unless it is empty. */
  readonly byDefault?: string;
  /** What is wrong with an answer; undefined: nothing. */
  readonly fault?: (answer: string) => string | undefined;
}

/** Whoever is asked. */
export interface Questioner {
  /** The answer without white space around it, one that `fault` has nothing against. Rejects when the person goes away. */
  ask(question: Question): Promise<string>;
}

/** What was said on the command line already: those questions are not asked. */
export type GivenAnswers = Partial<Omit<FirstAnswers, "zones">> & { readonly zones: FirstAnswers["zones"] };

export const TIERS: readonly ServiceConfig["tier"][] = ["near-zero", "critical", "high", "medium", "low"];

const NAME = /^[a-z][a-z0-9-]{0,39}$/;
/** What a loss may be counted in. */
export const UNIT = /^[A-Za-z][A-Za-z0-9 _-]{0,39}$/;

/** What is taken where nothing is said. `found` undefined: Tidemark is to run the store. */
export function usualAnswers(given: GivenAnswers, found: FoundStore | undefined): FirstAnswers {
  const service = given.service ?? nameFrom(found?.target.database, "main");
  return {
    tier: "high",
    canary: "positions",
    ...given,
    service,
    store: given.store ?? `${service.slice(0, 37)}-db`,
    name: given.name ?? service,
  };
}

/** Asks for what is not given. */
export async function interview(questioner: Questioner, given: GivenAnswers, found: FoundStore | undefined): Promise<FirstAnswers> {
  const usual = usualAnswers(given, found);
  const service =
    given.service ??
    (await questioner.ask({
      text: "Which service does the store hold the state of?",
      byDefault: usual.service,
      fault: (answer) =>
        NAME.test(answer) ? undefined : "a name of lower-case letters, digits and hyphens, beginning with a letter, at most 40 long",
    }));
  const owner = given.owner ?? (await optional(questioner, { text: "Who answers for it?" }));
  const tier = given.tier ?? (await askTier(questioner));
  const objective = await askObjective(questioner, tier, given);
  const why = given.why ?? (await optional(questioner, { text: "Why this much and no more? (a sentence)" }));
  const business = given.business ?? (await askBusiness(questioner));
  const zones = { ...given.zones };
  for (const { name } of found?.servers ?? []) {
    if (zones[name] !== undefined) continue;
    const zone = await optional(questioner, { text: `In which zone is ${name}? (availability zone, room or rack; empty: not known)` });
    if (zone !== undefined) zones[name] = zone;
  }
  return {
    ...usual,
    service,
    store: given.store ?? `${service.slice(0, 37)}-db`,
    name: given.name ?? service,
    ...defined({ owner, why, business, ...objective }),
    tier,
    zones,
  };
}

function nameFrom(text: string | undefined, otherwise: string): string {
  const name = (text ?? "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+/, "")
    .slice(0, 37)
    .replace(/-+$/, "");
  return NAME.test(name) && name !== "postgres" ? name : otherwise;
}

async function askTier(questioner: Questioner): Promise<ServiceConfig["tier"]> {
  const lines = TIERS.map((tier) => {
    const usual = tierObjective(tier, "node-loss");
    return `  ${tier.padEnd(10)} may lose ${usual === undefined || usual.rpoMs === 0 ? "nothing" : formatGivenDuration(usual.rpoMs)}, back within ${formatGivenDuration(usual?.rtoMs ?? 0)}`;
  });
  const answer = await questioner.ask({
    about: `How much depends on it? The tier brings the usual objectives:\n${lines.join("\n")}`,
    text: "Which tier?",
    byDefault: "high",
    fault: (tier) => ((TIERS as readonly string[]).includes(tier) ? undefined : `one of ${TIERS.join(", ")}`),
  });
  return answer as ServiceConfig["tier"];
}

async function askObjective(
  questioner: Questioner,
  tier: ServiceConfig["tier"],
  given: GivenAnswers,
): Promise<{ rpo?: string; rto?: string }> {
  const usual = tierObjective(tier, "node-loss");
  const figure = async (text: string, usualMs: number | undefined, said: string | undefined): Promise<string | undefined> => {
    if (said !== undefined) return said;
    const answer = await questioner.ask({ text, byDefault: durationText(usualMs ?? 0), fault: durationFault });
    return parseDuration(answer) === usualMs ? undefined : answer;
  };
  const rpo = await figure("How much may be lost when a machine or a zone is? (newest writes, as time)", usual?.rpoMs, given.rpo);
  const rto = await figure("How long may it be away then?", usual?.rtoMs, given.rto);
  return defined({ rpo, rto });
}

async function askBusiness(questioner: Questioner): Promise<BusinessConfig | undefined> {
  const unit = await optional(questioner, {
    text: "What is a loss counted in? (a plural, such as orders; empty: nothing)",
    fault: (answer) => (answer === "" || UNIT.test(answer) ? undefined : "a word, at most 40 long"),
  });
  if (unit === undefined) return undefined;
  const perHour = Number(await questioner.ask({ text: `How many ${unit} are there in an hour?`, fault: amountFault }));
  const revenue = await optional(questioner, {
    text: "What does an hour earn? (such as EUR 24000; empty: not said)",
    fault: (answer) => (answer === "" || parseRevenue(answer) !== undefined ? undefined : "a currency and a number, such as EUR 24000"),
  });
  const parsed = revenue === undefined ? undefined : parseRevenue(revenue);
  return { unit, perHour, ...(parsed === undefined ? {} : { revenue: parsed }) };
}

/** `EUR 24000` or `EUR:24000`; undefined when it is neither. */
export function parseRevenue(text: string): NonNullable<BusinessConfig["revenue"]> | undefined {
  const match = /^([A-Z]{3})[ :](\d+(?:\.\d+)?)$/.exec(text);
  const perHour = Number(match?.[2]);
  return match?.[1] === undefined || !(perHour > 0) || perHour > MOST ? undefined : { currency: match[1], perHour };
}

const MOST = 1e12;

/** What is wrong with a number of things in an hour. */
export function amountFault(text: string): string | undefined {
  return /^\d+(\.\d+)?$/.test(text) && Number(text) > 0 && Number(text) <= MOST ? undefined : "a number above 0";
}

/** What is wrong with a duration as the configuration takes it. */
export function durationFault(text: string): string | undefined {
  return /^(0|\d{1,9}(\.\d{1,3})?(ms|s|m|min|h|d))$/.test(text) ? undefined : "a duration such as 250ms, 5s, 10m, 24h or 7d, or 0";
}

function durationText(ms: number): string {
  if (ms === 0) return "0";
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  return ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1_000}s`;
}

async function optional(questioner: Questioner, question: Question): Promise<string | undefined> {
  const answer = await questioner.ask({ ...question, byDefault: "" });
  return answer === "" ? undefined : answer;
}

/** Without what is undefined. */
function defined<T extends object>(record: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>;
  };
}

/** Where the standbys listen that only a person can find. */
export async function askStandbys(questioner: Questioner, names: readonly string[]): Promise<Record<string, ListenAddress>> {
  const addresses: Record<string, ListenAddress> = {};
  for (const name of names) {
    const answer = await optional(questioner, {
      text: `Where does ${name} listen? (host:port; empty: leave it out)`,
      fault: (text) => (text === "" || parseAddress(text) !== undefined ? undefined : "host:port with a port of 1 to 65535"),
    });
    const address = answer === undefined ? undefined : parseAddress(answer);
    if (address !== undefined) addresses[name] = address;
  }
  return addresses;
}
