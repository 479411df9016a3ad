// Keeps the roles of one machine running: starts them together, starts again what dies, stops them in order, and writes
// down in run.json what runs. It takes no part in the work of the roles: when it dies they notice and stop cleanly.
import { join } from "node:path";
import { sleep, type Clock } from "@tidemark/kernel/clock";
import type { Logger } from "@tidemark/kernel/logger";
import { logPath, rotateLog } from "./log-files.ts";
import { identifyProcess } from "./process-identity.ts";
import type { RolePlan } from "./role-plan.ts";
import { removeRunFile, writeRunFile, type RunFile, type RunningRole } from "./run-file.ts";
import { SupervisedRole, type RoleHappening } from "./supervised-role.ts";

/** How often the sizes of the logs are looked at. */
const LOG_CHECK_MS = 5_000;

/** What a role may still take to stop when somebody is in a hurry (a second Ctrl-C). */
const HURRY_MS = 2_000;

export interface SupervisorOptions {
  readonly plans: readonly RolePlan[];
  readonly stateDir: string;
  readonly configFile: string;
  readonly gatewayUrl: string;
  readonly controlUrl: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For the readout. */
  readonly onHappening?: (happening: RoleHappening) => void;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #roles: readonly SupervisedRole[];
  readonly #startedAtMs: number;
  #state: RunFile["state"] = "starting";
  #writing: Promise<void> = Promise.resolve();
  #changed = false;
  #hurry = false;
  readonly #settled = Promise.withResolvers<void>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.wallMs();
    this.#roles = options.plans.map(
      (plan) =>
        new SupervisedRole({
          plan,
          log: logPath(options.stateDir, plan.name),
          compileCache: join(options.stateDir, "compile-cache"),
          clock: options.clock,
          onHappening: (happening) => this.#onHappening(happening),
        }),
    );
    this.#settled.promise.catch(() => undefined);
  }

  /** What runs now. */
  roles(): RunningRole[] {
    return this.#roles.flatMap((role) => role.snapshot());
  }

  /** The first role that ended for good, if any. */
  stopped(): { role: string; code: string; message: string; hint: string } | undefined {
    const role = this.#roles.find((one) => one.state === "stopped");
    return role?.reason === undefined ? undefined : { role: role.plan.name, ...role.reason };
  }

  /** Resolves when every role was ready once, or when one ended for good before (ask `stopped`). */
  settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Runs until `signal` aborts, then stops the roles in order; resolves when all have ended. */
  async run(signal: AbortSignal): Promise<void> {
    for (const role of this.#roles) role.start();
    await this.#write();
    try {
      for (;;) {
        await sleep(this.#options.clock, LOG_CHECK_MS, signal);
        await this.#rotateLogs();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await this.#stop();
    }
  }

  /** Stops waiting for clean stops: every role is asked again, at once, and killed shortly after. */
  hurry(): void {
    this.#hurry = true;
    for (const role of this.#roles) if (role.state !== "ended") void role.stop(HURRY_MS);
  }

  async #stop(): Promise<void> {
    this.#state = "stopping";
    this.#settled.resolve();
    await this.#write();
    const stages = [...new Set(this.#roles.map((role) => role.plan.stopStage))].toSorted((a, b) => a - b);
    for (const stage of stages) {
      const inStage = this.#roles.filter((role) => role.plan.stopStage === stage);
      await Promise.all(inStage.map((role) => role.stop(this.#hurry ? HURRY_MS : role.plan.stopLimitMs)));
    }
    this.#changed = false;
    await this.#writing;
    await removeRunFile(this.#options.stateDir);
  }

  async #rotateLogs(): Promise<void> {
    for (const role of this.#roles) {
      if (await rotateLog(logPath(this.#options.stateDir, role.plan.name)))
        this.#options.logger.info({ of: role.plan.name }, "log put aside");
    }
  }

  #onHappening(happening: RoleHappening): void {
    const { role, state, what, code } = happening;
    this.#options.logger.info({ of: role, state, ...(code === undefined ? {} : { code }) }, `${role} ${what}`);
    this.#options.onHappening?.(happening);
    if (this.#state === "starting") {
      if (this.#roles.every((one) => one.state === "ready")) this.#state = "ready";
      if (this.#state === "ready" || this.#roles.some((one) => one.state === "stopped")) this.#settled.resolve();
    }
    void this.#write();
  }

  /** Writes run.json; changes that come while one write is under way are one further write. */
  #write(): Promise<void> {
    if (this.#changed) return this.#writing;
    this.#changed = true;
    this.#writing = this.#writing
      .then(async () => {
        if (!this.#changed) return;
        this.#changed = false;
        await writeRunFile(this.#facts());
      })
      .catch((error: unknown) =>
        this.#options.logger.error({ err: error }, "could not write run.json; status will show what was true before"),
      );
    return this.#writing;
  }

  #facts(): RunFile {
    const { configFile, stateDir, gatewayUrl, controlUrl } = this.#options;
    const supervisor = identifyProcess(process.pid) ?? { pid: process.pid, started: "" };
    return {
      formatVersion: 1,
      supervisor,
      startedAtMs: this.#startedAtMs,
      configFile,
      stateDir,
      state: this.#state,
      gatewayUrl,
      controlUrl,
      roles: this.roles(),
    };
  }
}
