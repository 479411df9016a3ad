// Those who read what the receiver wrote, and what they add to the vault's HTTP and status: serving, commits, archive. A folder
// that has never met its cluster does not know the size of a segment; they begin once it does.
import type { Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import type { FastifyInstance } from "fastify";
import type { VaultConfig } from "../config/config.ts";
import type { StatusParts } from "./describe-vault.ts";
import { VaultShelf } from "./serving/vault-shelf.ts";
import { addWalRoutes } from "./serving/wal-routes.ts";
import type { Vault } from "./vault.ts";

export class VaultReaders {
  readonly #vault: Vault;
  readonly #config: VaultConfig;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(vault: Vault, world: { config: VaultConfig; clock: Clock; logger: Logger }) {
    this.#vault = vault;
    this.#config = world.config;
    this.#clock = world.clock;
    this.#logger = world.logger;
  }

  /** What they add to the status. */
  get statusParts(): Pick<StatusParts, "commits" | "archive"> {
    return {};
  }

  addRoutes(server: FastifyInstance): void {
    addWalRoutes(server, new VaultShelf({ vault: this.#vault, archive: () => undefined }));
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#metCluster(signal);
    this.#logger.debug({ stores: this.#config.archive.stores.length, atMs: this.#clock.wallMs() }, "reads what is received");
  }

  /** Resolves when it is known whose WAL this is. */
  #metCluster(signal: AbortSignal): Promise<void> {
    if (this.#vault.file.segmentBytes !== undefined || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#vault.onEvent((event) => {
        if (event.kind === "file" && event.change.kind === "cluster") resolve();
      });
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}
