// How control reaches what it measures: where the files lie, who tells of the vaults, and the routes.
import { join } from "node:path";
import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { addAlertRoutes } from "../alerts/alert-routes.ts";
import type { VaultFacts } from "../alerts/observation.ts";
import { addExposureRoutes, type ExposureParts } from "../exposure/exposure-routes.ts";
import { MetricsPage } from "../metrics/metrics-page.ts";
import type { MeasurementOptions } from "../observer/measurement.ts";
import { Measurement } from "../observer/measurement.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import { CONTROL_OPENAPI } from "./control-openapi.ts";
import type { ServiceAccounts } from "./service-accounts.ts";

/** A vault that was heard longer ago says nothing of now, milliseconds. */
const HEARD_WITHIN_MS = 5_000;

/** `folder` is control's own in the state folder. */
export function openMeasurement(
  options: Omit<MeasurementOptions, "files" | "vaults"> & { readonly folder: string; readonly registry: AgentRegistry },
): Measurement {
  const { folder, registry, ...rest } = options;
  return new Measurement({
    ...rest,
    files: { history: join(folder, "history.sqlite"), alerts: join(folder, "alerts.sqlite") },
    vaults: () => vaultFacts(options.config.stores, registry),
  });
}

/** The routes of what is measured, and the description of the API as it is then; before control listens. */
export async function addMeasurementRoutes(
  server: FastifyInstance,
  measurement: Measurement,
  parts: Pick<ExposureParts, "nowMs" | "writeLives"> & { readonly accounts: ServiceAccounts; readonly runbooks: string },
): Promise<void> {
  const { nowMs, accounts, runbooks } = parts;
  await server.register(swagger, { openapi: CONTROL_OPENAPI, hideUntagged: true });
  await server.register((scope: FastifyInstance) => {
    addExposureRoutes(scope, {
      ...parts,
      exposures: () => measurement.known(),
      stores: () => measurement.known().stores,
      history: measurement.history,
    });
    addAlertRoutes(scope, { nowMs, engine: () => measurement.judgement.engine, budgets: () => accounts.budgets(), runbooks });
    return Promise.resolve();
  });
  server.get("/openapi.json", { schema: { hide: true } }, () => Promise.resolve(server.swagger()));
}

/** One page for Prometheus from control's own metrics and those of what is measured. */
export function metricsOf(
  own: { text(): Promise<string> },
  measured: { readonly measurement: Measurement; readonly accounts: ServiceAccounts },
): { readonly contentType: string; readonly text: () => Promise<string> } {
  const page = new MetricsPage(function* () {
    yield* measured.measurement.samples();
    yield* measured.accounts.samples();
  });
  return { contentType: page.contentType, text: async () => `${await own.text()}${await page.text()}` };
}

function vaultFacts(stores: MeasurementOptions["config"]["stores"], registry: AgentRegistry): VaultFacts[] {
  return Object.entries(stores).flatMap(([store, { vaults }]) =>
    vaults.map(({ name }): VaultFacts => {
      const heard = registry.heard(name);
      const status = heard !== undefined && heard.ageMs <= HEARD_WITHIN_MS ? heard.status.vault : undefined;
      return { store, vault: name, ...(status === undefined ? {} : { status }) };
    }),
  );
}
