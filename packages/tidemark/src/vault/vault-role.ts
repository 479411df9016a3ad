// One vault as a process: its receiver, its HTTP, its heartbeats to control, and those who read what was received.
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import { ControlLink } from "../cluster/agent/control-link.ts";
import { HttpLeaseStore } from "../cluster/http-lease-store.ts";
import { InternalClient } from "../cluster/internal-client.ts";
import { roleServer } from "../cluster/role-server.ts";
import type { Config, StoreConfig, VaultConfig } from "../config/config.ts";
import { readOrCreateSecret } from "../platform/secret-files.ts";
import { DiskMeasure, asMember, describeVault } from "./describe-vault.ts";
import { VaultReaders } from "./vault-readers.ts";
import { SlotWatch } from "./slot-watch.ts";
import { VaultMetrics } from "./vault-metrics.ts";
import { VAULT_OPEN_PATHS, addVaultRoutes } from "./vault-server.ts";
import type { VaultStatus } from "./vault-status.ts";
import { Vault } from "./vault.ts";
import { RecordSource } from "./wal-source.ts";

export interface VaultRoleOptions {
  readonly config: Config;
  /** Name of its store; needed only where two stores have a vault of that name. */
  readonly store?: string;
  /** Name of the vault in the configuration. */
  readonly vault: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends the vault in order. A killed one loses nothing that it acknowledged. */
  readonly signal: AbortSignal;
  /** Called once the vault answers requests; its local WAL may still be being read. */
  readonly onReady?: () => void;
}

/** Time between two heartbeats, milliseconds; news goes at once. */
const BEAT_MS = 250;
/** Time between two looks at the disk, milliseconds. */
const DISK_MS = 5_000;

/**
 * Runs one vault until `signal` aborts. Rejects when its port is taken, its folder is another's or in use, with
 * TM-VAULT-FAIL-STOP after a failed write or flush (the process must end), and on unknown names.
 */
export async function runVaultRole(options: VaultRoleOptions): Promise<void> {
  const { config, clock, random } = options;
  const { storeName, store, vault: own } = findVault(options);
  const logger = options.logger.child({ store: storeName, vault: own.name });
  const token = await readOrCreateSecret(config.control.internalTokenFile);
  const address = { host: config.control.host, port: config.control.port };
  const leaseStore = new HttpLeaseStore({ address, token, clock });
  const source = new RecordSource({ leaseStore, storeName, store, token, clock, logger });
  const vault = await Vault.open({ store: storeName, name: own.name, directory: own.directory, source, clock, logger, random });
  const inner = new AbortController();
  const signal = AbortSignal.any([options.signal, inner.signal]);
  const slot = new SlotWatch(clock, () => {
    const target = vault.following;
    return target === undefined ? undefined : { target, identity: vault.file.identity };
  });
  const disk = new DiskMeasure(own.directory);
  const readers = new VaultReaders(vault, { config: own, clock, random, logger, environment: process.env });
  const status = (): VaultStatus => describeVault(vault, { slot, disk: () => disk.last, ...readers.statusParts });
  const control = new InternalClient({ address, token, clock, away: "TM-CLUSTER-AGENT-AWAY" });
  const link = new ControlLink({ client: control, clock, logger, status: () => asMember(vault, status(), source.revision) });
  vault.onEvent((event) => {
    if (event.kind !== "sealed") link.beat();
  });
  const server = roleServer({ token, logger, open: VAULT_OPEN_PATHS });
  addVaultRoutes(server, { vault, status, metrics: new VaultMetrics(status) });
  readers.addRoutes(server);
  const services: Promise<void>[] = [];
  let running: Promise<void> | undefined;
  try {
    await server.listen({ host: own.host, port: own.port });
    options.onReady?.();
    services.push(
      slot.run(signal),
      repeatedly(clock, BEAT_MS, signal, () => link.beat()),
      repeatedly(clock, DISK_MS, signal, () => disk.measure()),
      // Those who read end last: what the receiver got until it was stopped is still archived.
      readers.run(inner.signal),
    );
    // A service that fails ends the vault; one that ends waits for the others.
    running = vault.run(signal);
    await Promise.race([running, ...services.map((service) => service.then(() => new Promise<never>(() => undefined)))]);
    await readers.finish();
  } finally {
    inner.abort();
    await Promise.allSettled([running, ...services]);
    await server.close();
    await vault.close();
  }
}

async function repeatedly(clock: Clock, everyMs: number, signal: AbortSignal, work: () => void | Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await work();
    await sleep(clock, everyMs, signal).catch(() => undefined);
  }
}

function findVault({ config, store: wanted, vault }: VaultRoleOptions): { storeName: string; store: StoreConfig; vault: VaultConfig } {
  const found = Object.entries(config.stores)
    .filter(([name]) => wanted === undefined || name === wanted)
    .flatMap(([storeName, store]) => store.vaults.filter((one) => one.name === vault).map((one) => ({ storeName, store, vault: one })));
  const [only] = found;
  if (only === undefined || found.length > 1) {
    throw new TidemarkError(
      "TM-CLUSTER-UNKNOWN-STORE",
      `there ${only === undefined ? "is no vault" : "is more than one vault"} ${vault} in ${config.file}`,
    );
  }
  return only;
}
