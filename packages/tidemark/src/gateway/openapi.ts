import type { FastifySchema } from "fastify";

/** The head of the OpenAPI description; the routes add their schemas. It names no server: addresses are the configuration's. */
export const OPENAPI_DOCUMENT = {
  openapi: "3.1.0",
  info: {
    title: "Tidemark gateway",
    version: "1",
    description:
      "Durable writes: validated, journalled, acknowledged with a receipt, applied to PostgreSQL exactly once. docs/writes-api.md tells the story.",
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  components: { securitySchemes: { bearer: { type: "http" as const, scheme: "bearer" } } },
};

/** Schemas here describe; acceptance validates. */
interface RouteSchema extends FastifySchema {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
}

const text = { type: "string" };
const time = { type: "string", format: "date-time" };

const write = {
  $id: "Write",
  type: "object",
  description: "A write. Nothing else is allowed beside these members.",
  required: ["command", "idempotencyKey"],
  additionalProperties: false,
  properties: {
    command: { ...text, description: "A command of tidemark.yaml." },
    args: { type: "object", description: "Arguments that fit the command's schema. Absent: {}." },
    key: { ...text, minLength: 1, maxLength: 512, description: "Overrides the partition key that the command takes from its arguments." },
    idempotencyKey: {
      ...text,
      minLength: 1,
      maxLength: 255,
      description: "Chosen by the writer, kept for repeats. For a single write the Idempotency-Key header may stand instead.",
    },
  },
};

const domain = { type: "object", additionalProperties: text, description: 'Where a copy lives, such as {"machine":"db1","zone":"a"}.' };

const applied = {
  type: "object",
  description: "The commit that the write took effect in. lsn is null where it is no longer remembered; `note` says so.",
  properties: {
    lsn: { type: ["string", "null"] },
    timeline: { type: "integer" },
    epoch: { type: "integer" },
    at: time,
    provisional: {
      type: "boolean",
      description: "The copies are asynchronous: a failover may take it back, healing then applies it again.",
    },
    note: text,
  },
};

const verdict = { type: "object", properties: { reason: text, by: text, sqlstate: text, constraint: text } };

const receipt = {
  $id: "Receipt",
  type: "object",
  required: [
    "id",
    "command",
    "journal",
    "partition",
    "sequence",
    "frozenId",
    "acceptedAt",
    "keyRememberedUntil",
    "keyRememberedWrites",
    "durable",
    "survives",
    "guarantee",
    "status",
  ],
  properties: {
    id: { ...text, description: "Names the write in this API: w_, the last 8 characters of the journal's UUID, _, the sequence." },
    command: text,
    journal: { ...text, format: "uuid" },
    partition: { type: "integer" },
    sequence: { ...text, description: "Place in the journal, a 64-bit decimal." },
    frozenId: {
      type: ["string", "null"],
      format: "uuid",
      description: "The value of :id in the command's statements. null in the answer to a repeat whose record the journal has forgotten.",
    },
    acceptedAt: { ...time, description: "The value of :accepted_at in the command's statements." },
    keyRememberedUntil: {
      ...time,
      description:
        "A repeat of the idempotency key gets this receipt until then, or until keyRememberedWrites further writes were accepted, whichever ends first.",
    },
    keyRememberedWrites: { type: "integer" },
    durable: { type: "array", items: domain, description: "The failure domains that the journal is durable in." },
    survives: { type: "array", items: text, description: "The scenarios that an acknowledged write of this store survives." },
    guarantee: { ...text, description: "The same in words." },
    status: { enum: ["journalled", "applied", "rejected", "parked", "discarded", "replayed"] },
    applied,
    rows: {
      type: "array",
      description: "With Prefer: wait: the rows that the statements returned, one array for each statement.",
      items: { type: "array", items: { type: "object" } },
    },
    deadLetter: { type: "boolean" },
    replayedAs: text,
    verdict,
    trimmed: { type: "boolean", description: "The journal has forgotten the write; only id and status are left." },
  },
};

const problem = {
  $id: "Problem",
  type: "object",
  description: "RFC 9457.",
  required: ["type", "title", "status", "detail", "code", "retry", "hint"],
  properties: {
    type: text,
    title: text,
    status: { type: "integer" },
    detail: text,
    code: { ...text, description: "One of docs/errors.md." },
    retry: { enum: ["never", "later", "unknown"], description: "unknown: it may have taken effect; repeat with the same idempotency key." },
    hint: text,
    field: { ...text, description: "JSON Pointer into the write." },
    line: { type: "integer", description: "Line of the batch, from 1." },
    write: { ...text, description: "Id of the write, where it stands in the journal." },
    retryAfterSeconds: { type: "number" },
  },
};

/** Schemas that several addresses share; the description refers to them by name. */
export const SHARED_SCHEMAS = [write, receipt, problem];
const WRITE = { $ref: "Write#" };
const RECEIPT = { $ref: "Receipt#" };
const PROBLEM = { $ref: "Problem#" };

const problems = (...statuses: number[]): Record<string, object> =>
  Object.fromEntries(
    statuses.map((status) => [status, { description: "A problem.", content: { "application/problem+json": { schema: PROBLEM } } }]),
  );
const json = (description: string, schema: object): object => ({ description, content: { "application/json": { schema } } });
const secured = { security: [{ bearer: [] }] };

export const writesSchema: RouteSchema = {
  operationId: "acceptWrites",
  summary: "Accept a write, or a batch",
  description:
    "One object as application/json; an array of them; or application/x-ndjson, one object a line. A batch is answered with one result per write, in order, each a receipt or a problem; " +
    "its status is 200 or 202 when every write has it, else 207. A write that is refused does not keep the others of its batch from being accepted.",
  tags: ["writes"],
  ...secured,
  headers: {
    type: "object",
    properties: {
      "idempotency-key": { ...text, description: "The idempotency key of a single write." },
      prefer: {
        ...text,
        description:
          "wait=N: wait up to N seconds until the write is applied; answers 200 with the commit and its rows, or 202 with the receipt.",
      },
    },
  },
  body: {
    content: {
      "application/json": { schema: { oneOf: [WRITE, { type: "array", items: WRITE }] } },
      "application/x-ndjson": { schema: WRITE },
    },
  },
  response: {
    200: json("Applied.", RECEIPT),
    202: json("Accepted: durable where the receipt says.", RECEIPT),
    207: {
      description: "The writes of the batch fared differently.",
      content: { "application/x-ndjson": { schema: { oneOf: [RECEIPT, PROBLEM] } } },
    },
    ...problems(400, 401, 403, 409, 413, 415, 422, 429, 500, 503, 504),
  },
};

const idParameter = { type: "object", properties: { id: { ...text, description: "Id of a write." } } };
const storeParameter = { type: "object", properties: { store: text } };

export const writeLookupSchema: RouteSchema = {
  operationId: "findWrite",
  summary: "What became of a write",
  tags: ["writes"],
  ...secured,
  params: idParameter,
  headers: {
    type: "object",
    properties: {
      prefer: { ...text, description: "wait=N: a journalled write is waited for, up to N seconds, until it is applied or judged." },
    },
  },
  response: { 200: json("The receipt with its status.", RECEIPT), ...problems(401, 403, 404) },
};

export const deadLettersSchema: RouteSchema = {
  operationId: "listDeadLetters",
  summary: "Writes that the database refused for good, and those that wait behind them",
  tags: ["dead letters"],
  ...secured,
  querystring: {
    type: "object",
    properties: {
      after: { ...text, description: "Id: only later ones." },
      limit: { type: "integer", minimum: 1, maximum: 500, default: 100 },
    },
  },
  response: {
    200: json("A page, in order of the journal.", {
      type: "object",
      properties: { items: { type: "array", items: { type: "object" } }, next: { type: ["string", "null"] } },
    }),
    ...problems(401, 403, 422),
  },
};

const reason = (required: boolean): object => ({
  type: "object",
  ...(required ? { required: ["reason"] } : {}),
  properties: { reason: text },
});
const released = { type: "array", items: text, description: "Ids of the new records of writes that had waited behind it." };

export const replaySchema: RouteSchema = {
  operationId: "replayDeadLetter",
  summary: "Give a rejected write another chance, as a new record",
  tags: ["dead letters"],
  ...secured,
  params: idParameter,
  body: reason(false),
  response: {
    202: json("Journalled again.", { type: "object", properties: { replayedAs: text, released } }),
    ...problems(401, 403, 409, 500, 503),
  },
};

export const discardSchema: RouteSchema = {
  operationId: "discardDeadLetter",
  summary: "Give a write up for good, with a reason that the audit log keeps",
  tags: ["dead letters"],
  ...secured,
  params: idParameter,
  body: reason(true),
  response: { 200: json("Discarded.", { type: "object", properties: { released } }), ...problems(401, 403, 409, 422, 500, 503) },
};

export const reapplySchema: RouteSchema = {
  operationId: "reapplyStore",
  summary: "Let the applier go on with a restored database, but for the writes that the recovery was for",
  tags: ["stores"],
  ...secured,
  params: storeParameter,
  body: {
    type: "object",
    required: ["reason"],
    properties: { reason: text, except: { type: "array", items: text, description: "Ids of writes that must not return." } },
  },
  response: {
    202: json("Told the applier.", { type: "object", properties: { except: { type: "array", items: text } } }),
    ...problems(401, 403, 404, 422, 500, 503),
  },
};

export const pauseSchema = (paused: boolean): RouteSchema => ({
  operationId: paused ? "pauseStore" : "resumeStore",
  summary: paused ? "Stop applying; acceptance goes on" : "Go on applying",
  tags: ["stores"],
  ...secured,
  params: storeParameter,
  response: { 202: json("Told the applier.", { type: "object", properties: { paused: { type: "boolean" } } }), ...problems(401, 403, 404) },
});

const open = (operationId: string, summary: string, description: string): RouteSchema => ({
  operationId,
  summary,
  tags: ["operation"],
  response: { 200: json(description, { type: "object" }) },
});

export const healthSchema = open("health", "The process answers", "It does.");
export const readySchema: RouteSchema = {
  ...open("ready", "Writes are accepted now", "They are."),
  response: { 200: json("They are.", { type: "object" }), ...problems(503) },
};
export const statusSchema: RouteSchema = { ...open("status", "Journal, appliers, limits, at this moment", "The status."), ...secured };
export const metricsSchema: RouteSchema = {
  operationId: "metrics",
  summary: "The same for Prometheus",
  tags: ["operation"],
  ...secured,
  response: { 200: { description: "Text.", content: { "text/plain": { schema: text } } } },
};

export const writeLivesSchema: RouteSchema = {
  operationId: "writeLives",
  summary: "The lives of some writes, as spans: a fair sample of every minute, and those that were slowest to be journalled",
  tags: ["operation"],
  ...secured,
  response: {
    200: json("Writes with their stages, the slowest first.", {
      type: "object",
      required: ["sample", "slowest", "unfollowed"],
      properties: {
        sample: { type: "array", items: { type: "object" } },
        slowest: { type: "array", items: { type: "object" } },
        unfollowed: { type: "integer", minimum: 0, description: "Writes that should have been followed when too many were under way." },
      },
    }),
  },
};
