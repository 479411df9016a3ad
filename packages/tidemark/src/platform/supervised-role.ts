// One role's process: started, watched, started again, stopped. It has a session of its own, so that Ctrl-C in a terminal
// reaches the supervisor alone, which stops the roles in order. Its IPC channel tells it that the supervisor lives.
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock, Timer } from "@tidemark/kernel/clock";
import { EXIT } from "./exit-codes.ts";
import { identifyProcess } from "./process-identity.ts";
import { decideRestart } from "./restart-policy.ts";
import { isFromRole } from "./role-link.ts";
import type { RolePlan } from "./role-plan.ts";
import { nextRoleState, type RoleEvent } from "./role-states.ts";
import type { RoleKind, RoleState, RunningRole } from "./run-file.ts";

/** Exit codes with which a role says that starting it again cures nothing. */
const FINAL_CODES: ReadonlySet<number> = new Set([EXIT.failStop, EXIT.configuration, EXIT.usage]);

/** Something that happened to a role, for the readout and the log. */
export interface RoleHappening {
  readonly role: string;
  readonly state: RoleState;
  /** `started`, `ready at 127.0.0.1:7400`, `died (SIGKILL), starting it again`, … */
  readonly what: string;
  readonly code?: string;
  readonly hint?: string;
}

export interface SupervisedRoleOptions {
  readonly plan: RolePlan;
  readonly log: string;
  /** Folder for compiled code where the environment names none: starting again is part of the recovery time. Private, as code is run from it. */
  readonly compileCache: string;
  readonly clock: Clock;
  readonly onHappening: (happening: RoleHappening) => void;
}

interface ChildFacts {
  readonly pid: number;
  readonly started: string;
  readonly startedAtMs: number;
  readonly restarts: number;
}

export class SupervisedRole {
  readonly plan: RolePlan;
  readonly #options: SupervisedRoleOptions;
  #state: RoleState = "starting";
  #child: ChildProcess | undefined;
  #identity = { pid: 0, started: "" };
  #startedAtMs = 0;
  #startedMonotonicMs = 0;
  #starts = 0;
  #deathsInRow = 0;
  #address: string | undefined;
  #reason: { code: string; message: string; hint: string } | undefined;
  #timer: Timer | undefined;
  #killTimer: Timer | undefined;
  readonly #children = new Map<string, ChildFacts>();
  readonly #ended: Promise<void>;
  #resolveEnded: () => void = () => undefined;

  constructor(options: SupervisedRoleOptions) {
    this.plan = options.plan;
    this.#options = options;
    this.#ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  get state(): RoleState {
    return this.#state;
  }

  get reason(): { code: string; message: string; hint: string } | undefined {
    return this.#reason;
  }

  /** The role and its own children, for run.json. */
  snapshot(): RunningRole[] {
    const { name, kind, node, vault } = this.plan;
    const common = { kind, ...(node === undefined ? {} : { node }), ...(vault === undefined ? {} : { vault }), log: this.#options.log };
    const own: RunningRole = {
      name,
      ...common,
      state: this.#state,
      ...this.#identity,
      startedAtMs: this.#startedAtMs,
      restarts: Math.max(0, this.#starts - 1),
      ...(this.#address === undefined ? {} : { address: this.#address }),
      ...(this.#reason === undefined ? {} : { reason: { code: this.#reason.code, message: this.#reason.message } }),
    };
    return [
      own,
      ...[...this.#children].map(([child, facts]): RunningRole => ({
        name: child,
        ...common,
        kind: child as RoleKind,
        state: "ready",
        ...facts,
      })),
    ];
  }

  /** Starts the process. A process that cannot be spawned counts as one that died. */
  start(): void {
    this.#starts++;
    this.#startedAtMs = this.#options.clock.wallMs();
    this.#startedMonotonicMs = this.#options.clock.monotonicMs();
    this.#address = undefined;
    this.#reason = undefined;
    mkdirSync(dirname(this.#options.log), { recursive: true });
    const log = openSync(this.#options.log, "a", 0o640);
    const [program, ...args] = this.plan.command;
    const child = spawn(program, args, {
      detached: true,
      stdio: ["ignore", log, log, "ipc"],
      env: { NODE_COMPILE_CACHE: this.#options.compileCache, ...process.env, TIDEMARK_ROLE: this.plan.name },
    });
    closeSync(log);
    this.#child = child;
    this.#identity = (child.pid === undefined ? undefined : identifyProcess(child.pid)) ?? { pid: child.pid ?? 0, started: "" };
    this.#become("spawned");
    child.on("message", (message) => this.#onMessage(child, message));
    child.once("exit", (code, signal) => this.#onGone(child, code, signal ?? `exit code ${code}`));
    child.once("error", (error) => {
      if (child.pid === undefined) this.#onGone(child, null, error.message);
    });
    if (child.pid !== undefined) this.#say(this.#starts === 1 ? `started, pid ${child.pid}` : `started again, pid ${child.pid}`);
  }

  /** Asks the process to end, kills it after `limitMs`, and resolves when it is gone. May be called again with a shorter limit. */
  stop(limitMs: number): Promise<void> {
    this.#timer?.clear();
    const asked = this.#state === "stopping";
    this.#become("stop");
    if (this.#child === undefined) this.#resolveEnded();
    else {
      if (!asked) this.#say("stopping");
      this.#child.kill("SIGTERM");
      this.#killTimer?.clear();
      this.#killTimer = this.#options.clock.setTimer(limitMs, () => {
        this.#say(`has not stopped within ${limitMs} ms, killing it`);
        this.#child?.kill("SIGKILL");
      });
    }
    return this.#ended;
  }

  #become(event: RoleEvent): void {
    this.#state = nextRoleState(this.#state, event);
  }

  #say(what: string, facts: { code?: string; hint?: string } = {}): void {
    this.#options.onHappening({ role: this.plan.name, state: this.#state, what, ...facts });
  }

  #onMessage(child: ChildProcess, message: unknown): void {
    if (child !== this.#child || !isFromRole(message)) return;
    if (message.type === "ready") {
      this.#address = message.address ?? this.plan.address;
      const tookMs = Math.round(this.#options.clock.monotonicMs() - this.#startedMonotonicMs);
      this.#become("ready");
      this.#say(`ready${this.#address === undefined ? "" : ` at ${this.#address}`} after ${tookMs} ms`);
    } else if (message.type === "child") {
      const before = this.#children.get(message.name);
      if (message.pid === null)
        this.#children.set(message.name, { pid: 0, started: "", startedAtMs: before?.startedAtMs ?? 0, restarts: before?.restarts ?? 0 });
      else {
        const identity = identifyProcess(message.pid) ?? { pid: message.pid, started: "" };
        this.#children.set(message.name, {
          ...identity,
          startedAtMs: this.#options.clock.wallMs(),
          restarts: before === undefined ? 0 : before.restarts + 1,
        });
      }
      this.#say(message.pid === null ? `its ${message.name} ended` : `its ${message.name} runs, pid ${message.pid}`);
    } else {
      this.#reason = { code: message.code, message: message.message, hint: message.hint };
    }
  }

  #onGone(child: ChildProcess, code: number | null, how: string): void {
    if (child !== this.#child) return;
    this.#child = undefined;
    this.#identity = { pid: 0, started: "" };
    this.#killTimer?.clear();
    this.#children.clear();
    const facts = this.#reason === undefined ? {} : { code: this.#reason.code, hint: this.#reason.hint };
    const why = this.#reason === undefined ? "" : `: ${this.#reason.message}`;
    if (this.#state === "stopping") {
      this.#become("died");
      this.#say(code === 0 ? "stopped" : `stopped (${how})`);
      this.#resolveEnded();
    } else if (code !== null && FINAL_CODES.has(code)) {
      this.#reason ??= {
        code: "TM-PLATFORM-ROLE-STOPPED",
        message: `${this.plan.name} ended with ${how}`,
        hint: `tidemark logs ${this.plan.name}`,
      };
      this.#become("failed");
      this.#say(`ended for good (${how})${why}`, facts);
    } else {
      const decision = decideRestart(this.#deathsInRow, this.#options.clock.monotonicMs() - this.#startedMonotonicMs);
      this.#deathsInRow = decision.deathsInRow;
      this.#become("died");
      this.#say(`died (${how}), starting it again ${decision.pauseMs === 0 ? "at once" : `in ${decision.pauseMs} ms`}${why}`, facts);
      if (decision.pauseMs === 0) this.start();
      else this.#timer = this.#options.clock.setTimer(decision.pauseMs, () => this.start());
    }
  }
}
