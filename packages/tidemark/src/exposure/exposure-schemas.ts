// The description of the HTTP API of exposure and history, for OpenAPI. It describes and does not serialize: a serializer that
// is made from a schema writes 0 where there is no number.
import { PROBLEM } from "../cluster/problem-schema.ts";
import { SCENARIOS } from "../objectives/failure-domain.ts";

const TEXT = { type: "string" } as const;
const NUMBER = { type: "number" } as const;
const COUNT = { type: "integer", minimum: 0 } as const;
const TIME = { type: "number", description: "Wall time, milliseconds since 1970." } as const;

const METHODS = ["canary", "commit-record", "position-history", "reported", "synchronous", "observed"];

/** A known value, or why it is not known: then there is no number in it. */
function figureSchema(value: object): object {
  return {
    oneOf: [
      {
        type: "object",
        required: ["known", "value", "atMs", "method", "errorMs"],
        additionalProperties: false,
        properties: {
          known: { const: true },
          value,
          atMs: TIME,
          method: { enum: METHODS },
          errorMs: { type: "number", minimum: 0, description: "The value is right within so much, milliseconds of its time." },
        },
      },
      {
        type: "object",
        required: ["known", "why", "sinceMs"],
        additionalProperties: false,
        properties: { known: { const: false }, why: TEXT, sinceMs: TIME },
      },
    ],
  };
}

const FIGURE = figureSchema(NUMBER);

const POINT = {
  type: "object",
  required: ["commitMs", "complete"],
  properties: { commitMs: TIME, complete: { type: "boolean" }, lsn: TEXT, timeline: COUNT, sequence: COUNT },
};

const EXPOSURE = {
  type: "object",
  required: [
    "service",
    "scenario",
    "recoveryPoint",
    "exposureMs",
    "bytes",
    "transactions",
    "uses",
    "recoveryTimeMs",
    "judgement",
    "notCovered",
  ],
  additionalProperties: false,
  properties: {
    service: TEXT,
    scenario: { enum: SCENARIOS },
    objective: { type: "object", required: ["rpoMs", "rtoMs"], properties: { rpoMs: NUMBER, rtoMs: NUMBER } },
    recoveryPoint: figureSchema(POINT),
    exposureMs: { ...FIGURE, description: "Milliseconds of acknowledged writes that would be lost now; 0 only when nothing is missing." },
    bytes: FIGURE,
    transactions: FIGURE,
    business: {
      type: "object",
      required: ["unit", "amount"],
      properties: {
        unit: TEXT,
        amount: FIGURE,
        revenue: {
          type: "object",
          required: ["currency", "amount"],
          properties: { currency: { ...TEXT, description: "ISO 4217." }, amount: FIGURE },
        },
      },
    },
    uses: {
      type: "array",
      items: {
        type: "object",
        required: ["store", "copy", "proven"],
        properties: { store: TEXT, copy: TEXT, onto: TEXT, proven: { type: "boolean" } },
      },
    },
    provenExposureMs: FIGURE,
    recoveryTimeMs: FIGURE,
    judgement: { enum: ["within", "above", "unknown", "no-objective"] },
    lost: { type: "array", items: TEXT, description: "Stores of which certainly nothing would be left." },
    notCovered: { type: "array", items: TEXT, description: "What the number does not cover." },
  },
};

function answer(description: string, properties: Readonly<Record<string, object>>): object {
  return { description, type: "object", required: Object.keys(properties), properties };
}

const filters = {
  type: "object",
  properties: {
    service: { ...TEXT, description: "Only this service." },
    scenario: { enum: SCENARIOS, description: "Only this scenario." },
  },
};

export const exposureSchema = {
  summary: "What would be lost now, per service and scenario",
  tags: ["exposure"],
  querystring: filters,
  response: { 200: answer("The exposure.", { atMs: TIME, exposures: { type: "array", items: EXPOSURE } }), 404: PROBLEM },
};

export const copiesSchema = {
  summary: "The stores and their copies, as they were seen last",
  tags: ["exposure"],
  response: {
    200: answer("The facts that exposure is reckoned from.", { atMs: TIME, stores: { type: "array", items: { type: "object" } } }),
  },
};

export const writeLivesSchema = {
  summary: "The lives of some writes: a fair sample, and the slowest",
  tags: ["exposure"],
  response: {
    200: answer("Writes with their stages as spans, the slowest first.", {
      sample: { type: "array", items: { type: "object" } },
      slowest: { type: "array", items: { type: "object" } },
      unfollowed: COUNT,
    }),
    503: PROBLEM,
  },
};

/** A column with null where there is no number. */
const COLUMN = { type: "array", items: { type: ["number", "null"] } };

const series = { metric: TEXT, labels: { type: "object", additionalProperties: TEXT } };

export const historySchema = {
  summary: "A figure over time, as columns; gaps and what was not known stay visible",
  description: "Labels are given as `label.<name>=<value>`. Times are milliseconds since 1970 or ISO 8601.",
  tags: ["history"],
  querystring: {
    type: "object",
    required: ["metric"],
    properties: {
      metric: TEXT,
      from: { ...TEXT, description: "Default an hour before `to`." },
      to: { ...TEXT, description: "Default now." },
      points: { type: "integer", minimum: 1, maximum: 10_000, default: 600 },
    },
  },
  response: {
    200: answer("One entry a step in every column; null where nothing was known.", {
      ...series,
      resolution: { enum: ["seconds", "minutes", "hours"] },
      stepMs: NUMBER,
      startMs: TIME,
      min: COLUMN,
      max: COLUMN,
      mean: COLUMN,
      known: { type: "array", items: COUNT, description: "Seconds of the step with a value." },
      unknown: { type: "array", items: COUNT, description: "Seconds of the step that were looked at without a value. Neither: a gap." },
    }),
    404: PROBLEM,
    422: PROBLEM,
    503: PROBLEM,
  },
};

export const seriesSchema = {
  summary: "The series of the history",
  tags: ["history"],
  querystring: { type: "object", properties: { metric: TEXT } },
  response: {
    200: answer("Names of series, and whether they are being written.", {
      series: { type: "array", items: { type: "object", required: ["metric", "labels"], properties: series } },
      writing: { type: "boolean" },
    }),
  },
};
