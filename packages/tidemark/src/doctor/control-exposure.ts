// What the running control says of exposure. It has looked for longer than a survey can, and has the proofs; but it may be away, be another
// version, or run another configuration: then nothing is taken from it.
import { Redacted } from "@tidemark/kernel/redacted";
import type { Config } from "../config/config.ts";
import { formatAddress } from "../config/listen-address.ts";
import type { ScenarioExposure } from "../exposure/exposure.ts";
import { getJson } from "../probes/http-json.ts";
import { ProbeFault } from "../probes/postgresql/postgresql-fault.ts";
import type { SurveyedExposure } from "./configuration-survey.ts";

/** A second that control reckoned longer ago says nothing of now, milliseconds. */
const MOST_AGE_MS = 10_000;

/** Undefined: control gave no answer that can be used. Rejects with nothing that a control can do. */
export async function exposureOfControl(
  config: Pick<Config, "control" | "services">,
  asked: { readonly token: Redacted<string>; readonly nowMs: () => number; readonly signal: AbortSignal },
): Promise<SurveyedExposure | undefined> {
  try {
    const url = `http://${formatAddress(config.control)}/v1/exposure`;
    const answer = await getJson({ url, authorization: new Redacted(`Bearer ${asked.token.reveal()}`) }, asked.signal);
    const read = readExposures(answer);
    if (read === undefined || Math.abs(asked.nowMs() - read.atMs) > MOST_AGE_MS) return undefined;
    const services = new Set(read.exposures.map(({ service }) => service));
    const isSame = services.size === Object.keys(config.services).length && Object.keys(config.services).every((one) => services.has(one));
    return isSame ? { source: "control", ...read } : undefined;
  } catch (error) {
    if (error instanceof ProbeFault) return undefined;
    throw error;
  }
}

/** Undefined unless it is of the form that control writes. */
function readExposures(value: unknown): { atMs: number; exposures: readonly ScenarioExposure[] } | undefined {
  const { atMs, exposures } = (value ?? {}) as { atMs?: unknown; exposures?: unknown };
  if (typeof atMs !== "number" || !Array.isArray(exposures)) return undefined;
  return exposures.every(isExposure) ? { atMs, exposures } : undefined;
}

function isExposure(value: unknown): value is ScenarioExposure {
  if (typeof value !== "object" || value === null) return false;
  const one = value as Readonly<Record<string, unknown>>;
  return (
    typeof one["service"] === "string" &&
    typeof one["scenario"] === "string" &&
    ["within", "above", "unknown", "no-objective"].includes(String(one["judgement"])) &&
    [one["exposureMs"], one["bytes"], one["recoveryTimeMs"]].every(isFigure) &&
    [one["uses"], one["notCovered"]].every(Array.isArray)
  );
}

function isFigure(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { known, value: number, errorMs, why } = value as Readonly<Record<string, unknown>>;
  return known === true ? typeof number === "number" && typeof errorMs === "number" : known === false && typeof why === "string";
}
