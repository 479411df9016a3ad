// What `tidemark wal status` knows: what each vault says, and where one does not answer, what its object stores have.
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { VaultConfig } from "../config/config.ts";
import type { ArchiveStatus } from "../vault/archive/archive-status.ts";
import type { SystemSurvey } from "../vault/serving/store-survey.ts";
import { VaultWalClient } from "../vault/serving/vault-wal-client.ts";
import type { VaultStatus } from "../vault/vault-status.ts";
import { walToken, type WalPlace } from "./wal-place.ts";
import { walWorld } from "./wal-world.ts";

/** Another process says it, maybe of another version: whatever is missing is unknown. */
export type VaultSays = Partial<Omit<VaultStatus, "archive">> & { readonly archive?: Partial<ArchiveStatus> };

export type StoreSurveyed =
  | { readonly store: string; readonly known: true; readonly systems: readonly SystemSurvey[] }
  | { readonly store: string; readonly known: false; readonly why: string; readonly code?: string };

export interface VaultReport {
  readonly vault: string;
  readonly address: string;
  /** What it says; absent when it does not answer. */
  readonly status?: VaultSays;
  /** Why it does not answer. */
  readonly why?: string;
  /** Its object stores, looked into from here; only where it does not answer. */
  readonly stores: readonly StoreSurveyed[];
}

export interface WalReport {
  readonly formatVersion: 1;
  readonly at: string;
  readonly store: string;
  readonly vaults: readonly VaultReport[];
  /** What is wrong or unknown, one line each; empty when all is well. */
  readonly troubles: readonly string[];
}

/** Asks all vaults. Rejects with TM-PLATFORM-SECRET. */
export async function collectWalStatus(place: WalPlace): Promise<Omit<WalReport, "troubles">> {
  const token = await walToken(place.config);
  const vaults = await Promise.all(
    place.vaults.map(async (vault): Promise<VaultReport> => {
      const about = { vault: vault.name, address: `${vault.host}:${vault.port}` };
      try {
        const status = (await new VaultWalClient(vault, token).json("/status")) as VaultSays;
        return { ...about, status, stores: [] };
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error;
        const why = error.cause instanceof Error && hasCode(error, "TM-VAULT-AWAY") ? error.cause.message : error.message;
        return { ...about, why, stores: await surveyStores(vault) };
      }
    }),
  );
  return { formatVersion: 1, at: new Date(systemClock.wallMs()).toISOString(), store: place.store, vaults };
}

async function surveyStores(vault: VaultConfig): Promise<StoreSurveyed[]> {
  if (vault.archive.stores.length === 0) return [];
  const { openSurveys } = await import("../vault/serving/open-store-libraries.ts");
  return Promise.all(
    openSurveys(vault, walWorld()).map(async ({ name, survey }): Promise<StoreSurveyed> => {
      try {
        return { store: name, known: true, systems: await survey() };
      } catch (error) {
        if (!(error instanceof TidemarkError)) throw error;
        return { store: name, known: false, why: error.message, code: error.code };
      }
    }),
  );
}
