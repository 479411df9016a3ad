// A real Alertmanager, Debian's package, on loopback with a folder of its own.
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { freePort } from "@tidemark/kernel/platform/free-ports";
import { join } from "node:path";

const BINARY = ["/usr/bin/prometheus-alertmanager", "/usr/bin/alertmanager"].find((path) => existsSync(path));

/** Whether tests with it run: they fail rather than skip where peers are required. */
export const hasAlertmanager = BINARY !== undefined || process.env["TIDEMARK_REQUIRE_PEERS"] === "1";

export interface AlertmanagerAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  readonly endsAt: string;
}

const STARTS_WITHIN_MS = 20_000;

export class RunningAlertmanager {
  readonly url: string;
  readonly #folder: string;
  readonly #port: number;
  #process: ChildProcess | undefined;
  #said = "";

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Prepares one that tells `hook` of everything, resolved too, at once; resolve_timeout is a second. */
  static async make(folder: string, hook: string): Promise<RunningAlertmanager> {
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, "alertmanager.yml"),
      `global: { resolve_timeout: 1s }
route: { receiver: hook, group_by: [service], group_wait: 50ms, group_interval: 100ms, repeat_interval: 1h }
receivers: [{ name: hook, webhook_configs: [{ url: "${hook}", send_resolved: true }] }]
`,
    );
    return new RunningAlertmanager(folder, await freePort());
  }

  async start(): Promise<void> {
    const line = [
      `--config.file=${join(this.#folder, "alertmanager.yml")}`,
      `--storage.path=${join(this.#folder, "data")}`,
      `--web.listen-address=127.0.0.1:${this.#port}`,
      "--cluster.listen-address=",
    ];
    const child = spawn(BINARY ?? "prometheus-alertmanager", line, { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr?.on("data", (chunk: Buffer) => (this.#said += chunk.toString("utf8")));
    this.#process = child;
    await once(child, "spawn");
    const deadline = Date.now() + STARTS_WITHIN_MS;
    for (;;) {
      const ready = await fetch(`${this.url}/-/ready`).then(
        (response) => response.ok,
        () => false,
      );
      if (ready) return;
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`Alertmanager did not start: ${this.#said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }

  /** What it holds as active now. */
  async active(): Promise<AlertmanagerAlert[]> {
    const response = await fetch(`${this.url}/api/v2/alerts?active=true`);
    return (await response.json()) as AlertmanagerAlert[];
  }
}
