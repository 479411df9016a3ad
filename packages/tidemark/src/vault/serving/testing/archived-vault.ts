// A vault with a configuration of its own, an archive in a folder, and the commands of `tidemark wal` on it. The vault's parts live in
// this process; the commands that PostgreSQL starts are processes.
import { chmod, chown, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "@tidemark/kernel/errors";
import { freePort, testFolder, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { choosePostgresUser } from "@tidemark/postgres/unprivileged-user";
import type { FastifyInstance } from "fastify";
import { runCommandLine } from "../../../cli/command-line.ts";
import { makePaint, type Terminal } from "../../../cli/terminal.ts";
import { roleServer } from "../../../cluster/role-server.ts";
import type { VaultConfig } from "../../../config/config.ts";
import { loadConfig } from "../../../config/load-config.ts";
import type { Archive } from "../../archive/archive.ts";
import { describeVault } from "../../describe-vault.ts";
import { openVaultArchive } from "../../open-vault-archive.ts";
import { SOON } from "../../testing/read-vault.ts";
import { removePlace, RunningVault, targetOf, testLogger } from "../../testing/running-vault.ts";
import { VaultShelf } from "../vault-shelf.ts";
import { addWalRoutes } from "../wal-routes.ts";
import { TEST_TOKEN, TIDEMARK } from "./served-vault.ts";

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export class ArchivedVault implements AsyncDisposable {
  readonly folder: string;
  readonly config: VaultConfig;
  vault: RunningVault;
  archive: Archive | undefined;
  #server: FastifyInstance | undefined;
  #stop = new AbortController();
  #running: Promise<void> | undefined;

  private constructor(folder: string, config: VaultConfig, vault: RunningVault) {
    this.folder = folder;
    this.config = config;
    this.vault = vault;
  }

  /** A vault that streams from `primary` and archives into the folder `archive`. */
  static async start(primary: TestServer): Promise<ArchivedVault> {
    const folder = await testFolder();
    await writeConfig(folder);
    const config = (await loadConfig(join(folder, "tidemark.yaml"))).stores["orders"]?.vaults[0];
    assert(config !== undefined, "the configuration has a vault");
    await mkdir(config.directory, { recursive: true });
    const made = new ArchivedVault(folder, config, await RunningVault.start(config.directory, targetOf(primary)));
    await made.vault.streaming();
    await made.open();
    return made;
  }

  /** The folder of the object store. */
  get objects(): string {
    return join(this.folder, "archive");
  }

  get keyFile(): string {
    return join(this.folder, "archive.key");
  }

  /** Opens the archive and serves; after {@link close} again. */
  async open(): Promise<void> {
    const { vault } = this.vault;
    this.#stop = new AbortController();
    this.archive = await openVaultArchive({ vault, config: this.config, environment: {}, limits: SOON });
    this.#running = this.archive.run(this.#stop.signal).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) throw error;
    });
    const archive = this.archive;
    const shelf = new VaultShelf({ vault, archive: () => archive, archives: true });
    this.#server = roleServer({ token: TEST_TOKEN, logger: testLogger, open: new Set() });
    addWalRoutes(this.#server, shelf);
    this.#server.get("/status", async () => describeVault(vault, { archive: () => archive.status(), pushed: () => shelf.faults }));
    await this.#server.listen({ host: this.config.host, port: this.config.port });
  }

  /** Ends the archive and the server; the receiver goes on. */
  async close(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
    this.#stop.abort(new Error("the test closes it"));
    await this.#running;
    await this.archive?.close();
    this.archive = undefined;
  }

  /** Everything that is durable now is archived when it resolves. */
  async settled(): Promise<void> {
    await this.archive?.settled(AbortSignal.timeout(30_000));
  }

  /** `tidemark wal …` in this process. */
  async run(...args: string[]): Promise<CommandResult> {
    const said = { out: [] as string[], err: [] as string[] };
    const terminal: Terminal = {
      out: (text) => void said.out.push(text),
      err: (text) => void said.err.push(text),
      paint: makePaint(false),
      columns: 60,
      interactive: false,
    };
    const code = await runCommandLine(["wal", ...args, "--config", join(this.folder, "tidemark.yaml")], terminal);
    return { code, out: said.out.join("\n"), err: said.err.join("\n") };
  }

  /** Asks for the status until it says what is expected; answers it. */
  async statusUntil(what: string, holds: (result: CommandResult, troubles: readonly string[]) => boolean): Promise<CommandResult> {
    const deadlineMs = performance.now() + 30_000;
    for (;;) {
      const json = await this.run("status", "--json");
      const { troubles } = JSON.parse(json.out) as { troubles: string[] };
      if (holds(json, troubles)) return this.run("status");
      if (performance.now() > deadlineMs) throw new Error(`the status never said ${what}: ${json.out}`);
      await new Promise((resolve) => void setTimeout(resolve, 25));
    }
  }

  /** Gives configuration, token, key and objects to PostgreSQL's own user, which runs {@link restoreCommand}. The archive is closed:
   * while it runs, its files come and go, and one that comes later would stay closed to that user. */
  async giveToPostgres(): Promise<void> {
    assert(this.archive === undefined, "the archive is closed before its files change hands");
    const user = choosePostgresUser();
    if (user.switches) await give(this.folder, user);
  }

  restoreCommand(more = ""): string {
    return `${TIDEMARK} wal fetch %f "%p" --config ${join(this.folder, "tidemark.yaml")} ${more}`.trim();
  }

  /** The names of the sealed segments of the vault's folder, in order. */
  async sealed(): Promise<string[]> {
    return (await readdir(this.vault.wal)).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort();
  }

  /** Paths of the object store's files whose key matches. */
  async objectFiles(pattern: RegExp): Promise<string[]> {
    const files = await readdir(this.objects, { recursive: true, withFileTypes: true });
    return files
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => pattern.test(path))
      .sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await this.vault[Symbol.asyncDispose]();
    await removePlace(this.folder);
  }
}

async function writeConfig(folder: string): Promise<void> {
  await mkdir(join(folder, "secrets"), { recursive: true });
  await writeFile(join(folder, "token"), `${TEST_TOKEN.reveal()}\n`, { mode: 0o600 });
  await writeFile(
    join(folder, "tidemark.yaml"),
    `version: 1
name: wal-test
stateDir: state
services:
  orders: { tier: near-zero, stores: [orders], objectives: { process-loss: { rpo: 0, rto: 5s } } }
stores:
  orders:
    kind: postgresql
    database: orders
    user: orders
    nodes:
      pg1: { address: 127.0.0.1:${await freePort()}, agent: 127.0.0.1:${await freePort()} }
    vaults:
      vault1:
        listen: 127.0.0.1:${await freePort()}
        directory: vault
        archive:
          partialEvery: 500ms
          encryption: { key: { file: archive.key } }
          stores: { main: { kind: folder, directory: archive } }
control: { listen: 127.0.0.1:${await freePort()}, internalTokenFile: token }
`,
  );
}

async function give(path: string, user: { uid: number; gid: number }): Promise<void> {
  await chown(path, user.uid, user.gid);
  if (!(await stat(path)).isDirectory()) return;
  await chmod(path, 0o755);
  for (const name of await readdir(path)) await give(join(path, name), user);
}
