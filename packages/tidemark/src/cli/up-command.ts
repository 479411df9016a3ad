import { spawn } from "node:child_process";
import { mkdirSync, openSync } from "node:fs";
import { dirname, relative } from "node:path";
import { Command, Option } from "commander";
import { pino } from "pino";
import { formatDuration } from "@tidemark/kernel/duration";
import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { Config } from "../config/config.ts";
import { gatewayUrl } from "../cluster/gateway-reach.ts";
import { formatAddress } from "../config/listen-address.ts";
import { EXIT } from "../platform/exit-codes.ts";
import { logPath } from "../platform/log-files.ts";
import { hasGateway, selfCommand } from "../platform/role-plan.ts";
import { readLivingRun } from "../platform/run-file.ts";
import { startStack, type Stack } from "../platform/start-stack.ts";
import type { RoleHappening } from "../platform/supervised-role.ts";
import type { CommandContext } from "./command-line.ts";
import { durationOption } from "./down-command.ts";
import { findPlace, loadPlace, withPlace, type Place, type PlaceOptions } from "./place.ts";
import { awaited, collectStatus, pause } from "./status-report.ts";
import { wrap, type Terminal } from "./terminal.ts";

interface UpOptions extends PlaceOptions {
  readonly detach?: boolean;
  readonly timeout: number;
  /** The supervisor of --detach: tells its parent over IPC instead of printing. */
  readonly inBackground?: boolean;
  /** The stack of a proof: it ends with its parent, however that ends. */
  readonly withParent?: boolean;
}

/** From the supervisor in the background to the command that started it. */
type FromBackground =
  | { readonly type: "happening"; readonly happening: RoleHappening }
  | { readonly type: "waiting"; readonly what: string }
  | { readonly type: "up" }
  | { readonly type: "failed"; readonly code: string; readonly message: string; readonly hint: string };

/** `tidemark up`. */
export function upCommand(context: CommandContext): Command {
  return withPlace(new Command("up"))
    .description(
      "Starts the whole stack on this machine, every role a process of its own, and starts again what dies. Ctrl-C stops it in order; a second Ctrl-C hurries.",
    )
    .option("-d, --detach", "run in the background; return when everything is ready")
    .addOption(
      new Option("--timeout <duration>", "with --detach: how long to wait until everything is ready")
        .argParser(durationOption)
        .default(120_000, "2m"),
    )
    .addOption(new Option("--in-background").hideHelp())
    .addOption(new Option("--with-parent").hideHelp())
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark up\n  tidemark up --detach && tidemark status\n  tidemark up --config shop.yaml --state-dir /var/lib/shop\n\nExit codes: 0 stopped cleanly, or with --detach: everything is ready · 69 it runs\nalready · 70 a role stopped for good · 75 not ready in time · 78 configuration",
    )
    .action(async (options: UpOptions) => {
      const place = await findPlace(options);
      const config = await loadPlace(place);
      if (options.inBackground === true) context.end(await runInBackground(place, config));
      else if (options.detach === true) context.end(await detach(context.terminal, { place, config, timeoutMs: options.timeout }));
      else context.end(await runInForeground(context.terminal, { place, config, withParent: options.withParent === true }));
    });
}

async function runInForeground(terminal: Terminal, job: { place: Place; config: Config; withParent: boolean }): Promise<number> {
  const { place, config } = job;
  await refuseSecond(config);
  printHead(terminal, place, config);
  const print = (happening: RoleHappening): void => printHappening(terminal, happening);
  return supervise(place, config, {
    withParent: job.withParent,
    onHappening: print,
    onWaiting: (what) => printWaiting(terminal, what),
    onUp: (tookMs) => printUp(terminal, config, { tookMs, stopWith: "Ctrl-C" }),
    onStopping: () =>
      terminal.out(
        wrap(
          hasGateway(config)
            ? "stopping: the gateway drains, then PostgreSQL stops, then vaults and control (Ctrl-C again hurries)"
            : "stopping control (Ctrl-C again hurries)",
          terminal.columns,
        ),
      ),
    onHurry: () => terminal.out("hurrying"),
    onEnded: () => terminal.out(`${terminal.paint.good("✓")} everything has ended`),
  });
}

async function runInBackground(place: Place, config: Config): Promise<number> {
  const tell = (message: FromBackground): void => {
    if (process.connected) process.send?.(message, () => undefined);
  };
  try {
    return await supervise(place, config, {
      onHappening: (happening) => tell({ type: "happening", happening }),
      onWaiting: (what) => tell({ type: "waiting", what }),
      onUp: () => tell({ type: "up" }),
    });
  } catch (error) {
    if (error instanceof TidemarkError) tell({ type: "failed", code: error.code, message: error.message, hint: error.hint });
    throw error;
  }
}

interface Watching {
  /** Ends when the channel to the parent closes, unless any message came before: then it goes on alone. */
  readonly withParent?: boolean;
  readonly onHappening: (happening: RoleHappening) => void;
  readonly onUp: (tookMs: number) => void;
  /** The roles are ready, and something else is not for some seconds. */
  readonly onWaiting: (what: string) => void;
  readonly onStopping?: () => void;
  readonly onHurry?: () => void;
  readonly onEnded?: () => void;
}

/** Runs the stack until a signal comes. A role that ends for good before everything was ready takes the rest down again. */
async function supervise(place: Place, config: Config, watching: Watching): Promise<number> {
  const asked = Promise.withResolvers<"asked">();
  let stack: Stack | undefined;
  let signals = 0;
  const onSignal = (): void => {
    signals++;
    asked.resolve("asked");
    if (signals === 1) watching.onStopping?.();
    else {
      watching.onHurry?.();
      stack?.hurry();
    }
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  if (watching.withParent === true) {
    process.once("disconnect", onSignal);
    process.once("message", () => process.off("disconnect", onSignal));
  }
  const startedMs = systemClock.monotonicMs();
  stack = await startStack({
    configFile: place.configFile,
    stateDir: config.stateDir,
    logger: supervisorLogger(config.stateDir),
    onHappening: watching.onHappening,
  });
  const settled = await Promise.race([stack.settled(), asked.promise]);
  if (settled !== "asked" && settled !== undefined) {
    await stack.stop();
    const { role, code, message, hint } = settled;
    throw new TidemarkError("TM-PLATFORM-ROLE-STOPPED", `start ${role}: ${message}`, {
      details: { role, code },
      ...(hint === "" ? {} : { hint: `${hint}${code === "" ? "" : ` (${code})`}` }),
    });
  }
  if (settled !== "asked") {
    const serving = untilAllServe(config, () => signals > 0, watching.onWaiting);
    if ((await Promise.race([serving, asked.promise])) !== "asked") watching.onUp(systemClock.monotonicMs() - startedMs);
  }
  await asked.promise;
  await stack.stop();
  if (watching.withParent === true && process.connected) process.disconnect();
  watching.onEnded?.();
  return EXIT.ok;
}

/** Time between two looks whether the stores serve. */
const LOOK_MS = 100;
/** What is waited for so long is said. */
const SAY_AFTER_MS = 5_000;

/** The roles answer before PostgreSQL does: on a first start databases are made and cloned. */
async function untilAllServe(config: Config, isOver: () => boolean, onWaiting: (what: string) => void): Promise<void> {
  let waiting = { what: "", sinceMs: 0, said: false };
  while (!isOver()) {
    const what = awaited(config, await collectStatus(config));
    if (what === undefined) return;
    const nowMs = systemClock.monotonicMs();
    if (what !== waiting.what) waiting = { what, sinceMs: nowMs, said: false };
    if (!waiting.said && nowMs - waiting.sinceMs >= SAY_AFTER_MS) {
      waiting.said = true;
      onWaiting(what);
    }
    await pause(LOOK_MS);
  }
}

async function detach(terminal: Terminal, job: { place: Place; config: Config; timeoutMs: number }): Promise<number> {
  const { place, config } = job;
  await refuseSecond(config);
  printHead(terminal, place, config);
  const log = logPath(config.stateDir, "supervisor");
  mkdirSync(dirname(log), { recursive: true });
  const output = openSync(log, "a", 0o640);
  const [program, ...args] = selfCommand(["up", "--in-background", "--config", place.configFile, "--state-dir", config.stateDir]);
  const child = spawn(program, args, { detached: true, stdio: ["ignore", output, output, "ipc"] });
  const startedMs = systemClock.monotonicMs();
  let waitedFor: string | undefined;
  const outcome = await new Promise<"up" | "late" | Extract<FromBackground, { type: "failed" }>>((resolve, reject) => {
    const timer = systemClock.setTimer(job.timeoutMs, () => resolve("late"));
    child.on("message", (message: FromBackground) => {
      if (message.type === "happening") return printHappening(terminal, message.happening);
      if (message.type === "waiting") return printWaiting(terminal, (waitedFor = message.what));
      timer.clear();
      resolve(message.type === "up" ? "up" : message);
    });
    child.on("error", (cause) => reject(new TidemarkError("TM-PLATFORM-SPAWN", "start the supervisor in the background", { cause })));
    child.on("exit", (code, signal) => {
      timer.clear();
      reject(
        new TidemarkError("TM-PLATFORM-SPAWN", `start the supervisor in the background: it ended with ${signal ?? `code ${code}`}`, {
          hint: `Its last words are in ${log}.`,
        }),
      );
    });
  });
  if (outcome === "up" || outcome === "late") {
    child.disconnect();
    child.unref();
  }
  if (outcome === "late")
    throw new TidemarkError(
      "TM-PLATFORM-NOT-READY",
      `start in ${config.stateDir}: not everything was ready within ${formatDuration(job.timeoutMs)}; it goes on starting in the background${waitedFor === undefined ? "" : `\n  waiting for ${waitedFor}`}`,
    );
  if (outcome !== "up") throw new TidemarkError(outcome.code as ErrorCode, outcome.message, { hint: outcome.hint });
  printUp(terminal, config, { tookMs: systemClock.monotonicMs() - startedMs, stopWith: "tidemark down" });
  return EXIT.ok;
}

/** Said before anything is printed or started; the lock of the state folder decides where two start at once. */
async function refuseSecond({ stateDir }: Config): Promise<void> {
  const running = await readLivingRun(stateDir);
  if (running !== undefined)
    throw new TidemarkError("TM-PLATFORM-ALREADY-UP", `start in ${stateDir}: the supervisor with pid ${running.supervisor.pid} uses it`);
}

function supervisorLogger(stateDir: string): Logger {
  const file = logPath(stateDir, "supervisor");
  return pino(
    { base: { role: "supervisor", pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: file, sync: true, mkdir: true }),
  );
}

function printHead(terminal: Terminal, place: Place, config: Config): void {
  const { out, paint, columns } = terminal;
  out(paint.strong(config.name));
  if (place.builtIn) {
    out(
      wrap(
        "There is no tidemark.yaml in this folder: this runs the example that comes with Tidemark, a shop's orders on two PostgreSQL nodes. To make it yours, copy it and its orders.sql here:",
        columns,
      ),
    );
    out(paint.dim(`  cp ${dirname(place.configFile)}/orders.* .`));
    out(paint.dim("  mv orders.yaml tidemark.yaml"));
  } else out(`configuration ${shown(config.file)}`);
  out(`state ${shown(config.stateDir)}`);
}

/** One line: time, role, what. In a narrow terminal what happened stands below. */
function printHappening({ out, paint, columns }: Terminal, { role, state, what, code, hint }: RoleHappening): void {
  const time = new Date().toISOString().slice(11, 23);
  const colour =
    state === "ready" ? paint.good : state === "stopped" ? paint.bad : state === "waiting" ? paint.warn : (text: string) => text;
  const name = role.padEnd(12);
  const indent = " ".repeat(14 + name.length);
  out(
    columns >= 60
      ? `${paint.dim(time)}  ${paint.strong(name)} ${colour(wrap(what, columns - indent.length, indent))}`
      : `${paint.dim(time)} ${paint.strong(role)}\n  ${colour(wrap(what, columns - 2, "  "))}`,
  );
  if (code !== undefined && code !== "") out(`  ${paint.dim(wrap(`${code}: ${hint ?? ""}`, columns - 2, "  "))}`);
}

function printWaiting({ out, paint, columns }: Terminal, what: string): void {
  out(wrap(`${paint.warn("waiting")} for ${what}`, columns, "  "));
}

function printUp({ out, paint }: Terminal, config: Config, facts: { tookMs: number; stopWith: string }): void {
  out(`${paint.good("✓")} everything is up after ${formatDuration(facts.tookMs)}`);
  if (hasGateway(config)) {
    out(`  gateway  ${gatewayUrl(config.gateway)}`);
    for (const token of config.gateway.tokens)
      out(`  token    ${shown(token.file)}\n           ${paint.dim(`${token.name}: ${token.scopes.join(", ")}`)}`);
  } else out(`  control  http://${formatAddress(config.control)}`);
  out(`  look     tidemark status`);
  out(`  stop     ${facts.stopWith}`);
}

function shown(path: string): string {
  const way = relative(process.cwd(), path);
  return way.startsWith("..") || way === "" ? path : way;
}
