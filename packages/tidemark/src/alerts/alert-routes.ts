// The HTTP API of judgement, for the command line and the console: alerts and their transitions, silences, copies that are to be
// forgotten, error budgets. Errors are problems (RFC 9457): the server's error handler makes them of TidemarkErrors. Answers are
// written by JSON.stringify alone (see exposure-schemas.ts).
/* oxlint-disable oxc/no-async-endpoint-handlers -- made for Express; Fastify awaits its handlers */
import type { FastifyInstance } from "fastify";
import { TidemarkError } from "@tidemark/kernel/errors";
import { objectOf, textOf, wholeNumberOf } from "../cluster/role-server.ts";
import type { BudgetReport } from "../slo/budget-book.ts";
import {
  alertsSchema,
  budgetsSchema,
  endSilenceSchema,
  forgetCopySchema,
  silenceSchema,
  silencesSchema,
  transitionsSchema,
} from "./alert-schemas.ts";
import type { JudgementEngine } from "./judgement-engine.ts";
import type { Matchers } from "./silence.ts";

/** Transitions of one answer, and the most. */
const TRANSITIONS = 100;
const MOST_TRANSITIONS = 1_000;

export interface AlertParts {
  /** Wall time, milliseconds. */
  readonly nowMs: () => number;
  /** Judgement as it is now: after a fault it is opened anew. */
  readonly engine: () => Pick<JudgementEngine, "alerts" | "transitions" | "silences" | "silence" | "endSilence" | "forgetCopy" | "stats">;
  readonly budgets: () => BudgetReport;
  /** Where runbook pages are: `<base>/<rule>.md`. */
  readonly runbooks: string;
}

export function addAlertRoutes(server: FastifyInstance, parts: AlertParts): void {
  const plain = { validatorCompiler: () => () => true, serializerCompiler: () => (value: unknown) => JSON.stringify(value) };
  const withRunbook = <T extends { readonly rule: string }>(one: T): T & { runbook: string } => ({
    ...one,
    runbook: `${parts.runbooks}/${one.rule}.md`,
  });

  server.get("/v1/alerts", { ...plain, schema: alertsSchema }, async () => {
    const atMs = parts.nowMs();
    const engine = parts.engine();
    return { atMs, alerts: engine.alerts(atMs).map(withRunbook), ...engine.stats() };
  });

  server.get<{ Querystring: { limit?: string } }>("/v1/alerts/transitions", { ...plain, schema: transitionsSchema }, async ({ query }) => {
    const limit = wholeNumberOf(query.limit ?? TRANSITIONS, "limit");
    if (limit < 1 || limit > MOST_TRANSITIONS) throw new TidemarkError("TM-CLUSTER-REQUEST", `limit must be from 1 to ${MOST_TRANSITIONS}`);
    return { atMs: parts.nowMs(), transitions: parts.engine().transitions(limit).map(withRunbook) };
  });

  server.get("/v1/silences", { ...plain, schema: silencesSchema }, async () => ({
    atMs: parts.nowMs(),
    silences: parts.engine().silences(),
  }));

  server.post("/v1/silences", { ...plain, schema: silenceSchema }, async ({ body }, reply) => {
    const asked = objectOf(body);
    const silence = await parts.engine().silence({
      matchers: matchersOf(asked["matchers"]),
      endsAtMs: endOf(asked, parts.nowMs()),
      who: textOf(asked["who"], "who"),
      why: textOf(asked["why"], "why"),
    });
    return reply.status(201).send(silence);
  });

  server.delete<{ Params: { id: string } }>("/v1/silences/:id", { ...plain, schema: endSilenceSchema }, async ({ params, body }, reply) => {
    await parts.engine().endSilence(params.id, answerable(objectOf(body)));
    return reply.status(204).send();
  });

  server.post("/v1/copies/forget", { ...plain, schema: forgetCopySchema }, async ({ body }) => {
    const asked = objectOf(body);
    const of = { store: textOf(asked["store"], "store"), copy: textOf(asked["copy"], "copy") };
    return { ...of, known: await parts.engine().forgetCopy(of, answerable(asked)) };
  });

  server.get("/v1/budgets", { ...plain, schema: budgetsSchema }, async () => parts.budgets());
}

/** Who asks and why: what the audit log keeps. */
function answerable(body: Readonly<Record<string, unknown>>): { who: string; why: string } {
  return { who: textOf(body["who"], "who"), why: textOf(body["why"], "why") };
}

/** What it is about is checked where silences are made: names and values. */
function matchersOf(value: unknown): Matchers {
  return objectOf(value);
}

/** `forMs` from now on by control's clock, or `endsAtMs`: one of both. */
function endOf(body: Readonly<Record<string, unknown>>, nowMs: number): number {
  const { forMs, endsAtMs } = body;
  if ((forMs === undefined) === (endsAtMs === undefined))
    throw new TidemarkError("TM-ALERT-SILENCE", "a silence has either forMs or endsAtMs");
  return endsAtMs === undefined ? nowMs + wholeNumberOf(forMs, "forMs") : wholeNumberOf(endsAtMs, "endsAtMs");
}
