// The HTTP API of exposure and history, for the console and for scripts. Errors are problems (RFC 9457): the server's error handler
// makes them of TidemarkErrors. Answers are written by JSON.stringify alone (see exposure-schemas.ts).
/* oxlint-disable oxc/no-async-endpoint-handlers -- made for Express; Fastify awaits its handlers */
import type { FastifyInstance } from "fastify";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { History, HistoryRange } from "../history/history.ts";
import type { SeriesName } from "../history/series-book.ts";
import { describeWriteLives, type WriteLives } from "../metrics/write-life.ts";
import type { StoreFacts } from "../probes/probe-result.ts";
import type { ScenarioExposure } from "./exposure.ts";
import { copiesSchema, exposureSchema, historySchema, seriesSchema, writeLivesSchema } from "./exposure-schemas.ts";

const HOUR_MS = 3_600_000;
const DEFAULT_POINTS = 600;

export interface ExposureParts {
  /** Wall time, milliseconds. */
  readonly nowMs: () => number;
  /** The last exposure that was reckoned, and when. */
  readonly exposures: () => { readonly atMs: number; readonly exposures: readonly ScenarioExposure[] };
  readonly stores: () => readonly StoreFacts[];
  readonly history: Pick<History, "range" | "list" | "state">;
  /** The gateway's: rejects when it does not answer. */
  readonly writeLives: () => Promise<WriteLives>;
}

type Query = Readonly<Record<string, unknown>>;

export function addExposureRoutes(server: FastifyInstance, parts: ExposureParts): void {
  const plain = { validatorCompiler: () => () => true, serializerCompiler: () => (value: unknown) => JSON.stringify(value) };

  server.get<{ Querystring: Query }>("/v1/exposure", { ...plain, schema: exposureSchema }, async ({ query }) => {
    const { atMs, exposures } = parts.exposures();
    const [service, scenario] = [textOf(query, "service"), textOf(query, "scenario")];
    if (service !== undefined && !exposures.some((one) => one.service === service)) throw noService(service);
    return {
      atMs,
      exposures: exposures.filter(
        (one) => (service === undefined || one.service === service) && (scenario === undefined || one.scenario === scenario),
      ),
    };
  });

  server.get("/v1/copies", { ...plain, schema: copiesSchema }, async () => ({ atMs: parts.nowMs(), stores: parts.stores() }));

  server.get("/v1/write-lives", { ...plain, schema: writeLivesSchema }, async () => describeWriteLives(await parts.writeLives()));

  server.get<{ Querystring: Query }>("/v1/history", { ...plain, schema: historySchema }, async ({ query }) => {
    const metric = textOf(query, "metric");
    if (metric === undefined) throw badRange("metric is missing");
    const name: SeriesName = { metric, labels: labelsOf(query) };
    const toMs = timeOf(query, "to") ?? parts.nowMs();
    const fromMs = timeOf(query, "from") ?? toMs - HOUR_MS;
    const points = textOf(query, "points");
    const range = parts.history.range(name, { fromMs, toMs, points: points === undefined ? DEFAULT_POINTS : Number(points) });
    return { ...name, ...columnsOf(range) };
  });

  server.get<{ Querystring: Query }>("/v1/history/series", { ...plain, schema: seriesSchema }, async ({ query }) => ({
    series: parts.history.list(textOf(query, "metric"), labelsOf(query)),
    writing: parts.history.state().writing,
  }));
}

function columnsOf({ tier, stepMs, startMs, buckets }: HistoryRange): object {
  return {
    resolution: tier,
    stepMs,
    startMs,
    min: buckets.map(({ values }) => values?.min ?? null),
    max: buckets.map(({ values }) => values?.max ?? null),
    mean: buckets.map(({ values, known }) => (values === undefined ? null : values.sum / known)),
    known: buckets.map(({ known }) => known),
    unknown: buckets.map(({ unknown }) => unknown),
  };
}

const LABEL = "label.";

function labelsOf(query: Query): Record<string, string> {
  const names = Object.keys(query).filter((name) => name.startsWith(LABEL));
  return Object.fromEntries(names.map((name) => [name.slice(LABEL.length), textOf(query, name) ?? ""]));
}

function textOf(query: Query, name: string): string | undefined {
  const value = query[name];
  if (value === undefined || (typeof value === "string" && value !== "" && value.length <= 500)) return value;
  throw badRange(`${name.slice(0, 80)} must be given once, as text of at most 500 characters`);
}

/** Milliseconds, or ISO 8601 with a time zone. */
function timeOf(query: Query, name: string): number | undefined {
  const text = textOf(query, name);
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) : /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw badRange(`${name} must be milliseconds since 1970, or ISO 8601 with a time zone`);
  return ms;
}

function badRange(why: string): TidemarkError {
  return new TidemarkError("TM-HISTORY-RANGE", why);
}

function noService(service: string): TidemarkError {
  return new TidemarkError("TM-EXPOSURE-NO-SERVICE", `"${service.slice(0, 80)}" is not in the configuration`);
}
