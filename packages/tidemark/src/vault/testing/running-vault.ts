// A vault in this process for tests: its receiver is a real thread, its server a real PostgreSQL. Also what tests ask a server.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import type { Epoch } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import { silentLogger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { describeVault } from "../describe-vault.ts";
import type { VaultFile } from "../vault-file.ts";
import type { VaultStatus } from "../vault-status.ts";
import { Vault } from "../vault.ts";
import type { WalTarget } from "../wal-source.ts";
import { FixedSource } from "../wal-source.ts";

const LIMIT_MS = 30_000;

/** Logs to standard error where TIDEMARK_TEST_LOG is set. */
export const testLogger: Logger = process.env["TIDEMARK_TEST_LOG"] === undefined ? silentLogger : stderrLogger();

export function targetOf(server: TestServer, more?: Partial<WalTarget>): Omit<WalTarget, "claimed" | "epoch"> & Partial<WalTarget> {
  const { host, port, user, password } = server.connection;
  return { node: `${host}:${port}`, host, port, login: { user, password: new Redacted(password) }, ...more };
}

/** A temporary folder for vaults, removed by the test. */
export function vaultPlace(): Promise<string> {
  return mkdtemp(join(tmpdir(), "tidemark-vault-"));
}

export class RunningVault implements AsyncDisposable {
  readonly vault: Vault;
  readonly source: FixedSource;
  readonly #stop = new AbortController();
  readonly #run: Promise<void>;
  #failure: unknown;

  private constructor(vault: Vault, source: FixedSource) {
    this.vault = vault;
    this.source = source;
    this.#run = vault
      .run(this.#stop.signal)
      .catch((error: unknown) => void (this.#failure = error ?? new Error("ended")))
      .then(() => vault.close());
  }

  static async start(
    directory: string,
    target: ReturnType<typeof targetOf>,
    options?: { clock?: Clock; name?: string },
  ): Promise<RunningVault> {
    const source = new FixedSource(target);
    const vault = await Vault.open({
      store: "orders",
      name: options?.name ?? "vault1",
      directory,
      source,
      clock: options?.clock ?? systemClock,
      logger: testLogger,
      random: systemRandom,
    });
    return new RunningVault(vault, source);
  }

  get status(): VaultStatus {
    return describeVault(this.vault, {});
  }

  get file(): VaultFile {
    return this.vault.file;
  }

  get wal(): string {
    return join(this.vault.options.directory, "wal");
  }

  faultCodes(): string[] {
    return this.status.faults.map((fault) => fault.code);
  }

  follow(server: TestServer, more?: Partial<WalTarget> & { epoch?: Epoch }): void {
    this.source.follow(targetOf(server, more));
  }

  async until(what: string, holds: (status: VaultStatus) => boolean): Promise<VaultStatus> {
    const deadlineMs = systemClock.monotonicMs() + LIMIT_MS;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const { status } = this;
      if (holds(status)) return status;
      if (systemClock.monotonicMs() > deadlineMs) throw new Error(`waited in vain until ${what}: ${JSON.stringify(status)}`);
      await sleep(systemClock, 5);
    }
  }

  streaming(): Promise<VaultStatus> {
    return this.until("it streams", (status) => status.state === "streaming" && status.silentMs !== undefined);
  }

  /** Until everything up to `lsn` is durable here; on `timeline` where two may be of the same length (R11). */
  reached(lsn: Lsn, timeline?: number): Promise<VaultStatus> {
    return this.until(
      `it has ${lsn.toString(16)}`,
      ({ recoveryPoint: here }) =>
        here !== undefined && parseLsn(here.flushedLsn) >= lsn && (timeline === undefined || here.timeline === timeline),
    );
  }

  /** Rejects with what the vault ended by. */
  async failure(): Promise<unknown> {
    await this.#run;
    return this.#failure;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#run;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#run;
  }
}

/** SQL on a test server. The caller ends it. */
export function sqlOn(server: TestServer, max = 1): postgres.Sql {
  return postgres({ ...server.connection, max, fetch_types: false, onnotice: () => undefined });
}

export async function ask<Row extends object>(server: TestServer, text: string, values: (string | number)[] = []): Promise<Row[]> {
  const sql = sqlOn(server);
  try {
    return (await sql.unsafe(text, values)) as unknown as Row[];
  } finally {
    await sql.end();
  }
}

/** Where the server's WAL is flushed to. */
export async function flushLsn(server: TestServer): Promise<Lsn> {
  const [row] = await ask<{ lsn: string }>(server, "SELECT pg_current_wal_flush_lsn()::text AS lsn");
  return parseLsn(row?.lsn ?? "");
}

/** Writes about `mib` MiB of WAL in small transactions, and answers where it ends. */
export async function writeWal(server: TestServer, mib: number): Promise<Lsn> {
  await ask(server, "CREATE TABLE IF NOT EXISTS filler (id bigserial, text text)");
  for (let i = 0; i < mib; i++)
    await ask(server, "INSERT INTO filler (text) SELECT repeat(md5(random()::text), 28) FROM generate_series(1, 1000)");
  return flushLsn(server);
}

export async function switchWal(server: TestServer): Promise<void> {
  await ask(server, "SELECT pg_switch_wal()");
}

export async function removePlace(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

function stderrLogger(): Logger {
  const say =
    (level: string) =>
    (facts: object, message: string): void =>
      void process.stderr.write(
        `${level} ${message} ${JSON.stringify(facts, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value instanceof Error ? value.message : value))}\n`,
      );
  const logger: Logger = { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error"), child: () => logger };
  return logger;
}
