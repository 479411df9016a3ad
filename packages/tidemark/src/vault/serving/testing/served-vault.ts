// A vault that streams from a real primary and gives its WAL over HTTP, and databases that recover from it by the real
// `tidemark wal fetch`, started by PostgreSQL as its own user.
import { chmod, chown, mkdir, readFile, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { takeBaseBackup } from "@tidemark/postgres/base-backup";
import { quoteSetting, type ServerSettings } from "@tidemark/postgres/server-settings";
import { replicationLogin, TEST_SETTINGS, testFolder, unstartedServer, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { choosePostgresUser } from "@tidemark/postgres/unprivileged-user";
import type { FastifyInstance } from "fastify";
import { roleServer } from "../../../cluster/role-server.ts";
import type { Archive } from "../../archive/archive.ts";
import { removePlace, RunningVault, targetOf, testLogger } from "../../testing/running-vault.ts";
import { VaultShelf } from "../vault-shelf.ts";
import { addWalRoutes } from "../wal-routes.ts";

export const TEST_TOKEN = new Redacted("only-for-tests-of-serving");

/** The launcher, as PostgreSQL's configuration would have it. */
export const TIDEMARK = `${quoteWord(process.execPath)} ${quoteWord(fileURLToPath(new URL("../../../../bin/tidemark.mjs", import.meta.url)))}`;

export class ServedVault implements AsyncDisposable {
  readonly vault: RunningVault;
  readonly shelf: VaultShelf;
  readonly port: number;
  /** Holds `token`, which PostgreSQL's user can read. */
  readonly folder: string;
  readonly directory: string;
  readonly #server: FastifyInstance;

  private constructor(parts: { vault: RunningVault; shelf: VaultShelf; server: FastifyInstance; folder: string; directory: string }) {
    this.vault = parts.vault;
    this.shelf = parts.shelf;
    this.folder = parts.folder;
    this.directory = parts.directory;
    this.#server = parts.server;
    this.port = (parts.server.server.address() as AddressInfo).port;
  }

  static async start(primary: TestServer, options: { archive?: () => Archive | undefined } = {}): Promise<ServedVault> {
    const folder = await testFolder();
    await writeToken(join(folder, "token"));
    const directory = join(folder, "vault");
    await mkdir(directory);
    const vault = await RunningVault.start(directory, targetOf(primary));
    const shelf = new VaultShelf({ vault: vault.vault, archive: options.archive ?? (() => undefined) });
    const server = roleServer({ token: TEST_TOKEN, logger: testLogger, open: new Set() });
    addWalRoutes(server, shelf);
    server.get("/status", async () => ({ ...vault.status, faults: [...vault.status.faults, ...shelf.faults] }));
    await server.listen({ host: "127.0.0.1", port: 0 });
    const served = new ServedVault({ vault, shelf, server, folder, directory });
    await vault.streaming();
    return served;
  }

  /** What a `tidemark wal` command needs to find this vault without a configuration. */
  get options(): string {
    return `--url 127.0.0.1:${this.port} --token-file ${join(this.folder, "token")}`;
  }

  /** `restore_command`. */
  restoreCommand(more = ""): string {
    return `${TIDEMARK} wal fetch %f "%p" ${this.options} ${more}`.trim();
  }

  async closeHttp(): Promise<void> {
    await this.#server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
    await this.vault[Symbol.asyncDispose]();
    await removePlace(this.folder);
  }
}

/** A base backup of `primary` that will recover by `settings`; not started. It goes as far as its restore_command gives WAL, and opens. */
export async function backupOf(primary: TestServer, settings: ServerSettings): Promise<TestServer> {
  const restored = await unstartedServer();
  const { user, dataDir } = restored.server.options;
  try {
    await takeBaseBackup({
      from: replicationLogin(primary.connection),
      targetDir: dataDir,
      label: "test",
      user,
      prepare: async (folder) => {
        await writeFile(join(folder, "recovery.signal"), "");
        if (user.switches) await chown(join(folder, "recovery.signal"), user.uid, user.gid);
      },
    });
    await restored.server.configure({ ...TEST_SETTINGS, hot_standby: "off", ...settings });
    return restored;
  } catch (error) {
    await restored.dispose();
    throw error;
  }
}

/** Starts a recovery and resolves with `opened` once it has become a primary, or with `stopped` when the server has ended. */
export async function recover(server: TestServer): Promise<"opened" | "stopped"> {
  await server.server.start();
  const ended = server.server.exited().then(() => "stopped" as const);
  const { readControlFile } = await import("@tidemark/postgres/control-file");
  const deadlineMs = systemClock.monotonicMs() + 60_000;
  // The backup's own pg_control says what its primary was.
  let began = false;
  for (;;) {
    const state = await Promise.race([ended, readControlFile(server.server.dataDir).then((file) => file.state)]);
    if (state === "stopped") return "stopped";
    began ||= state === "in-archive-recovery";
    if (began && state === "in-production") return untilAccepting(server);
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`still ${state}: ${await serverLog(server)}`);
    await new Promise<void>((resolve) => void systemClock.setTimer(10, resolve));
  }
}

async function untilAccepting(server: TestServer): Promise<"opened"> {
  while ((await server.server.state()).kind === "running") {
    const state = await server.server.state();
    if (state.kind === "running" && state.status === "ready") break;
    await new Promise<void>((resolve) => void systemClock.setTimer(10, resolve));
  }
  return "opened";
}

export function serverLog(server: TestServer): Promise<string> {
  return readFile(server.server.options.logFile, "utf8");
}

async function writeToken(path: string): Promise<void> {
  await writeFile(path, `${TEST_TOKEN.reveal()}\n`, { mode: 0o600 });
  const user = choosePostgresUser();
  if (user.switches) await chown(path, user.uid, user.gid);
  await chmod(path, 0o600);
}

function quoteWord(word: string): string {
  return /^[\w./-]+$/.test(word) ? word : quoteSetting(word);
}
