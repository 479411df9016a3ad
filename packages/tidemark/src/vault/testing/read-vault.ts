// A vault with those who read what it received, as the role puts them together, for tests: commits, archive in a folder, HTTP.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import type { FastifyInstance } from "fastify";
import { roleServer } from "../../cluster/role-server.ts";
import type { VaultConfig } from "../../config/config.ts";
import type { ArchiveLimits } from "../archive/archive-options.ts";
import { describeVault } from "../describe-vault.ts";
import { VaultMetrics } from "../vault-metrics.ts";
import { VaultReaders } from "../vault-readers.ts";
import { addVaultRoutes } from "../vault-server.ts";
import type { VaultStatus } from "../vault-status.ts";
import { RunningVault, targetOf, testLogger } from "./running-vault.ts";

const TOKEN = new Redacted("token-of-a-test-that-is-long-enough");

/** Everything is looked at again soon: a test waits for what is found, not for the time to look. Not at once either: each look at a
 * segment reads and digests 16 MiB, and one after the other they leave a test's PostgreSQL no processor. */
export const SOON: Partial<ArchiveLimits> = {
  checkEveryMs: 200,
  unreadEveryMs: 100,
  listEveryMs: 200,
  localCheckEveryMs: 200,
  localListEveryMs: 200,
  longestPauseMs: 500,
};

export interface ReadVaultOptions {
  /** The test's folder; the object store is its `archive`. */
  readonly folder: string;
  readonly primary: TestServer;
  readonly keepLocalBytes?: number;
  readonly partialEveryMs?: number;
}

export class ReadVault implements AsyncDisposable {
  readonly running: RunningVault;
  readonly readers: VaultReaders;
  readonly #server: FastifyInstance;
  readonly #stop = new AbortController();
  readonly #reading: Promise<void>;

  private constructor(running: RunningVault, readers: VaultReaders) {
    this.running = running;
    this.readers = readers;
    this.#server = roleServer({ token: TOKEN, logger: testLogger, open: new Set() });
    addVaultRoutes(this.#server, { vault: running.vault, status: () => this.status, metrics: new VaultMetrics(() => this.status) });
    readers.addRoutes(this.#server);
    this.#reading = readers.run(this.#stop.signal);
  }

  static async start(options: ReadVaultOptions): Promise<ReadVault> {
    const { folder, primary } = options;
    const directory = join(folder, "vault");
    await mkdir(directory, { recursive: true });
    const running = await RunningVault.start(directory, targetOf(primary));
    const config: VaultConfig = {
      name: "vault1",
      host: "127.0.0.1",
      port: 0,
      directory,
      domain: {},
      synchronous: true,
      keepLocalBytes: options.keepLocalBytes ?? 1_073_741_824,
      archive: {
        stores: [{ name: "main", options: { kind: "folder", directory: join(folder, "archive") } }],
        compression: { kind: "zstd", level: 1 },
        encryption: "none",
        partialEveryMs: options.partialEveryMs ?? 200,
      },
    };
    const readers = new VaultReaders(running.vault, {
      config,
      clock: systemClock,
      random: systemRandom,
      logger: testLogger,
      environment: {},
      archiveLimits: SOON,
    });
    return new ReadVault(running, readers);
  }

  get status(): VaultStatus {
    return describeVault(this.running.vault, this.readers.statusParts);
  }

  /** Resolves once the status says so. */
  async until(what: string, holds: (status: VaultStatus) => boolean): Promise<VaultStatus> {
    return this.running.until(`${what}: ${JSON.stringify(this.status.faults)}`, () => holds(this.status)).then(() => this.status);
  }

  async ask(method: "GET" | "POST", url: string, body?: object): Promise<{ status: number; body: unknown; text: string }> {
    const headers = { authorization: `Bearer ${TOKEN.reveal()}` };
    const answer = await this.#server.inject({ method, url, headers, ...(body === undefined ? {} : { payload: body }) });
    const isJson = String(answer.headers["content-type"]).includes("json");
    return { status: answer.statusCode, body: isJson ? answer.json() : undefined, text: answer.body };
  }

  /** As the role stops: the receiver first, then those who read. Whether everything is in the object store. */
  async stop(limitMs?: number): Promise<boolean> {
    await this.running.stop();
    const finished = await this.readers.finish(limitMs);
    await this.#end();
    return finished;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]();
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    await this.#reading;
    await this.#server.close();
  }
}
