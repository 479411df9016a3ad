// One node's PostgreSQL with what Tidemark keeps beside it: the server, its settings, the node file. Operations here do one
// thing each; what has to be done when is decided in node-role.ts and ordered in node-supervisor.ts.
import { readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Clock } from "@tidemark/kernel/clock";
import { hasCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { Random } from "@tidemark/kernel/random";
import type { Redacted } from "@tidemark/kernel/redacted";
import { takeBaseBackup } from "@tidemark/postgres/base-backup";
import { findBinaries } from "@tidemark/postgres/binaries";
import type { ReplicationLogin } from "@tidemark/postgres/connection";
import { readSystemIdentifier } from "@tidemark/postgres/control-file";
import { EmbeddedServer } from "@tidemark/postgres/embedded-server";
import { FOLLOW_NOBODY, followSettings, isMarkedStandby, makeStandby, writePassfile } from "@tidemark/postgres/make-standby";
import type { Upstream } from "@tidemark/postgres/make-standby";
import { reachablePlace } from "@tidemark/postgres/reachable-place";
import { ReplicationClient } from "@tidemark/postgres/replication-client";
import { replaceFile, syncFolder, writeSettings } from "@tidemark/postgres/server-settings";
import type { ServerSettings } from "@tidemark/postgres/server-settings";
import type { PostgresUser } from "@tidemark/postgres/unprivileged-user";
import { choosePostgresUser } from "@tidemark/postgres/unprivileged-user";
import type { NodeConfig, StoreConfig } from "../../config/config.ts";
import type { SynchronousSet } from "../cluster-record.ts";
import { CLOSED_SET } from "../quorum.ts";
import { REPLICATION_USER, SUPERUSER, derivedPassword } from "../store-secrets.ts";
import { NodeDatabase } from "./node-database.ts";
import type { NodeFile } from "./node-file.ts";
import { identityPrefix, newIdentity, readNodeFile, writeNodeFile } from "./node-file.ts";
import { nodeSettings } from "./postgresql-settings.ts";

export interface NodeWorld {
  readonly storeName: string;
  readonly store: StoreConfig;
  readonly node: NodeConfig;
  readonly token: Redacted<string>;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly step?: (step: NodeStep) => void;
}

/** A place between two things that must be done in this order, at which a test ends the process. */
export type NodeStep = "promising" | "promised" | "voted" | `answered ${string}`;

const PASSFILE = "tidemark-replication.pass";
/** How long a standby may take until it accepts sessions, and a primary to recover, milliseconds. */
const START_TIMEOUT_MS = 120_000;

export class PostgresNode {
  readonly world: NodeWorld;
  readonly server: EmbeddedServer;
  readonly database: NodeDatabase;
  readonly #user: PostgresUser;
  readonly #major: number;
  #file: NodeFile | undefined;
  /** For whom the standby's settings stand; see `followsKey`. */
  follows: string | undefined;

  private constructor(world: NodeWorld, server: EmbeddedServer, major: number) {
    this.world = world;
    this.server = server;
    this.#user = server.options.user;
    this.#major = major;
    const { host, port } = world.node;
    this.database = new NodeDatabase({
      host,
      port,
      clock: world.clock,
      password: derivedPassword(world.token, world.storeName, SUPERUSER),
    });
  }

  /** Finds binaries and the place of the data; adopts a PostgreSQL that an earlier agent left running. */
  static async open(world: NodeWorld): Promise<PostgresNode> {
    const user = choosePostgresUser();
    const binaries = await findBinaries({ user });
    const place = await reachablePlace(world.node.dataDir, user);
    const server = new EmbeddedServer({
      binaries,
      user,
      dataDir: place.path,
      host: world.node.host,
      port: world.node.port,
      logFile: `${place.path}.log`,
      logger: world.logger,
      clock: world.clock,
    });
    const node = new PostgresNode(world, server, binaries.major);
    await server.adopt();
    await node.load();
    return node;
  }

  get file(): NodeFile | undefined {
    return this.#file;
  }

  get promised(): Epoch | undefined {
    return this.#file?.promise?.epoch;
  }

  /** Reads the node file; gives data that has none, or a copied one, an identity of its own. */
  async load(): Promise<{ present: boolean; systemIdentifier?: SystemIdentifier }> {
    const state = await this.server.state();
    if (state.kind === "absent") {
      this.#file = undefined;
      return { present: false };
    }
    const { name } = this.world.node;
    this.#file = await readNodeFile(this.server.dataDir, name);
    if (this.#file === undefined) await this.write({ formatVersion: 1, node: name, identity: newIdentity(name, this.world.random) });
    return { present: true, systemIdentifier: await readSystemIdentifier(this.server.dataDir) };
  }

  async write(file: NodeFile): Promise<void> {
    await writeNodeFile(this.server.dataDir, file, this.#user);
    this.#file = file;
  }

  /** Durable before it resolves (R3). */
  async promise(epoch: Epoch): Promise<void> {
    if (this.#file === undefined || this.#file.promise?.epoch === epoch) return;
    this.world.step?.("promising");
    await this.write({ ...this.#file, promise: { epoch } });
    this.world.step?.("promised");
  }

  /** Whether the stopped data directory would start as a standby. */
  isMarkedStandby(): Promise<boolean> {
    return isMarkedStandby(this.server.dataDir);
  }

  // ── Making data ───────────────────────────────────────────────────────────────────────────────────────────────────

  async initialise(): Promise<void> {
    const { store, storeName, token, node } = this.world;
    const others = [...store.nodes, ...store.vaults]
      .filter((other) => other.host !== node.host || !/^(127\.|localhost$|::1$)/.test(other.host))
      .map((other) => other.host);
    await this.server.initialise({
      superuser: SUPERUSER,
      password: derivedPassword(token, storeName, SUPERUSER),
      networks: [...new Set(others)].filter((host) => /^[\d.]+$/.test(host) && !host.startsWith("127.")).map((host) => `${host}/32`),
    });
    await this.write({ formatVersion: 1, node: node.name, identity: newIdentity(node.name, this.world.random), bootstrapping: true });
  }

  /** Removes data that was never in the record. */
  async discard(): Promise<void> {
    await this.server.kill();
    this.database.close();
    await rm(this.server.dataDir, { recursive: true, force: true });
    await reachablePlace(this.world.node.dataDir, this.#user);
    this.#file = undefined;
  }

  /** Copies the running primary. What stands in the way has been put aside before. */
  async clone(from: NodeConfig, signal: AbortSignal): Promise<void> {
    const file: NodeFile = { formatVersion: 1, node: this.world.node.name, identity: newIdentity(this.world.node.name, this.world.random) };
    await takeBaseBackup({
      from: this.loginTo(from, signal),
      targetDir: this.server.dataDir,
      label: `tidemark ${this.world.node.name}`,
      user: this.#user,
      slot: file.identity,
      signal,
      // Before the copy takes its place: it must never be found there as a primary, or under another's identity.
      prepare: async (folder) => {
        await this.#mark(folder, {});
        await writeNodeFile(folder, file, this.#user);
      },
    });
    this.#file = file;
    this.follows = undefined;
  }

  /** Keeps diverged data as evidence beside the place, the newest one only. */
  async putAside(epoch: Epoch): Promise<string> {
    await this.server.kill();
    this.database.close();
    const { dataDir } = this.server;
    const folder = dirname(dataDir);
    for (const name of await readdir(folder)) {
      if (name.startsWith(`${basename(dataDir)}.diverged-`)) await rm(join(folder, name), { recursive: true, force: true });
    }
    const aside = `${dataDir}.diverged-${epoch}`;
    await rename(dataDir, aside);
    await syncFolder(folder);
    await reachablePlace(this.world.node.dataDir, this.#user);
    this.#file = undefined;
    return aside;
  }

  // ── Settings and starts ───────────────────────────────────────────────────────────────────────────────────────────

  /** Starts as a primary that acknowledges by `synchronous`. The caller has the lease store's word for it (trap 30). */
  async startPrimary(synchronous: SynchronousSet): Promise<void> {
    await rm(join(this.server.dataDir, "standby.signal"), { force: true });
    await syncFolder(this.server.dataDir);
    await this.server.configure({ ...this.#settings(synchronous), ...FOLLOW_NOBODY });
    await this.server.start({ awaitReady: "accepting", timeoutMs: START_TIMEOUT_MS });
  }

  /** Starts as a standby, of `upstream` or of nobody. Resolves when it accepts sessions. */
  async startStandby(upstream: { node: NodeConfig; key: string } | undefined): Promise<void> {
    await this.#mark(this.server.dataDir, upstream === undefined ? {} : await this.#upstreamSettings(upstream.node));
    this.follows = upstream?.key ?? "nobody";
    await this.server.start({ awaitReady: "standby", timeoutMs: START_TIMEOUT_MS });
  }

  /** Points a running standby at a primary. */
  async follow(upstream: { node: NodeConfig; key: string }): Promise<void> {
    await this.server.configure({ ...this.#settings(CLOSED_SET), ...FOLLOW_NOBODY, ...(await this.#upstreamSettings(upstream.node)) });
    this.server.reload();
    this.follows = upstream.key;
  }

  /** Takes a running standby's primary away. The receiver ends later, by itself or by force (R3). */
  async followNobody(): Promise<void> {
    await this.server.configure({ ...this.#settings(CLOSED_SET), ...FOLLOW_NOBODY });
    this.server.reload();
    this.follows = "nobody";
  }

  /** Where WAL that is fetched for a completion is put: beside the data, where the server's user gets to. */
  get completionFolder(): string {
    return `${this.server.dataDir}.completion`;
  }

  /** Makes a running standby that follows nobody restore WAL from `folder`, by copying: no process of ours stands between. */
  async restoreFrom(folder: string): Promise<void> {
    await this.server.configure({ ...this.#settings(CLOSED_SET), ...FOLLOW_NOBODY, restore_command: copyCommand(folder) });
    this.server.reload();
    this.follows = "nobody";
  }

  /** Tells a running primary its synchronous set. Reloading is not telling: see set-change.ts. */
  async configureSynchronous(set: SynchronousSet): Promise<void> {
    await this.server.configure({ ...this.#settings(set), ...FOLLOW_NOBODY });
    this.server.reload();
  }

  /** A standby's settings are closed from its first start, so that after a promotion no commit returns before the policy allows it (R2). */
  async #mark(dataDir: string, upstream: ServerSettings): Promise<void> {
    const nobody: Upstream = { host: "127.0.0.1", port: 1, user: REPLICATION_USER, passfile: this.#passfile, applicationName: "nobody" };
    await makeStandby(dataDir, { upstream: nobody, settings: this.#settings(CLOSED_SET), user: this.#user });
    await writeSettings(dataDir, { ...this.#settings(CLOSED_SET), ...FOLLOW_NOBODY, ...upstream }, this.#user);
  }

  async #upstreamSettings(primary: NodeConfig): Promise<ServerSettings> {
    const { token, storeName } = this.world;
    const password = derivedPassword(token, storeName, REPLICATION_USER);
    await writePassfile(this.#passfile, { user: REPLICATION_USER, password }, this.#user);
    const identity = this.#file?.identity ?? "";
    return followSettings({
      host: primary.host,
      port: primary.port,
      user: REPLICATION_USER,
      passfile: this.#passfile,
      applicationName: identity,
      slot: identity,
    });
  }

  #settings(synchronous: SynchronousSet): ServerSettings {
    return nodeSettings({ store: this.world.store, node: this.world.node.name, major: this.#major, synchronous });
  }

  get #passfile(): string {
    return join(this.server.dataDir, PASSFILE);
  }

  // ── Replication protocol ──────────────────────────────────────────────────────────────────────────────────────────

  loginTo(node: NodeConfig, signal?: AbortSignal): ReplicationLogin {
    const { token, storeName, clock } = this.world;
    return {
      host: node.host,
      port: node.port,
      user: REPLICATION_USER,
      password: derivedPassword(token, storeName, REPLICATION_USER),
      clock,
      connectTimeoutMs: 2_000,
      ...(signal === undefined ? {} : { signal }),
    };
  }

  /** Timeline and end of this running node; of a standby, what it replays or has received on it. */
  async identify(): Promise<{ timeline: Timeline; lsn: Lsn }> {
    const client = await ReplicationClient.connect(this.loginTo(this.world.node));
    try {
      const facts = await client.identifySystem();
      return { timeline: facts.timeline, lsn: facts.flushLsn };
    } finally {
      client.close();
    }
  }

  /** Makes our slot on the primary, and drops those of our earlier identities, which would keep WAL for nobody. */
  async ensureSlotOn(primary: NodeConfig): Promise<void> {
    const identity = this.#file?.identity;
    if (identity === undefined) return;
    const client = await ReplicationClient.connect(this.loginTo(primary));
    try {
      await client.createPhysicalSlot(identity, { reserveWal: true });
    } catch (error) {
      if (!(hasCode(error, "TM-PG-SERVER") && error.details["sqlstate"] === "42710")) throw error;
    } finally {
      client.close();
    }
  }

  /** Drops the inactive slots of identities that are not in `kept`: a standby's all, a primary's of nodes that came back as others. */
  async dropSlots(kept: ReadonlySet<string>, prefixes: readonly string[] | undefined): Promise<void> {
    const slots = await this.database.ask<{ name: string }>(
      "SELECT slot_name AS name FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT active",
      [],
      2_000,
    );
    for (const { name } of slots) {
      if (kept.has(name) || !/_[0-9a-f]{32}$/.test(name)) continue;
      if (prefixes !== undefined && !prefixes.includes(identityPrefix(name))) continue;
      await this.database.ask("SELECT pg_drop_replication_slot($1)", [name], 2_000);
    }
  }

  /** Writes a file below the data directory as the server's user, durably. */
  async writeData(name: string, content: string): Promise<void> {
    await replaceFile(join(this.server.dataDir, name), content, this.#user);
  }
}

/** Exit code 1 for a file that is not there: PostgreSQL looks elsewhere, and again. In `restore_command` a % stands as %%. */
function copyCommand(folder: string): string {
  const quoted = folder.replaceAll("'", `'\\''`).replaceAll("%", "%%");
  return `test -f '${quoted}/%f' && cp '${quoted}/%f' "%p"`;
}
