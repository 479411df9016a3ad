// The description of the HTTP API of judgement, for OpenAPI. It describes and does not serialize: see exposure-schemas.ts.
import { PROBLEM } from "../cluster/problem-schema.ts";
import { SCENARIOS } from "../objectives/failure-domain.ts";
import { MATCHABLE } from "./silence.ts";

const TEXT = { type: "string" } as const;
const NUMBER = { type: "number" } as const;
const COUNT = { type: "integer", minimum: 0 } as const;
const TIME = { type: "number", description: "Wall time, milliseconds since 1970." } as const;
const SEVERITY = { enum: ["page", "ticket"], description: "`page`: at any hour. `ticket`: in working hours." } as const;

const object = (required: Readonly<Record<string, object>>, optional: Readonly<Record<string, object>> = {}): object => ({
  type: "object",
  required: Object.keys(required),
  additionalProperties: false,
  properties: { ...required, ...optional },
});

const SUBJECT = object({}, { service: TEXT, scenario: TEXT, store: TEXT, copy: TEXT, vault: TEXT, archive: TEXT, receiver: TEXT });

/** What an alert and its transitions have in common. */
const OF_BOTH = {
  fingerprint: { ...TEXT, description: "The same for the same rule and subject." },
  rule: TEXT,
  subject: SUBJECT,
  severity: SEVERITY,
  group: TEXT,
  summary: TEXT,
  evidence: { type: "object", additionalProperties: { type: ["string", "number", "boolean"] } },
  runbook: { ...TEXT, description: "Where its page is." },
};

const ALERT = object(
  {
    ...OF_BOTH,
    state: { enum: ["pending", "firing"] },
    sinceMs: TIME,
    notified: { type: "boolean", description: "Whether receivers have been told." },
  },
  { owner: TEXT, startsAtMs: TIME, silencedBy: { ...TEXT, description: "The silence that is in force for it." } },
);

const TRANSITION = object(
  {
    ...OF_BOTH,
    id: { ...TEXT, description: "The same in every delivery of it." },
    kind: { enum: ["firing", "resolved"] },
    startsAtMs: TIME,
  },
  { owner: TEXT, endsAtMs: TIME, ended: { enum: ["clear", "gone", "off"] } },
);

const MATCHERS = { ...object({}, Object.fromEntries(MATCHABLE.map((name) => [name, TEXT]))), minProperties: 1 };

const SILENCE = object({ id: TEXT, matchers: MATCHERS, startsAtMs: TIME, endsAtMs: TIME, who: TEXT, why: TEXT });

const WHO = { ...TEXT, description: "Who asks, for the audit log: `user:<name>` or `token:<name>`." };
const WHY = { ...TEXT, description: "The reason, for the audit log." };

const COUNTS = object({
  goodSeconds: NUMBER,
  badSeconds: NUMBER,
  unknownSeconds: NUMBER,
  unseenSeconds: NUMBER,
  totalSeconds: NUMBER,
  errorSeconds: NUMBER,
});

const RECOVERIES = object(
  { events: COUNT, good: COUNT, lostTooMuch: COUNT, tookTooLong: COUNT, unknown: COUNT },
  { indicator: { ...NUMBER, description: "Absent without an event." } },
);

const WINDOW = object(
  {
    days: COUNT,
    target: NUMBER,
    counts: COUNTS,
    allowedSeconds: NUMBER,
    spentSeconds: NUMBER,
    spentUnknownSeconds: NUMBER,
    covered: { ...NUMBER, description: "Share of the window in which the objective was in force." },
    recoveries: RECOVERIES,
  },
  {
    indicator: { ...NUMBER, description: "Share of good seconds; absent while nothing was measured." },
    left: { ...NUMBER, description: "Share of the budget that is left, below 0 when overspent; absent while nothing was measured." },
  },
);

const BUDGETS = object(
  {
    service: TEXT,
    scenario: { enum: SCENARIOS },
    objective: object({ rpoMs: NUMBER, rtoMs: NUMBER }),
    target: NUMBER,
    windows: { type: "array", items: WINDOW },
  },
  { sinceMs: TIME },
);

const tags = ["alerts"];

function answer(description: string, properties: Readonly<Record<string, object>>): object {
  return { description, ...object(properties) };
}

export const alertsSchema = {
  summary: "Alerts that are pending or firing",
  tags,
  response: {
    200: answer("The alerts, and how many there are.", {
      atMs: TIME,
      alerts: { type: "array", items: ALERT },
      pending: COUNT,
      firing: COUNT,
      refused: { ...COUNT, description: "Alerts that did not begin because there were too many." },
    }),
  },
};

export const transitionsSchema = {
  summary: "Beginnings and ends of alerts, the newest first",
  tags,
  querystring: { type: "object", properties: { limit: { type: "integer", minimum: 1, maximum: 1_000, default: 100 } } },
  response: { 200: answer("The transitions.", { atMs: TIME, transitions: { type: "array", items: TRANSITION } }), 400: PROBLEM },
};

export const silencesSchema = {
  summary: "Silences that have not ended",
  tags,
  response: { 200: answer("The silences.", { atMs: TIME, silences: { type: "array", items: SILENCE } }) },
};

export const silenceSchema = {
  summary: "Puts a silence in force",
  description: "Written to the audit log first. Either `forMs` or `endsAtMs`; 30 days at most.",
  tags,
  body: object(
    { matchers: MATCHERS, who: WHO, why: WHY },
    { forMs: { ...COUNT, description: "From now on, milliseconds." }, endsAtMs: TIME },
  ),
  response: { 201: { description: "The silence.", ...SILENCE }, 400: PROBLEM, 422: PROBLEM },
};

export const endSilenceSchema = {
  summary: "Ends a silence before its time",
  tags,
  body: object({ who: WHO, why: WHY }),
  response: { 204: { description: "It is over.", type: "null" }, 400: PROBLEM, 404: PROBLEM },
};

export const forgetCopySchema = {
  summary: "Forgets a copy that was taken away on purpose",
  description: "Its alert ends and it is not missed any more. Seen again, it counts again.",
  tags,
  body: object({ store: TEXT, copy: TEXT, who: WHO, why: WHY }),
  response: {
    200: answer("Whether it was known at all.", { store: TEXT, copy: TEXT, known: { type: "boolean" } }),
    400: PROBLEM,
  },
};

export const budgetsSchema = {
  summary: "Error budgets per service and scenario, over 7, 28, 30 and 90 days",
  tags,
  response: { 200: answer("The budgets, a minute old at most.", { atMs: TIME, budgets: { type: "array", items: BUDGETS } }), 503: PROBLEM },
};
