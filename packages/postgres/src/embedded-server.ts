// One node's PostgreSQL: a postmaster that is our own child, so that its death is an event and not a finding, or one that
// we adopted from an agent that died. The process outlives us: it has a session of its own and holds its log itself.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { PostgresBinaries } from "./binaries.ts";
import { readControlFile } from "./control-file.ts";
import type { InitialiseOptions } from "./initialise-cluster.ts";
import { initialiseCluster } from "./initialise-cluster.ts";
import type { PostmasterExit } from "./postmaster.ts";
import { Postmaster } from "./postmaster.ts";
import type { PostmasterPidFile, PostmasterStatus } from "./postmaster-pid.ts";
import { parsePostmasterPid } from "./postmaster-pid.ts";
import { childrenOf, isPostgresOf, postgresProcesses, processState, signalProcess } from "./process-table.ts";
import { DEFAULT_LOG_LIMIT_BYTES, openServerLog, readLogFrom, rotateServerLog, sizeOf } from "./server-log.ts";
import type { ServerSettings } from "./server-settings.ts";
import { replaceFile, writeSettings } from "./server-settings.ts";
import { explainStartFailure } from "./start-failure.ts";
import type { PostgresUser } from "./unprivileged-user.ts";
import { serverEnvironment, spawnIdentity } from "./unprivileged-user.ts";

export interface EmbeddedServerOptions {
  readonly binaries: PostgresBinaries;
  /** Absolute, reachable by `user`. */
  readonly dataDir: string;
  readonly port: number;
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  /** Folder for a Unix socket, at most about 90 bytes long. Default none. */
  readonly socketDir?: string;
  /** The server's log; its folder must exist. */
  readonly logFile: string;
  /** Size at which the log is put aside, bytes. */
  readonly logLimitBytes?: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly user: PostgresUser;
}

/** `fast` ends sessions and makes a checkpoint; `immediate` ends at once and leaves recovery to the next start; `smart` waits for the sessions. */
export type StopMode = "fast" | "immediate" | "smart";

/** What a stop took: `asked` if the mode was enough, `immediate` or `killed` if it had to be harder. `absent`: nothing ran. */
export type StopResult = "absent" | "asked" | "immediate" | "killed";

/** `leftover`: a postmaster of this data directory runs that is not ours yet: adopt it. */
export type ServerState =
  | { readonly kind: "absent" }
  | { readonly kind: "stopped" }
  | { readonly kind: "leftover"; readonly pid: number }
  | { readonly kind: "running"; readonly pid: number; readonly adopted: boolean; readonly status: PostmasterStatus };

/** How often postmaster.pid and pg_control are looked at while something is awaited, milliseconds. */
const POLL_MS = 4;
/** How often it is looked whether a postmaster that should end is held by SIGSTOP, milliseconds. */
const STOPPED_POLL_MS = 20;
/** How long processes may take to be gone after SIGKILL, milliseconds. */
const KILL_TIMEOUT_MS = 10_000;
const DEFAULT_START_TIMEOUT_MS = 60_000;
const DEFAULT_STOP_TIMEOUT_MS: Record<StopMode, number> = { smart: 60_000, fast: 30_000, immediate: 2_000 };
const STOP_SIGNAL: Record<StopMode, NodeJS.Signals> = { smart: "SIGTERM", fast: "SIGINT", immediate: "SIGQUIT" };
/** How long an `immediate` that follows on another mode may take. */
const ESCALATION_TIMEOUT_MS = 2_000;
/** How often the size of the log is looked at, milliseconds. */
const LOG_CHECK_MS = 10_000;

export class EmbeddedServer {
  readonly options: EmbeddedServerOptions;
  #postmaster: Postmaster | undefined;
  #logTimer: Timer | undefined;
  readonly #listeners = new Set<(exit: PostmasterExit) => void>();

  constructor(options: EmbeddedServerOptions) {
    this.options = options;
  }

  get dataDir(): string {
    return this.options.dataDir;
  }

  /** The process id of the postmaster that we watch, if one runs. */
  get pid(): number | undefined {
    return this.#postmaster?.exit === undefined ? this.#postmaster?.pid : undefined;
  }

  /** Calls `listener` at each end of the postmaster, expected or not; returns what removes it. */
  onExit(listener: (exit: PostmasterExit) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The end of the postmaster that runs now. Throws TM-PG-NOT-RUNNING when none was started or adopted. */
  exited(): Promise<PostmasterExit> {
    if (this.#postmaster === undefined) throw new TidemarkError("TM-PG-NOT-RUNNING", `no PostgreSQL was started on ${this.dataDir}`);
    return this.#postmaster.exited;
  }

  /** Makes the data directory. See {@link initialiseCluster}. */
  initialise(options: InitialiseOptions): Promise<void> {
    return initialiseCluster(this.options, options);
  }

  /** Replaces Tidemark's settings in the data directory; `reload` or the next start makes them count. Throws TM-PG-SETTING. */
  configure(settings: ServerSettings): Promise<void> {
    return writeSettings(this.dataDir, settings, this.options.user);
  }

  /**
   * Starts the server. `accepting`: resolves when it accepts connections, as a primary or as a hot standby. `standby`:
   * also when it is a standby that accepts none. Without: resolves when the process runs. A stale postmaster.pid and
   * backends that outlived their postmaster are cleared away first. Rejects with TM-PG-DATA-DIR, TM-PG-VERSION,
   * TM-PG-RUNNING, TM-PG-PORT-IN-USE, TM-PG-START, or TM-PG-START-TIMEOUT (then the server is still running).
   */
  async start(options?: { awaitReady?: "accepting" | "standby"; timeoutMs?: number }): Promise<void> {
    await this.#checkDataDir();
    await this.#clearLeftovers();
    const { binaries, user, logFile } = this.options;
    const log = await openServerLog(logFile, this.#logLimitBytes, user);
    const logStart = await sizeOf(logFile);
    let postmaster: Postmaster;
    try {
      // A session of its own: signals for our terminal or our process group must not reach the database.
      const child = spawn(binaries.postgres, this.#arguments(), {
        ...spawnIdentity(user),
        env: serverEnvironment(user),
        cwd: "/",
        detached: true,
        stdio: ["ignore", log.fd, log.fd],
      });
      if (child.pid === undefined) {
        const [cause] = (await once(child, "error")) as [Error];
        throw new TidemarkError("TM-PG-START", `could not run ${binaries.postgres}`, { cause });
      }
      postmaster = Postmaster.ofChild(child, child.pid);
    } finally {
      await log.close();
    }
    this.#watch(postmaster);
    if (options?.awaitReady !== undefined)
      await this.#ready(postmaster, options.awaitReady, { logStart, timeoutMs: options.timeoutMs ?? DEFAULT_START_TIMEOUT_MS });
  }

  /** Takes over a postmaster that runs on this data directory and is not ours. False when there is none. */
  async adopt(): Promise<boolean> {
    if (this.pid !== undefined) return true;
    const leftover = await this.#leftover();
    if (leftover === undefined) return false;
    this.options.logger.info({ pid: leftover.pid, dataDir: this.dataDir }, "adopted a running PostgreSQL");
    this.#watch(Postmaster.adopt(leftover.pid, this.options.clock));
    return true;
  }

  async state(): Promise<ServerState> {
    const postmaster = this.#postmaster;
    if (postmaster !== undefined && postmaster.exit === undefined) {
      return { kind: "running", pid: postmaster.pid, adopted: postmaster.adopted, status: (await this.#pidFile())?.status ?? "absent" };
    }
    const leftover = await this.#leftover();
    if (leftover !== undefined) return { kind: "leftover", pid: leftover.pid };
    return { kind: (await this.#majorOfData()) === undefined ? "absent" : "stopped" };
  }

  /**
   * Stops the server and resolves when its last process is gone; a leftover postmaster is adopted for it. When `timeoutMs`
   * (60 s smart, 30 s fast, 2 s immediate by default) is over, it goes on with `immediate`, then with SIGKILL; a postmaster
   * held by SIGSTOP is killed without waiting, since it cannot obey. Rejects with TM-PG-STOP when even that does not help.
   */
  async stop(mode: StopMode, options?: { timeoutMs?: number }): Promise<StopResult> {
    if (this.pid === undefined && !(await this.adopt())) return "absent";
    const steps: readonly { mode: StopMode; timeoutMs: number }[] = [
      { mode, timeoutMs: options?.timeoutMs ?? DEFAULT_STOP_TIMEOUT_MS[mode] },
      ...(mode === "immediate" ? [] : [{ mode: "immediate" as const, timeoutMs: ESCALATION_TIMEOUT_MS }]),
    ];
    const postmaster = this.#running();
    postmaster.expectExit();
    for (const [index, step] of steps.entries()) {
      postmaster.signal(STOP_SIGNAL[step.mode]);
      const end = await this.#endsWithin(postmaster, step.timeoutMs);
      if (end === "stopped") break;
      if (end === "ended") {
        await this.#killProcesses(postmaster.pid);
        return index === 0 ? "asked" : "immediate";
      }
      this.options.logger.warn({ pid: postmaster.pid, mode: step.mode, timeoutMs: step.timeoutMs }, "PostgreSQL did not stop in time");
    }
    await this.kill();
    return "killed";
  }

  /** SIGKILL to the postmaster and all of its backends; resolves when none is left. The next start recovers. */
  async kill(): Promise<void> {
    if (this.pid === undefined && !(await this.adopt())) return;
    const postmaster = this.#running();
    postmaster.expectExit();
    await this.#killProcesses(postmaster.pid);
    await postmaster.exited;
  }

  /** Makes the server read its configuration files again; each of its processes does so a little later, on its own. */
  reload(): void {
    this.#running().signal("SIGHUP");
  }

  /**
   * Makes a standby a primary, without a connection: the signal file and SIGUSR1, as pg_ctl does; resolves when pg_control
   * says that it is in production, from when on it accepts writes. With a WAL receiver that waits for its dead primary this
   * takes up to wal_retrieve_retry_interval. Rejects with TM-PG-PROMOTE when it is no standby, ends, or `timeoutMs` (30 s) is over.
   */
  async promote(options?: { timeoutMs?: number }): Promise<void> {
    const { clock, user } = this.options;
    const postmaster = this.#running();
    const before = await readControlFile(this.dataDir);
    if (before.state !== "in-archive-recovery")
      throw new TidemarkError("TM-PG-PROMOTE", `asked to promote a server that is ${before.state}`);
    await replaceFile(join(this.dataDir, "promote"), "", user);
    postmaster.signal("SIGUSR1");
    const deadlineMs = clock.monotonicMs() + (options?.timeoutMs ?? 30_000);
    while ((await readControlFile(this.dataDir)).state !== "in-production") {
      if (postmaster.exit !== undefined) throw new TidemarkError("TM-PG-PROMOTE", "the standby ended while it was promoted");
      if (clock.monotonicMs() > deadlineMs) throw new TidemarkError("TM-PG-PROMOTE", "the standby was not promoted in time");
      await sleep(clock, POLL_MS);
    }
  }

  /** Lets this process end while the server goes on, for an agent that is replaced by a newer one. */
  release(): void {
    this.#logTimer?.clear();
    this.#postmaster?.release();
  }

  get #logLimitBytes(): number {
    return this.options.logLimitBytes ?? DEFAULT_LOG_LIMIT_BYTES;
  }

  /** On the command line, because it beats the files: a clone brings those of another node along. */
  #arguments(): string[] {
    const { dataDir, host, port, socketDir } = this.options;
    return [
      "-D",
      dataDir,
      "-c",
      `listen_addresses=${host ?? "127.0.0.1"}`,
      "-c",
      `port=${port}`,
      "-c",
      `unix_socket_directories=${socketDir ?? ""}`,
      "-c",
      "logging_collector=off",
    ];
  }

  #running(): Postmaster {
    if (this.#postmaster === undefined || this.#postmaster.exit !== undefined)
      throw new TidemarkError("TM-PG-NOT-RUNNING", `no PostgreSQL of ours runs on ${this.dataDir}`);
    return this.#postmaster;
  }

  #watch(postmaster: Postmaster): void {
    this.#postmaster = postmaster;
    this.#checkLogLater();
    void postmaster.exited.then((exit) => {
      this.#logTimer?.clear();
      const facts = { ...exit, dataDir: this.dataDir };
      if (exit.expected) this.options.logger.info(facts, "PostgreSQL ended");
      else this.options.logger.warn(facts, "PostgreSQL ended by itself");
      for (const listener of this.#listeners) listener(exit);
    });
  }

  #checkLogLater(): void {
    const { clock, logFile, logger } = this.options;
    const check = async (): Promise<void> => {
      try {
        if (await rotateServerLog(logFile, this.#logLimitBytes)) logger.info({ logFile }, "put the server's log aside");
      } catch (error) {
        logger.warn({ logFile, err: error }, "could not put the server's log aside; it goes on growing");
      }
      if (this.pid !== undefined) this.#checkLogLater();
    };
    this.#logTimer?.clear();
    this.#logTimer = clock.setTimer(LOG_CHECK_MS, () => void check(), { keepAlive: false });
  }

  async #checkDataDir(): Promise<void> {
    const { binaries, dataDir } = this.options;
    const major = await this.#majorOfData();
    if (major === undefined)
      throw new TidemarkError("TM-PG-DATA-DIR", `${dataDir} is not a data directory: it has no PG_VERSION`, { details: { dataDir } });
    if (major !== binaries.major) {
      throw new TidemarkError("TM-PG-VERSION", `${dataDir} was made by PostgreSQL ${major}, the server is ${binaries.version}`, {
        details: { dataDir, major },
      });
    }
  }

  async #majorOfData(): Promise<number | undefined> {
    const text = await readFile(join(this.dataDir, "PG_VERSION"), "utf8").catch(() => undefined);
    return text === undefined ? undefined : Number(text.trim());
  }

  /**
   * Backends whose postmaster is gone still hold its shared memory, and PostgreSQL would refuse to start; a pid file whose
   * number now belongs to another process would make it refuse as well.
   */
  async #clearLeftovers(): Promise<void> {
    const pid = this.pid ?? (await this.#leftover())?.pid;
    if (pid !== undefined)
      throw new TidemarkError("TM-PG-RUNNING", `a PostgreSQL runs on ${this.dataDir}`, { details: { pid, dataDir: this.dataDir } });
    await this.#killProcesses(undefined);
    await rm(join(this.dataDir, "postmaster.pid"), { force: true });
  }

  async #pidFile(): Promise<PostmasterPidFile | undefined> {
    const text = await readFile(join(this.dataDir, "postmaster.pid"), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      return parsePostmasterPid(text);
    } catch {
      return undefined; // Being written, or damaged: what counts then is whether processes are found.
    }
  }

  async #leftover(): Promise<PostmasterPidFile | undefined> {
    const file = await this.#pidFile();
    return file !== undefined && (await isPostgresOf(file.pid, this.dataDir)) ? file : undefined;
  }

  async #ready(postmaster: Postmaster, wanted: "accepting" | "standby", limits: { logStart: number; timeoutMs: number }): Promise<void> {
    const { clock, dataDir, logFile, port } = this.options;
    const deadlineMs = clock.monotonicMs() + limits.timeoutMs;
    for (;;) {
      const file = await this.#pidFile();
      if (file?.pid === postmaster.pid && (file.status === "ready" || (file.status === "standby" && wanted === "standby"))) return;
      const exit = postmaster.exit;
      if (exit !== undefined) {
        const how = exit.signal ?? `exit code ${exit.code}`;
        throw explainStartFailure(await readLogFrom(logFile, limits.logStart), { port, dataDir, how });
      }
      if (clock.monotonicMs() > deadlineMs) {
        throw new TidemarkError("TM-PG-START-TIMEOUT", `PostgreSQL on ${dataDir} was not ready after ${limits.timeoutMs} ms`, {
          details: { log: await readLogFrom(logFile, limits.logStart, 2_048) },
        });
      }
      await sleep(clock, POLL_MS);
    }
  }

  /** `stopped`: it is held by SIGSTOP, which may show a moment after the signal was sent, so it is looked for again and again. */
  async #endsWithin(postmaster: Postmaster, timeoutMs: number): Promise<"ended" | "late" | "stopped"> {
    const { clock } = this.options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      if ((await processState(postmaster.pid)) === "stopped") return "stopped";
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) return postmaster.exit === undefined ? "late" : "ended";
      let timer: Timer | undefined;
      const tick = new Promise<"tick">((resolve) => {
        timer = clock.setTimer(Math.min(leftMs, STOPPED_POLL_MS), () => resolve("tick"));
      });
      const first = await Promise.race([postmaster.exited, tick]);
      timer?.clear();
      if (first !== "tick") return "ended";
    }
  }

  /** Where the kernel lists no children. Found before the postmaster is killed: where there is no /proc, they cannot be told afterwards. */
  async #killFamily(postmaster: number, known: Set<number>): Promise<void> {
    signalProcess(postmaster, "SIGQUIT");
    const family = await postgresProcesses(this.dataDir, postmaster);
    for (const pid of family) known.add(pid);
    signalProcess(postmaster, "SIGKILL");
    for (const pid of family) signalProcess(pid, "SIGKILL");
  }

  /** Kills whatever of this data directory still runs, the postmaster first: it would start what is killed before it. */
  async #killProcesses(postmaster: number | undefined): Promise<void> {
    const { clock } = this.options;
    const deadlineMs = clock.monotonicMs() + KILL_TIMEOUT_MS;
    const known = new Set<number>();
    if (postmaster !== undefined && this.#postmaster?.exit === undefined) {
      // At once, before anything is awaited: whoever is fenced must not acknowledge while all processes of the machine are looked through.
      const children = childrenOf(postmaster);
      if (children === undefined) await this.#killFamily(postmaster, known);
      else {
        signalProcess(postmaster, "SIGKILL");
        for (const pid of children) {
          signalProcess(pid, "SIGKILL");
          known.add(pid);
        }
      }
    }
    for (;;) {
      // A process that is ending has no working directory any more, but is not gone yet: those seen before are asked for by their id.
      for (const pid of known) if ((await processState(pid)) === "gone") known.delete(pid);
      const found = await postgresProcesses(this.dataDir, undefined);
      for (const pid of found) known.add(pid);
      const left = [...known];
      if (left.length === 0) return;
      if (clock.monotonicMs() > deadlineMs)
        throw new TidemarkError("TM-PG-STOP", `processes ${left.join(", ")} of ${this.dataDir} survive SIGKILL`, {
          details: { count: left.length },
        });
      for (const pid of found) signalProcess(pid, "SIGKILL");
      await sleep(clock, POLL_MS);
    }
  }
}
