// A real server of Debian's, on loopback, from its start to its end.
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";

const STARTS_WITHIN_MS = 20_000;

export class RunningPeer implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** @param peer.ready an address that answers 200 once it serves. */
  static async start(peer: { program: string; args: readonly string[]; ready: string }): Promise<RunningPeer> {
    const child = spawn(peer.program, peer.args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
    await once(child, "spawn");
    const running = new RunningPeer(child);
    const deadline = Date.now() + STARTS_WITHIN_MS;
    for (;;) {
      const ready = await fetch(peer.ready).then(
        (response) => response.ok,
        () => false,
      );
      if (ready) return running;
      if (child.exitCode !== null || Date.now() > deadline) {
        await running.kill();
        throw new Error(`${peer.program} did not start: ${said}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exit = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exit;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
